"""Minimisation with dihedrals held at exact angles, for many geometries at a time.

A rotation about a bond changes no bond length, no angle, and no dihedral about another bond. We therefore correct every
step by such rotations, so that each geometry of the search has the wanted dihedrals, and no restraint energy arises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.models.elastic_network import ElasticNetwork, derivatives, neighbours
from openmm_hybrid.models.energy_model import EnergyModel

Floats = NDArray[np.float64]

_LONGEST = 0.25  # largest displacement of an atom in a step, Å
_NOISE = 1e-6  # rise of the energy that a step may have by rounding, kcal/mol
_LENGTHS = (0.7, 1.35)  # bond lengths of the same molecule, relative to those of a relaxed geometry
_SHORTEST = 1e-5  # part of a step at which a search along it ends


@final
@dataclass(frozen=True)
class HeldDihedral:
    """A dihedral about a bond outside rings. Made by `of`.

    Parameters
    ----------
    atoms : (int, int, int, int)
        Indices of the atoms of the dihedral.
    moved : tuple of int
        Indices of the atoms that turn with the fourth atom.
    """

    atoms: tuple[int, int, int, int]
    moved: tuple[int, ...]

    @classmethod
    def of(cls, atoms: Sequence[int], bonds: ArrayLike) -> HeldDihedral:
        """The dihedral of four atoms in a molecule with bonds (n_bonds, 2).

        Raises
        ------
        InputError
            The atoms are not a chain of three bonds, or the middle bond is in a ring.
        """
        text = "-".join(map(str, atoms))
        near = neighbours(np.asarray(bonds, dtype=np.int64).reshape(-1, 2))
        if len(set(atoms)) != 4 or any(b not in near.get(a, ()) for a, b in pairwise(atoms)):
            raise InputError(f"the dihedral {text} is not a chain of bonds", expected="four atoms i-j-k-l in a row")
        first, i, j, last = atoms
        side, ahead = {i}, [j]
        while ahead:
            atom = ahead.pop()
            if atom not in side:
                side.add(atom)
                ahead += near[atom]
                if atom != j and i in near[atom]:
                    raise InputError(
                        f"the middle bond of the dihedral {text} is in a ring", expected="a bond that turns"
                    )
        return cls((first, i, j, last), tuple(sorted(side - {i, j})))


@final
@dataclass(frozen=True, eq=False)
class Relaxed:
    """Geometries of least energy at given dihedrals.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3), Å
    energies : (n_frames,), kcal/mol
        NaN where the model could not be evaluated.
    forces : (n_frames,), kcal/mol/Å
        Largest component of the force that is left, without the part that turns the held dihedrals.
    n_evaluations : int
        Number of geometries that the model evaluated.
    """

    positions: Floats = field(repr=False)
    energies: Floats
    forces: Floats
    n_evaluations: int

    @classmethod
    def joined(cls, parts: Sequence[Relaxed]) -> Relaxed:
        """One or more sets of geometries as one."""
        return cls(
            np.concatenate([part.positions for part in parts]),
            np.concatenate([part.energies for part in parts]),
            np.concatenate([part.forces for part in parts]),
            sum(part.n_evaluations for part in parts),
        )


def turned(positions: Floats, held: Sequence[HeldDihedral], angles: Floats) -> Floats:
    """Geometries with dihedrals at given angles, by rotations about the middle bonds (Rodrigues' formula).

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3), Å
    held : sequence of HeldDihedral
        About different bonds.
    angles : (n_frames, n_held), rad
    """
    result = np.array(positions, dtype=np.float64)
    for number, dihedral in enumerate(held):
        _, i, j, _ = dihedral.atoms
        moved = list(dihedral.moved)
        turn = (angles[:, number] - geometry.dihedral(result, [dihedral.atoms])[:, 0])[:, None, None]
        axis = (result[:, j] - result[:, i])[:, None]
        axis = axis / np.linalg.norm(axis, axis=-1, keepdims=True)
        arms = result[:, moved] - result[:, j, None]
        along = (arms * axis).sum(axis=-1, keepdims=True) * axis
        result[:, moved] = (
            result[:, j, None] + np.cos(turn) * (arms - along) + np.sin(turn) * np.cross(axis, arms) + along
        )
    return result


def relax_held(
    model: EnergyModel,
    positions: Floats,
    held: Sequence[HeldDihedral],
    angles: Floats,
    bonds: ArrayLike,
    *,
    max_force: float = 1e-3,
    max_steps: int = 300,
) -> Relaxed:
    """The nearest minimum of each geometry among those with the given dihedrals.

    A quasi-Newton search on the constrained surface: BFGS updates of the Lagrangian's Hessian (Nocedal and Wright,
    *Numerical Optimization*, 2nd ed., ch. 18), from the Hessian of an elastic network of bonds, angles and torsions.
    The energy falls in each step. Each geometry is searched on its own; together they share the calls of the model.

    Parameters
    ----------
    model : EnergyModel
    positions : (n_frames, n_atoms, 3), Å
        Start geometries with any dihedrals.
    held : sequence of HeldDihedral
        About different bonds; none for free minimisations.
    angles : (n_frames, n_held), rad
    bonds : (n_bonds, 2)
        Bonds of the elastic network.
    max_force : float, kcal/mol/Å
        Largest component of the remaining force of a converged geometry.
    max_steps : int
        Number of steps after which a search ends, converged or not.
    """
    terms = ElasticNetwork.of(bonds)
    search = _Search(model, held, np.asarray(angles, dtype=np.float64), terms, turned(positions, held, angles))
    for _ in range(max_steps):
        going = np.flatnonzero(search.going & ~(search.left <= max_force))
        if not len(going):
            break
        search.step(going)
    return Relaxed(search.positions, search.energies, search.left, search.n_evaluations)


class _Search:
    """State of the searches: geometries, energies, gradients and inverse Hessians of all frames."""

    def __init__(
        self,
        model: EnergyModel,
        held: Sequence[HeldDihedral],
        angles: Floats,
        network: ElasticNetwork,
        positions: Floats,
    ) -> None:
        self._model, self._held, self._angles, self._network = model, held, angles, network
        self.positions = positions
        self.energies, self._slopes = evaluated(model, positions)
        self.n_evaluations = len(positions)
        self.going = np.isfinite(self.energies)
        self._constraints = self._rows(positions)
        n = self._slopes.shape[1]
        self._inverse = np.zeros((len(positions), n, n))
        self._inverse[self.going] = network.inverse_hessian(positions[self.going])
        self._part = np.ones(len(positions))
        self.left = np.full(len(positions), np.inf)
        self._note_left(np.flatnonzero(self.going))

    def step(self, going: NDArray[np.int64]) -> None:
        """One step of the frames `going`: along the quasi-Newton direction, or a shorter part of the last one."""
        move, slope = self._direction(going)
        uphill = slope >= 0.0
        if uphill.any():  # rounding near the minimum, or a Hessian of another place
            again = going[uphill]
            self._inverse[again] = self._network.inverse_hessian(self.positions[again])
            move[uphill], slope[uphill] = (part for part in self._direction(again))
        part = self._part[going]
        shape = (len(going), -1, 3)
        trial = self.positions[going] + (part[:, None] * move).reshape(shape)
        trial = turned(trial, self._held, self._angles[going])
        energies, slopes = evaluated(self._model, trial)
        self.n_evaluations += len(going)
        rise = energies - self.energies[going]
        accepted = rise <= 1e-4 * part * slope + _NOISE
        self._accept(going[accepted], trial[accepted], energies[accepted], slopes[accepted])
        failed = going[~accepted]
        curved = -0.5 * (part * slope)[~accepted] / np.maximum((rise - part * slope)[~accepted], 1e-12)
        self._part[failed] *= np.clip(np.nan_to_num(curved, nan=0.1), 0.1, 0.5)
        self._part[going[accepted]] = 1.0
        self.going[failed] &= self._part[failed] > _SHORTEST

    def _direction(self, frames: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Quasi-Newton steps (n, 3 n_atoms), Å, along which the held dihedrals keep, and the slopes of the energy."""
        inverse, gradient, rows = self._inverse[frames], self._slopes[frames], self._constraints[frames]
        across = np.einsum("nij,nkj->nik", inverse, rows)
        newton = np.einsum("nij,nj->ni", inverse, gradient)
        multipliers = _solved(rows @ across, -np.einsum("nki,ni->nk", rows, newton))
        move = -newton - np.einsum("nik,nk->ni", across, multipliers)
        longest = np.linalg.norm(move.reshape(len(move), move.shape[1] // 3, 3), axis=2).max(axis=1)
        move *= np.minimum(1.0, _LONGEST / np.maximum(longest, 1e-12))[:, None]
        return move, (move * gradient).sum(axis=1)

    def _accept(self, frames: NDArray[np.int64], positions: Floats, energies: Floats, slopes: Floats) -> None:
        """Take new geometries, and learn the curvature between the old and the new ones."""
        rows = self._rows(positions)
        multipliers = _solved(rows @ rows.transpose(0, 2, 1), -np.einsum("nki,ni->nk", rows, slopes))
        s = (positions - self.positions[frames]).reshape(slopes.shape)
        y = slopes - self._slopes[frames] + np.einsum("nki,nk->ni", rows - self._constraints[frames], multipliers)
        sy = (s * y).sum(axis=1)
        good = sy > 1e-4 * (s * s).sum(axis=1)  # kcal/mol/Å²: less, or negative, would make the next steps wild
        kept, s, y, sy = frames[good], s[good], y[good], sy[good]
        inverse = self._inverse[kept]
        py = np.einsum("nij,nj->ni", inverse, y)
        scale = (sy + (y * py).sum(axis=1)) / sy**2
        inverse += scale[:, None, None] * s[:, :, None] * s[:, None, :]
        inverse -= (py[:, :, None] * s[:, None, :] + s[:, :, None] * py[:, None, :]) / sy[:, None, None]
        self._inverse[kept] = inverse
        self.positions[frames], self.energies[frames], self._slopes[frames] = positions, energies, slopes
        self._constraints[frames] = rows
        self._note_left(frames)

    def _note_left(self, frames: NDArray[np.int64]) -> None:
        rows, slopes = self._constraints[frames], self._slopes[frames]
        multipliers = _solved(rows @ rows.transpose(0, 2, 1), -np.einsum("nki,ni->nk", rows, slopes))
        free = slopes + np.einsum("nki,nk->ni", rows, multipliers)
        self.left[frames] = np.abs(free).max(axis=1, initial=0.0)

    def _rows(self, positions: Floats) -> Floats:
        """Derivatives (n_frames, n_held, 3 n_atoms) of the held dihedrals, rad/Å."""
        return derivatives(positions, [dihedral.atoms for dihedral in self._held], geometry.dihedral_gradient)


def keeps_bonds(positions: Floats, bonds: NDArray[np.int64], lengths: Floats) -> NDArray[np.bool_]:
    """Whether the bonds (n_bonds, 2) of each geometry (n_frames, n_atoms, 3) have 0.7 to 1.35 times given lengths."""
    ratios = geometry.distance(positions, bonds) / lengths
    return np.asarray(((ratios > _LENGTHS[0]) & (ratios < _LENGTHS[1])).all(axis=1))


def evaluated(model: EnergyModel, positions: Floats) -> tuple[Floats, Floats]:
    """Energies (n_frames,) and gradients (n_frames, 3 n_atoms); NaN for geometries that the model cannot evaluate."""
    try:
        energies, forces = model.predict(positions)
    except NumericalError:
        if len(positions) == 1:
            return np.full(1, np.nan), np.full((1, positions[0].size), np.nan)
        parts = [evaluated(model, frame[None]) for frame in positions]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    good = np.isfinite(energies) & np.isfinite(forces).all(axis=(1, 2))
    return np.where(good, energies, np.nan), -forces.reshape(len(positions), 3 * positions.shape[1])


def _solved(matrices: Floats, values: Floats) -> Floats:
    """Solutions (n_frames, k) of small symmetric systems."""
    return np.asarray(np.linalg.solve(matrices, values[..., None])[..., 0])
