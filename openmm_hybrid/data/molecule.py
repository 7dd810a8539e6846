"""Molecules with elements, bonds, formal charges, conformers and a fixed atom order."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import expanded
from openmm_hybrid.core.openff import openff_toolkit
from openmm_hybrid.core.units import positions_to_angstrom, strip
from openmm_hybrid.data.bond_orders import perceived, plain_graph, read_smiles, with_template, without_bonds
from openmm_hybrid.data.conformers import check_geometries, check_unit, checked_integer, embedded, given_conformers
from openmm_hybrid.data.molecule_files import read_molecule

if TYPE_CHECKING:
    from rdkit import Chem

_CHECKED = 3  # conformers from arrays at which we look


@dataclass(frozen=True, eq=False)
class Molecule:
    """One molecule with explicit hydrogens and a fixed atom order.

    Make one with `from_smiles`, `from_file`, `from_rdkit`, `from_geometry` or `from_openff`, not with the constructor.

    Parameters
    ----------
    rdkit : rdkit.Chem.Mol
        Sanitised molecule with explicit hydrogens and without conformers. Do not change it.
    conformers : (n_conformers, n_atoms, 3), Å
    name : str
    """

    rdkit: Chem.Mol = field(repr=False)
    conformers: NDArray[np.float64] = field(repr=False)
    name: str = "molecule"

    @classmethod
    def from_smiles(cls, smiles: str, *, name: str = "", n_conformers: int = 1, seed: int = 0) -> Molecule:
        """A molecule from SMILES, with conformers from ETKDGv3, relaxed with MMFF94 (UFF where MMFF94 lacks a type).

        The heavy atoms keep their order in the SMILES; the hydrogens follow (RDKit's AddHs). All conformers are of one
        isomer. GFN2-xTB relaxes molecules whose shapes MMFF94 and UFF do not know.

        Raises
        ------
        InputError
            The SMILES cannot be parsed, it holds several molecules or a radical, `n_conformers` or `seed` is negative,
            or no geometry was found.

        Warns
        -----
        UserWarning
            The SMILES leaves open which diastereomer it means, or nothing could relax the geometry.
        """
        return cls.from_rdkit(read_smiles(smiles), name=name or smiles, n_conformers=n_conformers, seed=seed)

    @classmethod
    def from_file(cls, path: str | Path, *, name: str = "", record: int | None = None, template: str = "") -> Molecule:
        """The molecule of an SDF, MOL, MOL2 or PDB file, with its coordinates, bond orders and hydrogens.

        The records of an SDF or MOL2 file, or the models of a PDB file, become the conformers.

        Parameters
        ----------
        path : path
            A leading ~ is expanded.
        name : str
            By default the title in the file.
        record : int, optional
            The one record to read, from 0.
        template : str
            SMILES whose bond orders and charges the molecule gets, for PDB and other files without them. A file without
            any hydrogen gets those of the template, with a warning.

        Raises
        ------
        InputError
            The file is missing, of another format, unreadable, of several molecules, in another unit, or lacks
            hydrogens.
        MismatchError
            The records are different molecules, or the template is another molecule.
        """
        path = expanded(path)
        parsed = read_molecule(path, record, template)
        title = parsed.GetProp("_Name").strip("* \n") if parsed.HasProp("_Name") else ""
        return cls.from_rdkit(parsed, name=name or title or path.stem)

    @classmethod
    def from_rdkit(cls, mol: Chem.Mol, *, name: str = "", n_conformers: int = 1, seed: int = 0) -> Molecule:
        """A molecule from RDKit's, in its atom order and with its conformers; new ones are embedded if it has none.

        A flat drawing counts as none, and gives a warning if it claims to be a geometry.

        Raises
        ------
        InputError
            It has implicit hydrogens, dummy atoms, several parts or radicals, coordinates in another unit than Å, or
            no geometry was found.
        MismatchError
            A conformer is another stereoisomer than the molecule states.

        Warns
        -----
        UserWarning
            It has isotopes, or a conformer has implausible lengths.
        """
        from rdkit import Chem

        if not isinstance(mol, Chem.Mol):
            raise InputError(f"a {type(mol).__name__} was given", expected="an rdkit.Chem.Mol")
        if mol.NeedsUpdatePropertyCache():
            mol = Chem.Mol(mol)
            try:
                Chem.SanitizeMol(mol)
            except (ValueError, RuntimeError) as error:
                raise InputError(f"RDKit cannot sanitise {name or 'the molecule'} ({error})") from None
        title = name or (mol.GetProp("_Name") if mol.HasProp("_Name") else "") or Chem.MolToSmiles(Chem.RemoveHs(mol))
        for atom in mol.GetAtoms():
            if not atom.GetAtomicNum():
                raise InputError(f"{title}: atom {atom.GetIdx()} is a dummy atom (*)", expected="an element")
            if atom.GetNumRadicalElectrons():
                raise InputError(
                    f"{title}: atom {atom.GetIdx()} ({atom.GetSymbol()}) is a radical",
                    expected="a closed-shell molecule",
                    hint="add the missing hydrogen or the formal charge",
                )
            if atom.GetNumImplicitHs():
                raise InputError(
                    f"{title}: atom {atom.GetIdx()} ({atom.GetSymbol()}) lacks hydrogens",
                    hint="add them (Chem.AddHs); if none is missing, the file lacks bond orders, as most PDB files do: "
                    'give template="SMILES" (--template on the command line), or an SDF',
                )
        n_parts = len(Chem.GetMolFrags(mol))
        if n_parts != 1:
            raise InputError(
                f"{title} has {n_parts} separate parts",
                expected="one molecule",
                hint="give one part at a time; `solvate` adds water and ions",
            )
        if any(atom.GetIsotope() for atom in mol.GetAtoms()):
            text = "isotopes are ignored: masses are natural; set them with system.setParticleMass"
            warnings.warn(f"{title}: {text}", stacklevel=2)
        clean = Chem.Mol(mol)
        conformers = given_conformers(clean, title)
        if conformers is None:
            clean, conformers = embedded(clean, title, n_conformers, seed)
        clean.RemoveAllConformers()
        return cls(rdkit=clean, conformers=_frozen(conformers), name=title)

    @classmethod
    def from_geometry(
        cls, atomic_numbers: ArrayLike, positions: ArrayLike, *, charge: int = 0, name: str = "", template: str = ""
    ) -> Molecule:
        """A molecule from elements and one geometry, in this atom order, with bonds from the distances.

        RDKit finds connectivity and bond orders (`rdDetermineBonds`, after Kim and Kim, Bull. Korean Chem. Soc. 36,
        1769 (2015)), most reliably for a geometry near a minimum. Stereochemistry is removed. With a template, bond
        orders and charges are the template's, and stereochemistry is the geometry's.

        Parameters
        ----------
        atomic_numbers : (n_atoms,)
        positions : (n_atoms, 3), Å, or a Quantity
        charge : int
            Net charge, e.
        name : str
        template : str
            SMILES of the molecule, whose atoms are matched by elements and connectivity.

        Raises
        ------
        InputError
            The shapes differ, the lengths show another unit, or no bonds fit the geometry and the charge.
        MismatchError
            The template has other atoms, bonds, stereochemistry or another charge.
        """
        elements, geometry = np.asarray(atomic_numbers), positions_to_angstrom(positions)
        if elements.ndim != 1 or not len(elements) or geometry.shape != (len(elements), 3):
            raise InputError(
                f"{elements.shape} atomic numbers and positions {geometry.shape}",
                expected="(n_atoms,) and (n_atoms, 3)",
            )
        title = name or "the molecule"
        if elements.dtype.kind not in "iu" or elements.min() < 1 or elements.max() > 118:
            raise InputError(f"the atomic numbers of {title} are not elements", expected="integers from 1 to 118")
        if not np.isfinite(geometry).all():
            raise InputError(f"{title} has coordinates that are not finite")
        check_unit(title, elements, geometry)
        charge = checked_integer("charge", charge, -1000, 1000)
        bare = without_bonds(elements, geometry)
        if not template:
            return cls.from_rdkit(perceived(bare, charge, title), name=name)
        made = cls.from_rdkit(with_template(bare, template, title), name=name)
        if charge not in (0, made.charge):
            raise MismatchError(f"the template {template!r} has charge {made.charge}", expected=f"{charge}, as given")
        return made

    @classmethod
    def from_openff(cls, molecule: Any) -> Molecule:
        """A molecule from an ``openff.toolkit.Molecule``, in its atom order and with its conformers.

        Its partial charges are not kept: give them to `openmm_hybrid.build` as ``charges=molecule.partial_charges.m``.

        Raises
        ------
        MissingDependencyError
            openff-toolkit is not installed.
        InputError
            Another object was given, or `from_rdkit` refuses the molecule.
        """
        toolkit = openff_toolkit("Molecule.from_openff")
        if not isinstance(molecule, toolkit.Molecule):
            raise InputError(f"a {type(molecule).__name__} was given", expected="an openff.toolkit.Molecule")
        return cls.from_rdkit(molecule.to_rdkit(), name=molecule.name)

    @cached_property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """Atomic numbers (n_atoms,)."""
        return _frozen(np.array([atom.GetAtomicNum() for atom in self.rdkit.GetAtoms()], dtype=np.int64))

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """Element symbols (n_atoms,)."""
        return tuple(atom.GetSymbol() for atom in self.rdkit.GetAtoms())

    @cached_property
    def formal_charges(self) -> NDArray[np.int64]:
        """Formal charges (n_atoms,), e."""
        return _frozen(np.array([atom.GetFormalCharge() for atom in self.rdkit.GetAtoms()], dtype=np.int64))

    @cached_property
    def bonds(self) -> NDArray[np.int64]:
        """Bonded pairs (n_bonds, 2), i < j, sorted."""
        pairs = [sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in self.rdkit.GetBonds()]
        return _frozen(np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2))

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """For each atom the atoms that are bonded to it, in ascending order."""
        around: list[list[int]] = [[] for _ in range(self.n_atoms)]
        for i, j in self.bonds.tolist():
            around[i].append(j)
            around[j].append(i)
        return tuple(tuple(sorted(atoms)) for atoms in around)

    @cached_property
    def symmetry_classes(self) -> NDArray[np.int64]:
        """For each atom the class of topologically equivalent atoms that it belongs to, an integer (n_atoms,).

        See `equivalent_atoms`.
        """
        return _frozen(equivalent_atoms(self.atomic_numbers, self.bonds))

    @property
    def n_atoms(self) -> int:
        """Number of atoms, hydrogens included."""
        return int(self.rdkit.GetNumAtoms())

    @property
    def charge(self) -> int:
        """Net charge, e."""
        return int(self.formal_charges.sum())

    @property
    def positions(self) -> NDArray[np.float64]:
        """The first conformer (n_atoms, 3), Å."""
        return self.conformers[0]

    @property
    def smiles(self) -> str:
        """Canonical SMILES without explicit hydrogens."""
        from rdkit import Chem

        return str(Chem.MolToSmiles(Chem.RemoveHs(self.rdkit)))

    def find(self, smarts: str) -> list[tuple[int, ...]]:
        """Indices of the atoms in each match of a SMARTS pattern, in the pattern's order.

        Raises
        ------
        InputError
            The SMARTS cannot be parsed or does not match.
        """
        from rdkit import Chem, rdBase

        with rdBase.BlockLogs():
            pattern = Chem.MolFromSmarts(smarts)
        if pattern is None:
            raise InputError(f"cannot read the SMARTS {smarts!r}")
        matches = [tuple(match) for match in self.rdkit.GetSubstructMatches(pattern)]
        if not matches:
            raise InputError(
                f"{self.name} has no match for {smarts!r}", hint="check the pattern against Molecule.smiles"
            )
        return matches

    def with_conformers(self, conformers: ArrayLike) -> Molecule:
        """The same molecule with other geometries (n_conformers, n_atoms, 3) or (n_atoms, 3), Å, or a Quantity.

        We look at the first three: units, lengths of bonds, and stated stereochemistry.

        Raises
        ------
        InputError
            A coordinate is not finite, or the lengths show another unit.
        MismatchError
            The shape is wrong, or a geometry is another stereoisomer.

        Warns
        -----
        UserWarning
            A bond has an impossible length, as in another order of atoms, or atoms overlap.
        """
        array = positions_to_angstrom(conformers).copy()
        array = array[None] if array.ndim == 2 else array
        if array.ndim != 3 or array.shape[1:] != (self.n_atoms, 3) or not len(array):
            raise MismatchError(
                f"conformers of {self.name} have shape {array.shape}", expected=f"(n_conformers, {self.n_atoms}, 3)"
            )
        if not np.isfinite(array).all():
            raise InputError(f"conformers of {self.name} have coordinates that are not finite")
        check_geometries(self.rdkit, self.name, array[:_CHECKED])
        return replace(self, conformers=_frozen(array))

    def reordered(self, order: Sequence[int]) -> Molecule:
        """The same molecule and conformers with atom ``order[k]`` as atom k."""
        from rdkit import Chem

        if sorted(order) != list(range(self.n_atoms)):
            raise InputError(f"{list(order)} is not a permutation of the {self.n_atoms} atoms of {self.name}")
        mol = Chem.RenumberAtoms(self.rdkit, [int(i) for i in order])
        return Molecule(rdkit=mol, conformers=_frozen(self.conformers[:, list(order)]), name=self.name)

    def to_rdkit(self) -> Chem.Mol:
        """A copy as an RDKit molecule with all conformers; its title is the name."""
        from rdkit import Chem

        mol = Chem.Mol(self.rdkit)
        mol.SetProp("_Name", self.name)
        for positions in self.conformers:
            conformer = Chem.Conformer(self.n_atoms)
            conformer.SetPositions(np.array(positions))
            mol.AddConformer(conformer, assignId=True)
        return mol

    def to_openff(self, charges: ArrayLike | None = None) -> Any:
        """An ``openff.toolkit.Molecule`` with this atom order, all conformers and the name.

        Stereochemistry may be undefined.

        Parameters
        ----------
        charges : (n_atoms,), e, or a Quantity, optional
            Its partial charges.

        Raises
        ------
        MissingDependencyError
            openff-toolkit is not installed.
        MismatchError
            The number of charges is not the number of atoms.
        """
        toolkit = openff_toolkit("Molecule.to_openff")
        made = toolkit.Molecule.from_rdkit(self.to_rdkit(), allow_undefined_stereo=True, hydrogens_are_explicit=True)
        if charges is not None:
            values = np.array(strip(charges, "charge"), dtype=np.float64)
            if values.shape != (self.n_atoms,):
                raise MismatchError(f"charges have shape {values.shape}", expected=f"({self.n_atoms},) for {self.name}")
            made.partial_charges = toolkit.Quantity(values, "elementary_charge")
        return made


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def equivalent_atoms(atomic_numbers: ArrayLike, bonds: ArrayLike) -> NDArray[np.int64]:
    """For each atom the class of topologically equivalent atoms that it belongs to, an integer (n_atoms,).

    Only elements and bonds (n_bonds, 2) count. Bond orders, formal charges and stereochemistry do not, so that atoms
    that resonance makes equivalent (both oxygens of a carboxylate or a nitro group) share a class.
    """
    from rdkit import Chem

    graph = plain_graph(atomic_numbers, bonds)
    return np.array(list(Chem.CanonicalRankAtoms(graph, breakTies=False)), dtype=np.int64)
