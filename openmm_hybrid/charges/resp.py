"""RESP charges: two restrained fits to the electrostatic potential of a RHF/6-31G* density from PySCF.

Bayly, Cieplak, Cornell, Kollman, J. Phys. Chem. 97, 10269 (1993); points on Merz-Kollman surfaces as in Singh and
Kollman, J. Comput. Chem. 5, 129 (1984) and Besler, Merz, Kollman, J. Comput. Chem. 11, 431 (1990).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from openmm_hybrid.core.errors import MissingDependencyError, NumericalError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR
from openmm_hybrid.data.elements import check_gaff_elements
from openmm_hybrid.data.molecule import Molecule

if TYPE_CHECKING:
    from pyscf import gto

Array = NDArray[np.float64]

SHELLS = (1.4, 1.6, 1.8, 2.0)
DENSITY = 6.0
"""Points per Å² on each shell."""

#: Å. H to Cl: Singh and Kollman (1984), as in GAMESS and R.E.D.; Br and I: Bondi, J. Phys. Chem. 68, 441 (1964).
RADII = {1: 1.20, 6: 1.50, 7: 1.50, 8: 1.40, 9: 1.35, 15: 1.80, 16: 1.75, 17: 1.70, 35: 1.85, 53: 1.98}

#: Atomic units. The paper's surfaces carry one point per Å², so its weights are multiplied by our
#: density; the balance between potential and restraint is then the paper's.
_STAGE_1, _STAGE_2 = 0.0005 * DENSITY, 0.001 * DENSITY
_TIGHTNESS = 0.1
_CHUNK_BYTES = 256 * 2**20


def resp_charges(molecule: Molecule, *, progress: bool = True) -> Array:
    """Two-stage RESP charges (n_atoms,) in e, fitted to all conformers of the molecule with equal weights.

    The geometries of the conformers are not relaxed. The conformers that `Molecule` embeds are MMFF94 geometries: relax
    them first, or supply others with `Molecule.with_conformers`.

    The fit minimises ⟨Σ_k (V_k − Σ_j q_j/r_jk)²⟩ + a Σ_heavy ((q_j² + b²)^½ − b) at fixed net charge, with b = 0.1 e.
    The brackets are the mean over the conformers, so that the restraint has the same weight for any number of them.

    First stage: a = 0.0005, all atoms, equal charges on equivalent atoms outside of sp3 CH2, CH3 and CH4 groups.
    Second stage: a = 0.001, only the atoms of these groups, with equal charges on equivalent ones. Atoms are equivalent
    if they are in one class of `Molecule.symmetry_classes`. Iodine has no 6-31G* basis; it gets def2-SVP with its
    effective core potential.

    Raises
    ------
    MissingDependencyError
        PySCF is not installed.
    InputError
        An element without GAFF parameters.
    NumericalError
        The self-consistent field does not converge.
    """
    check_gaff_elements(molecule)
    _require_pyscf()
    potentials = []
    with progress_bar(molecule.conformers.shape[0], "RESP: RHF/6-31G*", "conformers", enabled=progress) as advance:
        for positions in molecule.conformers:
            points = surface_points(molecule.atomic_numbers, positions)
            potentials.append((positions, points, potential(*hartree_fock(molecule, positions), points)))
            advance(1)
    return fit(molecule, potentials)


def surface_points(atomic_numbers: NDArray[np.int64], positions: Array) -> Array:
    """Points (n_points, 3) in Å on four shells around the molecule, with `DENSITY` points per Å² on each shell.

    The points are spread evenly on the sphere of each atom; points inside the sphere of another atom are left out. They
    are oriented along axes of the molecule, so that they rotate with it. The axes are the principal axes of the atoms
    weighted by their index: without weights the axes of a symmetric top, such as ideal CF4, would be arbitrary.
    """
    radii = np.array([RADII[int(number)] for number in atomic_numbers])
    weights = 1.0 + np.arange(len(radii)) / len(radii)
    centre = np.average(positions, axis=0, weights=weights)
    axes = np.linalg.svd((positions - centre) * weights[:, None])[2]
    kept = []
    for shell in SHELLS:
        scaled = shell * radii
        for atom, radius in enumerate(scaled):
            n_points = int(np.ceil(DENSITY * 4.0 * np.pi * radius**2))
            points = positions[atom] + radius * _sphere(n_points) @ axes
            others = np.arange(len(radii)) != atom
            outside = (cdist(points, positions[others]) >= scaled[others]).all(axis=1)
            kept.append(points[outside])
    return np.concatenate(kept)


def fit(molecule: Molecule, potentials: list[tuple[Array, Array, Array]]) -> Array:
    """Charges (n_atoms,) in e from the two restrained fits.

    Parameters
    ----------
    molecule : Molecule
    potentials : list of (positions, points, potential)
        For each conformer: positions (n_atoms, 3) and points (n_points, 3) in Å, potential (n_points,) in hartree/e.
    """
    n_atoms = molecule.n_atoms
    matrix, vector = np.zeros((n_atoms, n_atoms)), np.zeros(n_atoms)
    for positions, points, potential in potentials:
        inverse = ANGSTROM_PER_BOHR / cdist(points, positions)
        matrix += inverse.T @ inverse / len(potentials)
        vector += inverse.T @ potential / len(potentials)
    problem = _Problem(matrix, vector, np.asarray(molecule.atomic_numbers > 1), float(molecule.charge))
    alkyl = alkyl_atoms(molecule)
    single = n_atoms + np.arange(n_atoms)  # classes of one atom each
    first = _restrained(problem, np.where(alkyl, single, molecule.symmetry_classes), np.full(n_atoms, np.nan), _STAGE_1)
    if not alkyl.any():
        return first
    return _restrained(problem, molecule.symmetry_classes, np.where(alkyl, np.nan, first), _STAGE_2)


def alkyl_atoms(molecule: Molecule) -> NDArray[np.bool_]:
    """Mask (n_atoms,) of sp3 carbons with two or more hydrogens, and of these hydrogens."""
    mask = np.zeros(molecule.n_atoms, dtype=bool)
    for atom in molecule.rdkit.GetAtoms():
        hydrogens = [other.GetIdx() for other in atom.GetNeighbors() if other.GetAtomicNum() == 1]
        if atom.GetAtomicNum() == 6 and atom.GetDegree() == 4 and len(hydrogens) >= 2:
            mask[[atom.GetIdx(), *hydrogens]] = True
    return mask


@dataclass(frozen=True)
class _Problem:
    """Normal equations of the fit without restraints, in e and bohr."""

    matrix: Array
    vector: Array
    heavy: NDArray[np.bool_]
    net_charge: float


def _restrained(problem: _Problem, classes: NDArray[np.int64], fixed: Array, weight: float) -> Array:
    """Charges of one stage: equal within each class, exact in their sum; values of `fixed` that are not NaN are kept.

    The hyperbolic restraint is solved by iteration: (A + a (q² + b²)^(−½)) q = B, with the weight that the authors'
    programs use.
    """
    free = np.isnan(fixed)
    labels, member = np.unique(classes[free], return_inverse=True)
    expand = np.zeros((len(fixed), len(labels)))
    expand[np.flatnonzero(free), member] = 1.0
    known = np.where(free, 0.0, fixed)
    target = problem.net_charge - known.sum()
    right = expand.T @ (problem.vector - problem.matrix @ known)
    counts = expand.sum(axis=0)
    charges = known.copy()
    for _ in range(500):
        restraint = np.where(problem.heavy & free, weight / np.hypot(charges, _TIGHTNESS), 0.0)
        block = expand.T @ (problem.matrix + np.diag(restraint)) @ expand
        system = np.block([[block, counts[:, None]], [counts[None, :], np.zeros((1, 1))]])
        solution = np.linalg.solve(system, np.append(right, target))[:-1]
        updated = known + expand @ solution
        if np.abs(updated - charges).max() < 1e-9:
            return updated + expand @ np.full(len(labels), (problem.net_charge - updated.sum()) / counts.sum())
        charges = updated
    raise NumericalError("the RESP fit does not converge", hint="check the conformers for overlapping atoms")


def hartree_fock(molecule: Molecule, positions: Array) -> tuple[gto.Mole, Array]:
    """PySCF's molecule at positions (n_atoms, 3) in Å, and its RHF/6-31G* density matrix (n_ao, n_ao).

    Raises
    ------
    NumericalError
        The self-consistent field does not converge.
    """
    mol = _pyscf_molecule(molecule, positions)
    return mol, _density(molecule, mol)


def potential(mol: gto.Mole, density: Array, points: Array) -> Array:
    """Electrostatic potential (n_points,) in hartree/e of nuclei and density at points (n_points, 3) in Å."""
    from pyscf import lib

    grid = points / ANGSTROM_PER_BOHR
    nuclei = (mol.atom_charges() / cdist(grid, mol.atom_coords())).sum(axis=1)
    packed = lib.pack_tril(2.0 * density - np.diag(np.diag(density)))
    return np.asarray(nuclei - _electronic(mol, packed, grid))


def _electronic(mol: gto.Mole, packed: Array, grid: Array) -> Array:
    """∫ρ(r)/|r − R| dr (n_points,) in hartree/e, computed in chunks of three-centre integrals of `_CHUNK_BYTES`."""
    from pyscf import df, gto

    rows = max(1, _CHUNK_BYTES // (8 * packed.size))
    chunks = [grid[start : start + rows] for start in range(0, len(grid), rows)]
    return np.concatenate(
        [packed @ df.incore.aux_e2(mol, gto.fakemol_for_charges(chunk), aosym="s2ij") for chunk in chunks]
    )


def _pyscf_molecule(molecule: Molecule, positions: Array) -> gto.Mole:
    from pyscf import gto

    heavy_halogen = {"I": "def2-svp"} if 53 in molecule.atomic_numbers else {}
    return gto.M(
        atom=[(symbol, tuple(position)) for symbol, position in zip(molecule.elements, positions, strict=True)],
        basis={"default": "6-31g*", **heavy_halogen},
        ecp=heavy_halogen,
        charge=molecule.charge,
        verbose=0,
    )


def _density(molecule: Molecule, mol: gto.Mole) -> Array:
    """Density matrix (n_ao, n_ao) of density-fitted RHF; if the usual iteration fails, second-order steps follow."""
    from pyscf import scf

    field = scf.RHF(mol).density_fit()
    field.conv_tol = 1e-8
    field.chkfile = None
    field.kernel()
    if not field.converged:
        guess = field.make_rdm1()
        field = field.newton()
        field.kernel(dm0=guess)
    if not field.converged:
        raise NumericalError(
            f"RHF/6-31G* of {molecule.name} does not converge",
            hint='check geometry and net charge, or use charges="am1-bcc"',
        )
    return np.asarray(field.make_rdm1())


def _require_pyscf() -> None:
    try:
        import pyscf  # noqa: F401
    except ImportError:
        raise MissingDependencyError(
            "RESP charges need PySCF, which is not installed",
            hint='pip install "openmm-hybrid[gaff]", or give charges="am1-bcc" or an array',
        ) from None


def _sphere(n_points: int) -> Array:
    """At least `n_points` evenly spread points on the unit sphere, symmetric under reflection in each coordinate plane.

    They are one octant of a spiral (equal steps in height, separated by the golden angle) and its seven mirror images.
    The symmetry is needed because the sign of a principal axis is arbitrary.
    """
    n_octant = -(-n_points // 8)
    index = np.arange(n_octant) + 0.5
    height = index / n_octant
    angle = 0.5 * np.pi * (index * 0.5 * (np.sqrt(5.0) - 1.0) % 1.0)
    ring = np.sqrt(1.0 - height**2)
    octant = np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)
    signs = np.array(list(product((1.0, -1.0), repeat=3)))
    return np.asarray((octant * signs[:, None, :]).reshape(-1, 3))
