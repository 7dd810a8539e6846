"""Sanity checks of fitted force fields, where nothing was sampled and in a short trajectory."""

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

_SLACK = 0.5  # kcal/mol, allowed depth of an energy outside the range below the minimum; half of kT at 500 K
_MOVED = {"distance": 0.15, "angle": 0.35}  # Å, rad; largest shift of a minimum
_REDUNDANT = 3  # least number of angles around one centre that are redundant
_STRETCH = 1.5  # largest length of a bond in the dynamics, relative to its start
_TIMESTEP, _FRICTION = 0.5, 0.01  # fs, 1/fs
_STARTS = 4  # starting frames of the dynamics
_POINTS = 200  # points of each part of a scan


@final
@dataclass(frozen=True)
class SanityCheck:
    """One check: its name, whether it passed, and a sentence about the finding."""

    name: str
    passed: bool
    found: str


def run_checks(
    fitted: ForceField, start: ForceField, frames: Frames, *, md_steps: int = 2000, seed: int = 0
) -> tuple[SanityCheck, ...]:
    """Run all checks on one fitted force field.

    - walls: along each bond and angle, the sum of its terms outside the sampled range (0.5 to 3 times a bond, 0.05 to π
      of an angle) stays above its minimum inside, less 0.5 kcal/mol. Three or more angles around one centre are
      redundant: their sum is nearly constant (2π in a plane), so that a slope common to all of them changes no force,
      and a fit does not determine it. We subtract the mean of their mean slopes first.
    - minima: the minimum of that sum is within 0.15 Å or 0.35 rad of the minimum before the fit.
    - stiffness: force constants, Morse depths and widths are above 0.
    - saturation: terms of several coordinates keep their energy when distances and angles move from 2000 to 20000
      widths of their ranges away from the middle.
    - dynamics: in `md_steps` of 0.5 fs at twice the temperature of the frames, from four of them, no bond grows beyond
      1.5 times its start. The temperature comes from the variance of the energies, (3N − 6)(kT)²/2, by equipartition.

    Parameters
    ----------
    fitted, start : ForceField
        Force fields after and before the fit.
    frames : Frames
        Training frames.
    md_steps : int
        Steps of the dynamics; 0 omits it.
    seed : int
        Seed of the dynamics.
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
    """Temperature (K) at which a harmonic molecule has the frames' variance of the energy, (3N − 6)(kT)²/2."""
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
    energy, has_terms = _level(module, grid, q)
    energy, has_terms = energy[:, straight], has_terms[straight]
    outside = torch.cat([energy[:_POINTS], energy[2 * _POINTS :]]).min(0).values
    drop = torch.where(has_terms, energy[_POINTS : 2 * _POINTS].min(0).values - outside, torch.zeros_like(outside))
    worst = int(drop.argmax()) if len(drop) else 0
    falls = float(drop[worst]) if len(drop) else 0.0
    text = f"{_atoms(module, worst)} falls by {falls:.1f} kcal/mol" if falls > _SLACK else "all hold"
    walls = SanityCheck("walls", falls <= _SLACK, text)
    # The start has the same coordinates in the same order if its terms are a subset of the fitted ones.
    moved, name = 0.0, "none"
    if before.internal.n_coordinates == module.internal.n_coordinates:
        old = _level(before, grid, q)[0][:, straight]
        values = grid[:, straight]
        shift = (values.gather(0, energy.argmin(0)[None]) - values.gather(0, old.argmin(0)[None])).abs()[0]
        relative = torch.where(
            has_terms, shift / shift.new_tensor([_MOVED[kind] for kind in kinds]), torch.zeros_like(shift)
        )
        at = int(relative.argmax()) if len(relative) else 0
        moved = float(relative[at]) if len(relative) else 0.0
        name = f"{_atoms(module, at)} by {float(shift[at]):.2f} {'Å' if kinds[at] == 'distance' else 'rad'}"
    return [walls, SanityCheck("minima", moved <= 1.0, f"moved farthest: {name}")]


def _level(module: ForceFieldModule, grid: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Energies (n_points, n_coordinates) along each coordinate, and a mask of the coordinates that have terms.

    The energies do not contain the mean slope, over sampled coordinates q, that the angles around one centre share.
    """
    energy, _, has_terms = _one_dimensional(module, grid)
    slope = _one_dimensional(module, q)[1].mean(0)
    centres, first = module.internal.angles[:, 1], len(module.internal.distances)
    for centre in centres.unique():
        around = first + torch.nonzero(centres == centre).flatten()
        around = around[has_terms[around]]
        if len(around) >= _REDUNDANT:
            energy[:, around] -= slope[around].mean() * grid[:, around]
    return energy, has_terms


def _one_dimensional(module: ForceFieldModule, grid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Energies and slopes (n_points, n_coordinates) of bonded terms of one coordinate, and a mask of those with any."""
    energy, slope = torch.zeros_like(grid), torch.zeros_like(grid)
    has_terms = torch.zeros(grid.shape[1], dtype=torch.bool)
    for block in blocks_of(module):
        if block.coordinates.shape[1] == 1 and "pairs" not in block.form.slots:
            indices = block.coordinates[:, 0]
            energies, slopes = block.form(grid[:, block.coordinates], module.theta[block.assignment])
            energy.index_add_(1, indices, energies)
            slope.index_add_(1, indices, slopes[:, :, 0])
            has_terms[indices] = True
    return energy, slope, has_terms


def _stiffness(forcefield: ForceField) -> SanityCheck:
    parameters, positive = forcefield.parameters, set()
    for terms in forcefield.terms:
        columns = [index for index, column in enumerate(terms.form.columns) if column.positive]
        positive |= set(terms.assignment[:, columns].ravel().tolist())
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
            circular = torch.tensor([coordinate.kind == "dihedral" for coordinate in terms.form.coordinates])
            near, far = (
                block.form(_stretched(few, middle, block.coordinates, circular, by), p)[0] for by in (2e3, 2e4)
            )
            change = float((near - far).abs().max())
            if not change <= worst:
                worst, name = change, terms.group
    passed = worst <= 1e-3
    return SanityCheck(
        "saturation", passed, "all bounded" if passed else f"{name} still changes by {worst:.2g} kcal/mol"
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
    """Largest length of a bond relative to its start in Langevin dynamics; infinite if coordinates overflow.

    All starts (n_starts, n_atoms, 3), Å, move together until the first bond exceeds `_STRETCH`.
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
