"""Geometries of RDKit molecules: embedding, and checks of those that a file or a caller brings."""

from __future__ import annotations

import operator
import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR
from openmm_hybrid.data.equivalent_order import with_fixed_labels
from openmm_hybrid.data.stereo import Unspecified, check_configuration

if TYPE_CHECKING:
    from rdkit import Chem

_USUAL = (0.7, 1.35)  # lengths of bonds, relative to the sum of the covalent radii
_PLANAR = (0.75, 1.3)  # the same in planar molecules, which may be drawings
_POSSIBLE = (0.6, 1.6)  # the same, beyond which a bond is reported
_OVERLAP = 0.5  # shortest plausible distance of any two atoms, relative to the sum of their covalent radii
_DRAWN = (0.4, 1.7)  # lengths of bonds in drawings, whose unit is arbitrary
_UNITS = {"nm": 10.0, "bohr": ANGSTROM_PER_BOHR, "pm": 0.01}
_FLAT = 0.02  # Å, largest distance from a plane
_XTB_FORCE, _XTB_STEPS = 0.02, 500  # largest force at which a relaxation stops, eV/Å, and most steps
_SHAKE = 0.05  # Å, standard deviation of the displacements before a relaxation with GFN2-xTB
_BOND_STIFFNESS = 50.0  # of bonds beside the repulsion 1/d², Å⁻²·Å⁻²: bonds hold, and neighbours spread
_TETRAHEDRAL = (6, 7, 14, 15, 16)  # elements whose four neighbours never lie in one plane: C N Si P S


def embedded(mol: Chem.Mol, title: str, n_conformers: int, seed: int) -> tuple[Chem.Mol, NDArray[np.float64]]:
    """The molecule and relaxed conformers (n, n_atoms, 3), Å, from ETKDGv3, the one of lowest energy first.

    All conformers are of one isomer: where the molecule leaves a configuration open, that of the first geometry becomes
    the molecule's. MMFF94 relaxes the conformers, UFF where MMFF94 lacks a type, and GFN2-xTB where UFF lacks one too.
    Equivalent atoms, such as the hydrogens of CH2, have the same labels in all conformers and for all seeds.

    Raises
    ------
    InputError
        `n_conformers` is not a positive integer, `seed` not an integer from 0, or no geometry was found.

    Warns
    -----
    UserWarning
        The molecule does not specify which of several diastereomers it is, or nothing could relax the conformers.
    """
    from rdkit import Chem
    from rdkit.Chem import rdDistGeom

    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.randomSeed = checked_integer("seed", seed, 0, 2**31 - 2) + 1
    n_conformers = checked_integer("n_conformers", n_conformers, 1, 100_000)
    unspecified = Unspecified.of(mol)
    isomer = mol
    if unspecified.n_open:
        isomer = _embed(mol, title, 1, parameters)
        Chem.AssignStereochemistryFrom3D(isomer, replaceExistingTags=True)
        mol = unspecified.specified(mol, isomer)
        if unspecified.diastereomers:
            chosen = Chem.MolToSmiles(Chem.RemoveHs(mol))
            warnings.warn(unspecified.sentence(mol, title, chosen), stacklevel=4)
    positions, energies = _relaxed(_embed(isomer, title, n_conformers, parameters), title)
    return mol, with_fixed_labels(mol, positions)[np.argsort(energies, kind="stable")]


def _embed(mol: Chem.Mol, title: str, n_conformers: int, parameters: Any) -> Chem.Mol:
    """A copy with raw conformers."""
    from rdkit import Chem
    from rdkit.Chem import rdDistGeom

    shapes = Chem.Mol(mol)
    shapes.RemoveAllConformers()
    if not len(rdDistGeom.EmbedMultipleConfs(shapes, n_conformers, parameters)):
        parameters.useRandomCoords = True
        rdDistGeom.EmbedMultipleConfs(shapes, n_conformers, parameters)
    if not shapes.GetNumConformers():
        raise InputError(f"no geometry was found for {title}", hint="give one: Molecule.from_file with an SDF")
    return shapes


