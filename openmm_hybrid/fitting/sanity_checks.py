"""What a fit checks by itself: that the fitted functions are safe where nothing was sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.fitting.ranges import QUANTILES
from openmm_hybrid.fitting.residuals import blocks_of
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.model import ForceFieldModule
from openmm_hybrid.models.langevin import Langevin

_SLACK = 0.5  # kcal/mol that a wall may miss, half of kT at 500 K
_MOVED = {"distance": 0.15, "angle": 0.35}  # Å, rad; farthest that a minimum may be from its start
_REDUNDANT = 3  # angles of one centre
_STRETCH = 1.5  # of a bond's own length in the dynamics
_TIMESTEP, _FRICTION = 0.5, 0.01  # fs, 1/fs
_STARTS = 4  # frames that the dynamics begins at
_POINTS = 200  # of each part of a scan


@final
@dataclass(frozen=True)
class SanityCheck:
    """One check: its name, whether it passed, and what was found."""

    name: str
    passed: bool
    found: str


def run_checks(
    fitted: ForceField, start: ForceField, frames: Frames, *, md_steps: int = 2000, seed: int = 0
) -> tuple[SanityCheck, ...]:
    """All checks of one fitted force field.

    - walls: along each bond and angle the sum of its own terms stays, outside the sampled range (0.5 to 3 times a bond,
      0.05 to π of an angle), above its minimum inside, less 0.5 kcal/mol. Three angles or more of one centre are
      redundant: their sum is nearly constant (2π where it is planar), so that a slope which all of them have changes no
      force, and a fit does not determine it. The mean of their mean slopes is taken off before they are looked at.
      With it single angles of aspirin's networks fell by up to 0.95 kcal/mol just outside the range, where the molecule
      cannot go with all of them at once; without it by 0.25 at most (110 and 1100 frames, three seeds each), and those
      of the other forms not at all.
    - minima: that sum has its minimum within 0.15 Å or 0.35 rad of where it was before the fit (MD17's aspirin and
      ethanol: 0.10 Å, 0.22 rad at most).
    - stiffness: force constants, Morse depths and widths are above 0.
    - saturation: terms of several coordinates stay the same when distances and angles go from 20 to 200
      widths of their ranges away from the middle.
    - dynamics: `md_steps` of 0.5 fs at twice the temperature of the frames, from four of them; no bond beyond 1.5 times
      its start. The temperature is estimated by equipartition from the energies' variance, (3N − 6)(kT)²/2.

    Parameters
    ----------
    fitted, start : ForceField
        After and before the fit.
    frames : Frames
        That were trained on.
    md_steps : int
        0 leaves the dynamics out.
    """
    module, before = fitted.module(), start.module()
    with torch.inference_mode():
        q = torch.cat([module.internal(part)[0] for part in torch.tensor(frames.positions[:1000]).split(250)])
        checks = [*_scans(module, before, q, fitted), _stiffness(fitted), _saturation(module, q, fitted)]
    if md_steps:
        temperature = 2.0 * sampled_temperature(frames)
        picked = frames.positions[np.linspace(0, len(frames) - 1, _STARTS).astype(int)]
        longest = _longest_stretch(fitted, picked, temperature, md_steps, seed)
        duration = 1e-3 * md_steps * _TIMESTEP
        found = f"longest bond {longest:.2f} times its start in {duration:g} ps at {temperature:.0f} K"
        checks.append(SanityCheck("dynamics", longest <= _STRETCH, found))
    return tuple(checks)


def sampled_temperature(frames: Frames) -> float:
    """T (K) at which harmonic frames have this variance of the energy: (3N − 6)(kT)²/2."""
    modes = max(3 * frames.n_atoms - 6, 1)
    return float(np.sqrt(2.0 * np.var(frames.labels()[0]) / modes) / BOLTZMANN)


def _scans(module: ForceFieldModule, before: ForceFieldModule, q: Tensor, forcefield: ForceField) -> list[SanityCheck]:
    ends = torch.quantile(q, torch.tensor(QUANTILES, dtype=q.dtype), dim=0)
    n_distances, n_angles = len(module.internal.distances), len(module.internal.angles)
    kinds = ["distance"] * n_distances + ["angle"] * n_angles
    straight = slice(0, n_distances + n_angles)
    near = torch.where(torch.arange(q.shape[1]) < n_distances, 0.5 * ends[0], torch.full_like(ends[0], 0.05))
    far = torch.where(torch.arange(q.shape[1]) < n_distances, 3.0 * ends[1], torch.full_like(ends[1], np.pi))
    step = torch.linspace(0.0, 1.0, _POINTS, dtype=q.dtype)[:, None]
    below, inside, above = (a + step * (b - a) for a, b in ((near, ends[0]), tuple(ends), (ends[1], far)))
    grid = torch.cat([below, inside, above])
    energy, own = _level(module, grid, q)
    energy, own = energy[:, straight], own[straight]
    outside = torch.cat([energy[:_POINTS], energy[2 * _POINTS :]]).min(0).values
    drop = torch.where(own, energy[_POINTS : 2 * _POINTS].min(0).values - outside, torch.zeros_like(outside))
    worst = int(drop.argmax()) if len(drop) else 0
    falls = float(drop[worst]) if len(drop) else 0.0
    text = f"{_atoms(module, worst)} falls by {falls:.1f} kcal/mol" if falls > _SLACK else "all hold"
    walls = SanityCheck("walls", falls <= _SLACK, text)
    # The start has the same coordinates in the same order wherever its terms are a part of the fitted ones.
    moved, name = 0.0, "none"
    if before.internal.n_coordinates == module.internal.n_coordinates:
        old = _level(before, grid, q)[0][:, straight]
        places = grid[:, straight]
        shift = (places.gather(0, energy.argmin(0)[None]) - places.gather(0, old.argmin(0)[None])).abs()[0]
        relative = torch.where(own, shift / shift.new_tensor([_MOVED[kind] for kind in kinds]), torch.zeros_like(shift))
        at = int(relative.argmax()) if len(relative) else 0
        moved = float(relative[at]) if len(relative) else 0.0
        name = f"{_atoms(module, at)} by {float(shift[at]):.2f} {'Å' if kinds[at] == 'distance' else 'rad'}"
    return [walls, SanityCheck("minima", moved <= 1.0, f"moved farthest: {name}")]


def _level(module: ForceFieldModule, grid: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Energies (n_points, n_coordinates) along each coordinate, and which coordinates have terms of their own.

    Without the mean slope, at sampled coordinates q, that the angles of one centre share.
    """
    energy, _, own = _one_dimensional(module, grid)
    slope = _one_dimensional(module, q)[1].mean(0)
    centres, first = module.internal.angles[:, 1], len(module.internal.distances)
    for centre in centres.unique():
        places = first + torch.nonzero(centres == centre).flatten()
        places = places[own[places]]
        if len(places) >= _REDUNDANT:
            energy[:, places] -= slope[places].mean() * grid[:, places]
    return energy, own


