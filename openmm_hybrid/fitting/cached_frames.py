"""Coordinates and Jacobians of training frames, computed once."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.data.frames import Frames
from openmm_hybrid.fitting.cached_networks import Tabulated
from openmm_hybrid.fitting.shared_parameters import SharedParameters

_CHUNK = 1000  # frames whose Jacobians are made at once


@final
class CachedFrames:
    """Frames of one molecule for gradients by some parameters, in float32.

    Terms that have none of these parameters are evaluated here, once, and taken off the labels: only the coordinates of
    the others are kept. Networks are evaluated at knots (see `Tabulated`), other forms at every frame.

    Parameters
    ----------
    joint : Joint
    number : int
        Of the force field.
    frames : Frames
    free : (n_free,)
        Places of the parameters that will change; no ends of ranges among them.
    tabulate : bool
        False evaluates networks at every frame, too.
    """

    def __init__(
        self, joint: SharedParameters, number: int, frames: Frames, free: NDArray[np.int64], *, tabulate: bool = True
    ) -> None:
        forcefield, places = joint.forcefields[number], joint.places[number]
        changing = [terms for terms in forcefield.terms if np.isin(places[terms.assignment], free).any()]
        networks = [terms.group for terms in changing if tabulate and terms.form.costly]
        direct = [terms.group for terms in changing if terms.group not in networks]
        others = [group for group in forcefield.groups if group not in (*networks, *direct)]
        energies, forces = frames.labels()
        if others:
            fixed = forcefield.only(*others).predict(frames.positions)
            energies, forces = energies - fixed[0], forces - fixed[1]
        self.places = torch.tensor(places)
        self.energies = torch.tensor(energies - energies.mean()).float()
        self.forces = torch.tensor(forces).flatten(1).float()
        self.tables = Tabulated(forcefield.only(*networks), frames.positions) if networks else None
        self.module = forcefield.only(*direct).module() if direct else None
        if self.module is not None:
            parts = [self.module.internal.jacobian(part) for part in torch.tensor(frames.positions).split(_CHUNK)]
            self.q = torch.cat([q.float() for q, _ in parts])
            self.jacobian = torch.cat([jacobian.float() for _, jacobian in parts])

    def __len__(self) -> int:
        return len(self.energies)

    def residuals(self, theta: Tensor, frames: Tensor | None) -> tuple[Tensor, Tensor]:
        """Reference minus model: forces (n_frames, 3 n_atoms) and energies (n_frames,), up to a constant.

        `theta` (n_parameters,) are the joint parameters, `frames` indices or None for all.
        """
        own = theta[self.places].float()
        chosen = slice(None) if frames is None else frames
        force_error, energy_error = self.forces[chosen], self.energies[chosen]
        if self.tables is not None:
            energy, forces = self.tables(own, frames)
            force_error, energy_error = force_error - forces, energy_error - energy
        if self.module is not None:
            energy, slopes = self.module.slopes(self.q[chosen], own)
            force_error = force_error + torch.bmm(slopes.unsqueeze(1), self.jacobian[chosen]).squeeze(1)
            energy_error = energy_error - energy
        return force_error, energy_error