def _relaxed(shapes: Chem.Mol, title: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Relaxed conformers (n, n_atoms, 3), Å, and their energies (n,) on an arbitrary scale."""
    from rdkit.Chem import rdForceFieldHelpers

    if _is_hypervalent(shapes):
        return _relaxed_by_xtb(shapes, title)
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(shapes):
        results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(shapes, maxIters=2000)
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(shapes):
        results = rdForceFieldHelpers.UFFOptimizeMoleculeConfs(shapes, maxIters=2000)
    else:
        return _relaxed_by_xtb(shapes, title)
    positions = np.array([conformer.GetPositions() for conformer in shapes.GetConformers()])
    return positions, np.array([energy for _, energy in results])


def _is_hypervalent(mol: Chem.Mol) -> bool:
    """Whether an atom has more than four neighbours and lone pairs, a shape that MMFF94 and UFF do not know."""
    from rdkit import Chem

    table = Chem.GetPeriodicTable()
    for atom in mol.GetAtoms():
        outer = table.GetNOuterElecs(atom.GetAtomicNum()) - atom.GetFormalCharge()
        lone_pairs = max(0, outer - int(sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds()))) // 2
        if atom.GetDegree() and atom.GetDegree() + lone_pairs > 4:
            return True
    return False


def _relaxed_by_xtb(shapes: Chem.Mol, title: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Conformers relaxed with GFN2-xTB, and their energies, eV; with a warning, only spread, where that fails."""
    from ase import Atoms
    from ase.calculators.calculator import CalculationFailed
    from ase.optimize import LBFGS

    atomic_numbers, bonds = _graph(shapes)
    positions = np.array([_spread(atomic_numbers, bonds, conf.GetPositions()) for conf in shapes.GetConformers()])
    rough = f"{title}: MMFF94 and UFF do not know its shape, so that the geometry is only a rough guess; "
    try:
        from tblite.ase import TBLite
    except ImportError:
        hint = 'install tblite (pip install "openmm-hybrid[labels]"), which relaxes it, or give a geometry'
        warnings.warn(rough + hint, stacklevel=6)
        return positions, np.zeros(len(positions))
    charge = sum(atom.GetFormalCharge() for atom in shapes.GetAtoms())
    # A symmetric start may be a saddle point, such as a bipyramid in place of a square pyramid.
    found = positions + np.random.default_rng(0).normal(scale=_SHAKE, size=positions.shape)
    energies = np.zeros(len(positions))
    for k, start in enumerate(found):
        atoms = Atoms(atomic_numbers, start)
        atoms.calc = TBLite(method="GFN2-xTB", charge=charge, verbosity=0)
        try:
            with LBFGS(atoms, logfile=os.devnull) as optimizer:
                optimizer.run(fmax=_XTB_FORCE, steps=_XTB_STEPS)
            found[k], energies[k] = atoms.get_positions(), atoms.get_potential_energy()
        except CalculationFailed:
            found[k] = np.nan
    lengths = np.array([_relative(atomic_numbers, conformer)[tuple(bonds.T)] for conformer in found])
    if not (lengths < _POSSIBLE[1]).all():
        warnings.warn(f"{rough}GFN2-xTB failed or broke a bond; give a geometry", stacklevel=6)
        return positions, np.zeros(len(positions))
    return found, energies


def _spread(atomic_numbers: NDArray[Any], bonds: NDArray[Any], positions: NDArray[Any]) -> NDArray[np.float64]:
    """Positions with bonds of the sum of the covalent radii (ASE's) and all other atoms repelling each other (1/d²)."""
    from ase.data import covalent_radii
    from scipy.optimize import minimize

    i, j = np.triu_indices(len(positions), 1)
    bonded = np.isin(i * len(positions) + j, bonds.min(axis=1) * len(positions) + bonds.max(axis=1))
    expected = covalent_radii[atomic_numbers[i]] + covalent_radii[atomic_numbers[j]]

    def energy(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        vectors = flat.reshape(-1, 3)[i] - flat.reshape(-1, 3)[j]
        lengths = np.maximum(np.linalg.norm(vectors, axis=1), 0.1)
        stretch = lengths - expected
        terms = np.where(bonded, _BOND_STIFFNESS * stretch**2, lengths**-2)
        slopes = np.where(bonded, 2.0 * _BOND_STIFFNESS * stretch, -2.0 * lengths**-3)
        gradient = np.zeros((len(positions), 3))
        along = (slopes / lengths)[:, None] * vectors
        np.add.at(gradient, i, along)
        np.add.at(gradient, j, -along)
        return float(terms.sum()), gradient.ravel()

    return np.asarray(minimize(energy, positions.ravel(), jac=True, method="L-BFGS-B").x).reshape(-1, 3)


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
    MismatchError
        A conformer is another stereoisomer than the molecule states.
    """
    if not mol.GetNumConformers() or not mol.GetConformer().Is3D():
        return None
    conformers = np.array([conformer.GetPositions() for conformer in mol.GetConformers()])
    if not np.isfinite(conformers).all():
        raise InputError(f"{title} has coordinates that are not finite", hint="export the file again")
    atomic_numbers, bonds = _graph(mol)
    for positions in conformers:
        if _is_drawing(atomic_numbers, bonds, positions):
            warnings.warn(
                f"{title}: the coordinates are a flat drawing, not a geometry; RDKit made a geometry instead",
                stacklevel=3,
            )
            return None
    check_geometries(mol, title, conformers, stacklevel=4)
    return conformers


def check_geometries(mol: Chem.Mol, title: str, conformers: NDArray[np.float64], *, stacklevel: int = 3) -> None:
    """Look at conformers (n, n_atoms, 3), Å: unit, lengths of bonds, atoms that overlap, stated configuration.

    Raises
    ------
    InputError
        The lengths of the bonds show another unit.
    MismatchError
        A conformer is another stereoisomer than the molecule states.

    Warns
    -----
    UserWarning
        A bond has an impossible length, as in another order of atoms, or two atoms overlap.
    """
    atomic_numbers, bonds = _graph(mol)
    for index, positions in enumerate(conformers):
        what = f"{title}, conformer {index}"
        check_unit(title, atomic_numbers, positions)
        _warn_of_lengths(what, atomic_numbers, bonds, positions, stacklevel + 1)
        check_configuration(mol, positions, what)


def _graph(mol: Chem.Mol) -> tuple[NDArray[Any], NDArray[Any]]:
    """Atomic numbers (n_atoms,) and bonds (n_bonds, 2)."""
    bonds = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()], dtype=int).reshape(-1, 2)
    return np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()]), bonds


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


def _warn_of_lengths(
    what: str, atomic_numbers: NDArray[Any], bonds: NDArray[Any], positions: NDArray[Any], stacklevel: int
) -> None:
    ratios = _relative(atomic_numbers, positions)
    odd = [(i, j) for i, j in bonds.tolist() if not _POSSIBLE[0] < ratios[i, j] < _POSSIBLE[1]]
    close = [(i, j) for i, j in np.argwhere(np.triu(ratios < _OVERLAP)).tolist() if (i, j) not in odd]
    for pairs, which in ((odd, "are bonded"), (close, "overlap")):
        if pairs:
            i, j = pairs[0]
            distance = np.linalg.norm(positions[i] - positions[j])
            more = f", and {len(pairs) - 1} pairs more" if len(pairs) > 1 else ""
            warnings.warn(
                f"{what}: atoms {i} and {j} {which} at {distance:.2f} Å{more}; check geometry and atom order",
                stacklevel=stacklevel,
            )


def _relative(atomic_numbers: NDArray[Any], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (n_atoms, n_atoms) relative to the sums of the covalent radii (ASE's); infinite on the diagonal."""
    from ase.data import covalent_radii

    radii = covalent_radii[atomic_numbers]
    distances = np.linalg.norm(positions[:, None] - positions, axis=-1)
    np.fill_diagonal(distances, np.inf)
    return np.asarray(distances / (radii[:, None] + radii))