def _one_dimensional(module: ForceFieldModule, grid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Energies and slopes (n_points, n_coordinates) of bonded terms of one coordinate; which coordinates have any."""
    energy, slope = torch.zeros_like(grid), torch.zeros_like(grid)
    own = torch.zeros(grid.shape[1], dtype=torch.bool)
    for block in blocks_of(module):
        if block.coordinates.shape[1] == 1 and "pairs" not in block.form.slots:
            places = block.coordinates[:, 0]
            energies, slopes = block.form(grid[:, block.coordinates], module.theta[block.assignment])
            energy.index_add_(1, places, energies)
            slope.index_add_(1, places, slopes[:, :, 0])
            own[places] = True
    return energy, slope, own


def _stiffness(forcefield: ForceField) -> SanityCheck:
    parameters, positive = forcefield.parameters, set()
    for terms in forcefield.terms:
        numbers = [number for number, column in enumerate(terms.form.columns) if column.positive]
        positive |= set(terms.assignment[:, numbers].ravel().tolist())
    weak = [parameters.names[index] for index in sorted(positive) if parameters.values[index] <= 0.0]
    return SanityCheck("stiffness", not weak, f"{', '.join(weak[:3])} not above 0" if weak else "all above 0")


def _saturation(module: ForceFieldModule, q: Tensor, forcefield: ForceField) -> SanityCheck:
    ends = torch.quantile(q, torch.tensor(QUANTILES, dtype=q.dtype), dim=0)
    middle = ends.mean(0)
    few = torch.where(q[:50] > middle, 1.0, -1.0) * (ends[1] - ends[0])
    worst, name = 0.0, ""
    for terms, block in zip(forcefield.terms, blocks_of(module), strict=True):
        if block.coordinates.shape[1] > 1:
            p = module.theta[block.assignment]
            circular = torch.tensor([each.kind == "dihedral" for each in terms.form.coordinates])
            near, far = (
                block.form(_stretched(few, middle, block.coordinates, circular, by), p)[0] for by in (20.0, 200.0)
            )
            change = float((near - far).abs().max())
            if not change <= worst:
                worst, name = change, terms.group
    passed = worst <= 1e-3
    return SanityCheck(
        "saturation", passed, "all bounded" if passed else f"{name} goes on changing by {worst:.2g} kcal/mol"
    )


def _stretched(few: Tensor, middle: Tensor, coordinates: Tensor, circular: Tensor, by: float) -> Tensor:
    factor = torch.where(circular, torch.ones_like(middle[:1]), torch.full_like(middle[:1], by))
    return middle[coordinates] + factor * few[:, coordinates]


def _atoms(module: ForceFieldModule, coordinate: int) -> str:
    internal = module.internal
    n_distances = len(internal.distances)
    atoms = internal.distances[coordinate] if coordinate < n_distances else internal.angles[coordinate - n_distances]
    return ("bond " if coordinate < n_distances else "angle ") + "-".join(map(str, atoms.tolist()))


def _longest_stretch(
    forcefield: ForceField, positions: NDArray[np.float64], temperature: float, steps: int, seed: int
) -> float:
    """The largest ratio of any bond to its own start in Langevin dynamics; infinite where the motion blew up.

    All starts (n_starts, n_atoms, 3), Å, move at once, until the first bond is beyond `_STRETCH`.
    """
    module = forcefield.module()
    first, second = forcefield.bonds.T
    langevin = Langevin(forcefield.atomic_numbers, temperature, _TIMESTEP, _FRICTION, np.random.default_rng(seed))

    def forces(r: NDArray[np.float64]) -> NDArray[np.float64]:
        with torch.inference_mode():
            return module(torch.from_numpy(r))[1].numpy()

    def lengths(r: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.linalg.norm(r[:, first] - r[:, second], axis=-1)

    r, v, f = positions, langevin.velocities(positions.shape), forces(positions)
    start, longest = lengths(r), 1.0
    for _ in range(steps):
        r, v, f = langevin.step(forces, r, v, f)
        stretch = float((lengths(r) / start).max())
        longest = max(longest, stretch) if np.isfinite(stretch) else np.inf
        if longest > _STRETCH:
            break
    return longest
