"""Geometries of RDKit molecules: embedding, and checks of those that a file or a caller brings."""

from __future__ import annotations

import operator
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR

if TYPE_CHECKING:
    from rdkit import Chem

_USUAL = (0.7, 1.35)  # lengths of bonds, relative to the sum of the covalent radii
_PLANAR = (0.75, 1.3)  # the same in planar molecules, which may be drawings
_POSSIBLE = (0.6, 1.6)  # the same, beyond which a bond is reported
_OVERLAP = 0.5  # shortest plausible distance of any two atoms, relative to the sum of their covalent radii
_DRAWN = (0.4, 1.7)  # lengths of bonds in drawings, whose unit is arbitrary
_UNITS = {"nm": 10.0, "bohr": ANGSTROM_PER_BOHR, "pm": 0.01}
_FLAT = 0.02  # Å, largest distance from a plane
_TETRAHEDRAL = (6, 7, 14, 15, 16)  # elements whose four neighbours never lie in one plane: C N Si P S


def embedded(mol: Chem.Mol, title: str, n_conformers: int, seed: int) -> NDArray[np.float64]:
    """Relaxed conformers (n, n_atoms, 3), Å, from ETKDGv3, the one of lowest energy first.

    Raises
    ------
    InputError
        `n_conformers` is not a positive integer, `seed` not an integer from 0, or no geometry was found.
    """
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.randomSeed = checked_integer("seed", seed, 0, 2**31 - 2) + 1
    n_conformers = checked_integer("n_conformers", n_conformers, 1, 100_000)
    ids = list(rdDistGeom.EmbedMultipleConfs(mol, n_conformers, parameters))
    if not ids:
        parameters.useRandomCoords = True
        ids = list(rdDistGeom.EmbedMultipleConfs(mol, n_conformers, parameters))
    if not ids:
        raise InputError(f"no geometry was found for {title}", hint="give one: Molecule.from_file with an SDF")
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, maxIters=2000)
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        results = rdForceFieldHelpers.UFFOptimizeMoleculeConfs(mol, maxIters=2000)
    else:
        results = [(0, 0.0)] * len(ids)
    order = np.argsort([energy for _, energy in results], kind="stable")
    return np.array([mol.GetConformer(ids[i]).GetPositions() for i in order])


def checked_integer(name: str, value: Any, least: int, most: int) -> int:
    """The value as an int. InputError if it is none, or out of the range."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if not least <= number <= most:
        raise InputError(f"{name} is {value!r}", expected=f"an integer from {least} to {most}")
    return number


def given_conformers(mol: Chem.Mol, title: str) -> NDArray[np.float64] | None:
    """The molecule's own conformers (n, n_atoms, 3), Å; None if it has none, or a drawing.

    A flat molecule whose bonds have no plausible lengths, or with four neighbours of an atom in its plane, is a
    drawing, whatever its file claims. Bonds of impossible lengths and atoms that overlap give a warning.

    Raises
    ------
    InputError
        A coordinate is not finite, or the lengths of the bonds show another unit.
    """
    if not mol.GetNumConformers() or not mol.GetConformer().Is3D():
        return None
    conformers = np.array([conformer.GetPositions() for conformer in mol.GetConformers()])
    if not np.isfinite(conformers).all():
        raise InputError(f"{title} has coordinates that are not finite", hint="export the file again")
    atomic_numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    bonds = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()], dtype=int).reshape(-1, 2)
    for index, positions in enumerate(conformers):
        if _is_drawing(atomic_numbers, bonds, positions):
            warnings.warn(
                f"{title}: the coordinates are a flat drawing, not a geometry; RDKit made a geometry instead",
                stacklevel=3,
            )
            return None
        check_unit(title, atomic_numbers, positions)
        _warn_of_lengths(f"{title}, conformer {index}", atomic_numbers, bonds, positions)
    return conformers


def check_unit(title: str, atomic_numbers: ArrayLike, positions: ArrayLike) -> None:
    """Refuse positions (n_atoms, 3) that are plausible in nm, bohr or pm but not in Å.

    Measured by the median over the atoms of the distance to the nearest neighbour, relative to the covalent radii.

    Raises
    ------
    InputError
        The positions are in another unit, or no geometry of a molecule.
    """
    ratios = _relative(np.asarray(atomic_numbers), np.asarray(positions, dtype=np.float64))
    if len(ratios) < 2:
        return
    typical = float(np.median(ratios.min(axis=1)))
    if _USUAL[0] < typical < _USUAL[1]:
        return
    fitting = [name for name, factor in _UNITS.items() if _USUAL[0] < typical * factor < _USUAL[1]]
    found = f"{title}: the distances between neighbours are about {typical:.2g} times the usual lengths of bonds"
    if not fitting:
        raise InputError(found, expected="the geometry of a molecule, in Å")
    raise InputError(f"{found}, as in {fitting[0]}", expected="Å", hint=f"multiply by {_UNITS[fitting[0]]:.6g}")


def _is_drawing(atomic_numbers: NDArray[Any], bonds: NDArray[Any], positions: NDArray[Any]) -> bool:
    centred = positions - positions.mean(axis=0)
    if (
        len(positions) < 2
        or not len(bonds)
        or np.abs(centred @ np.linalg.eigh(centred.T @ centred)[1][:, 0]).max() > _FLAT
    ):
        return False
    ratios = _relative(atomic_numbers, positions)
    if not _DRAWN[0] < float(np.median(ratios.min(axis=1))) < _DRAWN[1]:
        return False  # another unit
    lengths, neighbours = ratios[bonds[:, 0], bonds[:, 1]], np.bincount(bonds.ravel(), minlength=len(positions))
    crowded = (neighbours >= 4) & np.isin(atomic_numbers, _TETRAHEDRAL)
    return bool(crowded.any() or lengths.min() < _PLANAR[0] or lengths.max() > _PLANAR[1])


def _warn_of_lengths(what: str, atomic_numbers: NDArray[Any], bonds: NDArray[Any], positions: NDArray[Any]) -> None:
    ratios = _relative(atomic_numbers, positions)
    odd = [(i, j) for i, j in bonds.tolist() if not _POSSIBLE[0] < ratios[i, j] < _POSSIBLE[1]]
    close = [(i, j) for i, j in np.argwhere(np.triu(ratios < _OVERLAP)).tolist() if (i, j) not in odd]
    for pairs, which in ((odd, "are bonded"), (close, "overlap")):
        if pairs:
            i, j = pairs[0]
            distance = np.linalg.norm(positions[i] - positions[j])
            more = f", and {len(pairs) - 1} pairs more" if len(pairs) > 1 else ""
            warnings.warn(
                f"{what}: atoms {i} and {j} {which} at {distance:.2f} Å{more}; check the geometry", stacklevel=4
            )


def _relative(atomic_numbers: NDArray[Any], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (n_atoms, n_atoms) relative to the sums of the covalent radii (ASE's); infinite on the diagonal."""
    from ase.data import covalent_radii

    radii = covalent_radii[atomic_numbers]
    distances = np.linalg.norm(positions[:, None] - positions, axis=-1)
    np.fill_diagonal(distances, np.inf)
    return np.asarray(distances / (radii[:, None] + radii))
