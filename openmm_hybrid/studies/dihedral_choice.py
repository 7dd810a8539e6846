"""Dihedrals of surfaces and ensembles: chosen from the rotors of a molecule or given, and the symmetries they have."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.diagnose.coordinates import rotatable_bonds, sampled_straight_angles
from openmm_hybrid.models.dihedral_scan import Image
from openmm_hybrid.models.held_dihedrals import HeldDihedral, turned
from openmm_hybrid.sgdml.symmetry import TooManyPermutationsError, graph_permutations

Floats = NDArray[np.float64]

_RIGID, _METHYL = 2, 3  # kinds of rotors after those between heavy atoms (0) and to OH, NH2 and the like (1)
_CLOSEST = 2.0  # smallest distance of atoms without a bond in a turned geometry, Å, unless they are closer anyway
_TOLERANCE = 0.05  # Å
_TRIALS = 100

_RESONANT = "[CX3](=[O,S])-[NX3,OX2]"  # amides, esters and acids: their bonds turn at great cost


def read_dihedral(text: str) -> tuple[int, ...]:
    """Indices of the atoms of a dihedral, from text such as "0-1-2-3".

    Raises
    ------
    InputError
        The text is not four indices.
    """
    parts = text.split("-")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise InputError(f"cannot read the dihedral {text!r}", expected="four indices of atoms such as 0-1-2-3")
    return tuple(map(int, parts))


def dihedral_name(molecule: Molecule, atoms: Sequence[int]) -> str:
    """The elements and indices of the four atoms, such as "C1–C0–O2–H8"."""
    return "–".join(f"{molecule.elements[atom]}{atom}" for atom in atoms)


def two_dihedrals(
    molecule: Molecule, positions: Floats, given: Sequence[str] = ()
) -> tuple[HeldDihedral, HeldDihedral]:
    """The dihedrals of a surface.

    Rotors between heavy atoms come first, those that move the most heavy atoms before the others, then bonds to OH, NH2
    and the like. Of equivalent bonds, all but the first come later, and amides, esters and methyl groups last. The
    order is our choice.

    Parameters
    ----------
    molecule : Molecule
    positions : (n_frames, n_atoms, 3), Å
        Geometries that tell which angles are straight.
    given : sequence of str
        Two texts for `read_dihedral`, or none.

    Raises
    ------
    InputError
        The given dihedrals are not two about different bonds that can turn, or the molecule has fewer than two.
    """
    if given and len(given) != 2:
        raise InputError(f"{len(given)} dihedrals are given", expected="two, or none")
    chosen = _read(molecule, given) if given else [atoms for _, atoms in _rotors(molecule, positions)]
    if len(chosen) < 2:
        raise InputError(
            f"{molecule.name} has {len(chosen)} bonds that can turn",
            expected="2 or more for a surface of two dihedrals",
        )
    first, second = (HeldDihedral.of(atoms, molecule.bonds) for atoms in chosen[:2])
    if set(first.atoms[1:3]) == set(second.atoms[1:3]):
        raise InputError("both dihedrals turn about the same bond", expected="dihedrals about different bonds")
    return first, second


def measured_dihedrals(molecule: Molecule, positions: Floats, given: Sequence[str] = ()) -> tuple[tuple[int, ...], ...]:
    """The dihedrals along which ensembles are compared: two or fewer, which may be in rings.

    Without given ones they are those of `two_dihedrals`; one or none for a molecule with so few bonds that can turn.

    Parameters
    ----------
    molecule : Molecule
    positions : (n_frames, n_atoms, 3), Å
        Geometries that tell which angles are straight.
    given : sequence of str
        Texts for `read_dihedral`, two at most.

    Raises
    ------
    InputError
        The given dihedrals are more than two, no chains of bonds, or about the same bond.
    """
    if not given:
        return tuple(atoms for _, atoms in _rotors(molecule, positions)[:2])
    if len(given) > 2:
        raise InputError(f"{len(given)} dihedrals are given", expected="two or fewer")
    chosen = _read(molecule, given)
    for text, atoms in zip(given, chosen, strict=True):
        if len(set(atoms)) != 4 or any(b not in molecule.neighbours[a] for a, b in pairwise(atoms)):
            raise InputError(f"the dihedral {text} is not a chain of bonds", expected="four atoms i-j-k-l in a row")
    if len({frozenset(atoms[1:3]) for atoms in chosen}) < len(chosen):
        raise InputError("both dihedrals turn about the same bond", expected="dihedrals about different bonds")
    return tuple(chosen)


def with_turned_copies(molecule: Molecule, positions: Floats, rng: np.random.Generator) -> Floats:
    """Geometries, and a copy of each with random dihedrals about the bonds that can turn; not of methyl groups.

    A copy in which atoms overlap is made again, and left out if that happens too often.

    Parameters
    ----------
    molecule : Molecule
    positions : (n_frames, n_atoms, 3), Å
    rng : numpy.random.Generator

    Returns
    -------
    (n_found, n_atoms, 3), Å
    """
    chosen = [atoms for kind, atoms in _rotors(molecule, positions) if kind != _METHYL]
    held = [HeldDihedral.of(atoms, molecule.bonds) for atoms in chosen]
    if not held:
        return positions
    bonded = {tuple(pair) for pair in molecule.bonds.tolist()}
    apart = [pair for pair in combinations(range(molecule.n_atoms), 2) if pair not in bonded]
    closest = np.minimum(geometry.distance(positions, apart).min(axis=0), _CLOSEST)
    copies = []
    for frame in positions:
        for _ in range(_TRIALS):
            copy = turned(frame[None], held, rng.uniform(-np.pi, np.pi, (1, len(held))))
            if (geometry.distance(copy, apart)[0] > closest - _TOLERANCE).all():
                copies.append(copy[0])
                break
    return np.concatenate([positions, np.array(copies).reshape(-1, *positions.shape[1:])])


def symmetries(molecule: Molecule, positions: Floats, held: Sequence[HeldDihedral]) -> list[Image]:
    """The symmetries of a surface: permutations of equivalent atoms and mirror images that map its dihedrals to them.

    Parameters
    ----------
    molecule : Molecule
    positions : (n_frames, n_atoms, 3), Å
        Geometries of one handedness.
    held : two HeldDihedrals

    Returns
    -------
    list of Image
        Without the identity; empty for a molecule with more permutations than can be listed.
    """
    atoms = [dihedral.atoms for dihedral in held]
    found: dict[tuple[bool, bool], Image] = {}
    for perm, mirrored in equivalences(molecule, positions):
        mapped = [tuple(perm[list(chain)].tolist()) for chain in atoms]
        swapped = _same(mapped, atoms[::-1])
        if swapped or _same(mapped, atoms):
            found.setdefault((mirrored, swapped), Image(perm, mirrored, swapped))
    found.pop((False, False), None)
    return list(found.values())


def equivalences(molecule: Molecule, positions: Floats) -> list[tuple[NDArray[np.int64], bool]]:
    """Permutations (n_atoms,) of equivalent atoms, each with whether a reflection must follow it.

    The identity comes first. It is the only one for a molecule with more permutations than can be listed.

    Parameters
    ----------
    molecule : Molecule
    positions : (n_frames, n_atoms, 3), Å
        Geometries of one handedness.
    """
    rigid = [bond for bond in molecule.rdkit.GetBonds() if bond.GetBondTypeAsDouble() > 1.0]
    pairs = np.array([(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in rigid], dtype=np.int64).reshape(-1, 2)
    try:
        perms = graph_permutations(molecule.atomic_numbers, molecule.bonds, positions[:1], rigid_bonds=pairs)
    except TooManyPermutationsError:
        return [(np.arange(molecule.n_atoms), False)]
    return [(perm, mirrored) for perm in perms for mirrored in _reflections(molecule, positions[:1], perm)]


def _read(molecule: Molecule, given: Sequence[str]) -> list[tuple[int, ...]]:
    """Atoms of given dihedrals."""
    chosen = [read_dihedral(text) for text in given]
    if max(max(atoms) for atoms in chosen) >= molecule.n_atoms:
        raise InputError(f"the dihedrals are {' and '.join(given)}", expected=f"atoms 0 to {molecule.n_atoms - 1}")
    return chosen


def _same(first: Sequence[tuple[int, ...]], second: Sequence[tuple[int, ...]]) -> bool:
    return all(a in (b, b[::-1]) for a, b in zip(first, second, strict=True))


def _reflections(molecule: Molecule, positions: Floats, perm: NDArray[np.int64]) -> tuple[bool, ...]:
    """Whether a permutation of equivalent atoms needs a mirror image to be the same molecule; both if either serves."""
    centres = [list(others) for others in molecule.neighbours if len(others) == 4]
    if not centres:
        return (False, True)
    signs = []
    for frames in (positions, positions[:, perm]):
        corners = frames[0, np.array(centres)]
        signs.append(np.sign(np.linalg.det(corners[:, 1:] - corners[:, :1])))
    changed = signs[0] != signs[1]
    return (bool(changed[0]),) if changed.all() or not changed.any() else ()


def _rotors(molecule: Molecule, positions: Floats) -> list[tuple[int, tuple[int, ...]]]:
    """Kinds and dihedrals of the bonds that can turn, the preferred ones first."""
    from rdkit import Chem

    straight = sampled_straight_angles(positions, molecule.bonds)
    centres = {middle for _, middle, _ in straight}
    matches = molecule.rdkit.GetSubstructMatches(Chem.MolFromSmarts(_RESONANT))
    resonant = {frozenset((match[0], match[2])) for match in matches}
    heavy, classes = molecule.atomic_numbers > 1, molecule.symmetry_classes
    ranked: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    seen: set[frozenset[int]] = set()
    for i, j, moved in rotatable_bonds(molecule.bonds, straight):
        if molecule.rdkit.GetBondBetweenAtoms(i, j).GetBondTypeAsDouble() != 1.0 or centres & {i, j}:
            continue
        ends = [_end(molecule, atom, other) for atom, other in ((i, j), (j, i))]
        kind = 0 if heavy[ends].all() else 1
        if kind:  # which end has hydrogens alone: that of OH and NH2, or a methyl group?
            bare = [atom for atom, end in zip((i, j), ends, strict=True) if not heavy[end]]
            kind = _METHYL if any(molecule.atomic_numbers[atom] == 6 for atom in bare) else 1
        if frozenset((i, j)) in resonant:
            kind = _RIGID
        alike = frozenset(classes[[i, j]].tolist())
        repeated = int(alike in seen)
        seen.add(alike)
        size = int(heavy[list(moved)].sum())
        ranked.append(((int(kind >= _RIGID), repeated, kind, -size, i, j), (ends[0], i, j, ends[1])))
    return [(rank[2], atoms) for rank, atoms in sorted(ranked)]


def _end(molecule: Molecule, atom: int, other: int) -> int:
    """The neighbour of an atom that ends a dihedral: of the highest element, then by the highest bond order."""

    def rank(neighbour: int) -> tuple[float, ...]:
        bond = molecule.rdkit.GetBondBetweenAtoms(atom, neighbour)
        return float(molecule.atomic_numbers[neighbour]), bond.GetBondTypeAsDouble(), -neighbour

    return max((neighbour for neighbour in molecule.neighbours[atom] if neighbour != other), key=rank)
