"""The internal coordinates along which two ensembles of a molecule differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.diagnose.coordinates import candidates, sampled_straight_angles

Floats = NDArray[np.float64]

_VALUES = {"distance": geometry.distance, "angle": geometry.angle, "dihedral": geometry.dihedral}
_BINS = 48
_SPLITS = 50


@final
@dataclass(frozen=True)
class ContrastRow:
    """One internal coordinate.

    Parameters
    ----------
    kind : {"distance", "angle", "dihedral"}
    atoms : tuple of int
    divergence : float, bit
        Jensen-Shannon divergence of its distributions in random halves of the starts, minus `floor`. The absolute value
        of a dihedral is compared.
    floor : float, bit
        The same divergence between two halves of the reference's starts.
    means : (float, float), Å or rad
        Mean values in the ensemble and in the reference.
    """

    kind: str
    atoms: tuple[int, ...]
    divergence: float
    floor: float
    means: tuple[float, float]


def contrast(
    ensemble: NDArray[np.float64],
    reference: NDArray[np.float64],
    molecule: Molecule,
    *,
    hydrogens: bool = False,
    seed: int = 0,
) -> list[ContrastRow]:
    """Compare the distributions of all internal coordinates in two ensembles; the most different one comes first.

    This shows what a force field misses if frames of the reference's dynamics are available; with labels use `rank`.
    The histograms of every pair three bonds apart or more, every angle and every torsion are compared.

    Parameters
    ----------
    ensemble, reference : (n_starts, n_frames, n_atoms, 3), Å
        Frames of four or more independent starts.
    molecule : Molecule
    hydrogens : bool
        Whether to compare distances of hydrogens.
    seed : int
        Seed of the random halves.

    Raises
    ------
    InputError
        The positions have another shape, or there are too few starts.
    MismatchError
        The number of atoms is not the molecule's.
    """
    for frames in (ensemble, reference):
        if frames.ndim != 4 or len(frames) < 4 or not frames.shape[1]:
            raise InputError(f"positions have shape {frames.shape}", expected="(4 or more starts, frames, atoms, 3)")
        if frames.shape[2:] != (molecule.n_atoms, 3):
            raise MismatchError(
                f"frames of {frames.shape[2]} atoms were given",
                expected=f"{molecule.n_atoms} atoms, as in the molecule",
            )
    straight = sampled_straight_angles(reference.reshape(-1, molecule.n_atoms, 3), molecule.bonds)
    rng = np.random.default_rng(seed)
    halves = [(rng.permutation(len(ensemble)), rng.permutation(len(reference))) for _ in range(_SPLITS)]
    rows = [
        _row(kind, atoms, (ensemble, reference), halves)
        for kind, atoms in candidates(molecule.atomic_numbers, molecule.bonds, hydrogens, straight)
    ]
    return sorted(rows, key=lambda row: -row.divergence)


def _row(
    kind: str,
    atoms: tuple[int, ...],
    ensembles: tuple[Floats, Floats],
    halves: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> ContrastRow:
    values = [
        np.abs(_VALUES[kind](frames.reshape(-1, *frames.shape[2:])[:, list(atoms)], [range(len(atoms))])).reshape(
            len(frames), -1
        )
        for frames in ensembles
    ]
    edges = np.linspace(min(map(np.min, values)), max(map(np.max, values)) + 1e-9, _BINS + 1)
    counts, expected = (np.array([np.histogram(start, edges)[0] for start in part]) for part in values)
    found, floors = [], []
    for first, second in halves:
        a, b = (expected[part].sum(axis=0) for part in np.array_split(second, 2))
        found.append(jensenshannon(counts[first[: len(counts) // 2]].sum(axis=0), a, base=2) ** 2)
        floors.append(jensenshannon(b, a, base=2) ** 2)
    floor = float(np.mean(floors))
    means = float(values[0].mean()), float(values[1].mean())
    return ContrastRow(kind, tuple(map(int, atoms)), float(np.mean(found)) - floor, floor, means)
