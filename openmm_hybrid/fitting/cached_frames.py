"""Training frames with cached coordinates and Jacobians."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.data.frames import Frames
from openmm_hybrid.fitting.cached_networks import Tabulated
from openmm_hybrid.fitting.shared_parameters import SharedParameters

_CHUNK = 1000  # frames per evaluation of Jacobians


@final
class CachedFrames:
    """Frames of one molecule for gradients by some parameters, in float32.

    Terms without these parameters are evaluated once and subtracted from the labels; only the coordinates of the other
    terms are cached. Costly forms are evaluated at knots (see `Tabulated`), other forms at every frame.

    Parameters
    ----------
    shared : SharedParameters
    index : int
        Index of the force field in `shared`.
    frames : Frames
    free : (n_free,)
        Indices of the parameters that will change, without ends of ranges.
    tabulate : bool
        False evaluates costly forms at every frame too.
    """

    def __init__(
        self, shared: SharedParameters, index: int, frames: Frames, free: NDArray[np.int64], *, tabulate: bool = True
    ) -> None:
        forcefield, indices = shared.forcefields[index], shared.indices[index]
        changing = [terms for terms in forcefield.terms if np.isin(indices[terms.assignment], free).any()]
        costly = [terms.group for terms in changing if tabulate and terms.form.costly]
        direct = [terms.group for terms in changing if terms.group not in costly]
        others = [group for group in forcefield.groups if group not in (*costly, *direct)]
        energies, forces = frames.labels()
        if others:
            fixed = forcefield.only(*others).predict(frames.positions)
            energies, forces = energies - fixed[0], forces - fixed[1]
        self.indices = torch.tensor(indices)
        self.energies = torch.tensor(energies - energies.mean()).float()
        self.forces = torch.tensor(forces).flatten(1).float()
        self.tables = Tabulated(forcefield.only(*costly), frames.positions) if costly else None
        self.module = forcefield.only(*direct).module() if direct else None
        if self.module is not None:
            parts = [self.module.internal.jacobian(part) for part in torch.tensor(frames.positions).split(_CHUNK)]
            self.q = torch.cat([q.float() for q, _ in parts])
            self.jacobian = torch.cat([jacobian.float() for _, jacobian in parts])

    def __len__(self) -> int:
        return len(self.energies)

    def residuals(self, theta: Tensor, frames: Tensor | None) -> tuple[Tensor, Tensor]:
        """Reference minus model: forces (n_frames, 3 n_atoms) and energies (n_frames,), up to a constant.

        Parameters
        ----------
        theta : (n_parameters,)
            Values of the shared parameters.
        frames : (n_frames,), optional
            Indices of the frames; None for all.
        """
        values = theta[self.indices].float()
        chosen = slice(None) if frames is None else frames
        force_error, energy_error = self.forces[chosen], self.energies[chosen]
        if self.tables is not None:
            energy, forces = self.tables(values, frames)
            force_error, energy_error = force_error - forces, energy_error - energy
        if self.module is not None:
            energy, slopes = self.module.slopes(self.q[chosen], values)
            force_error = force_error + torch.bmm(slopes.unsqueeze(1), self.jacobian[chosen]).squeeze(1)
            energy_error = energy_error - energy
        return force_error, energy_error
