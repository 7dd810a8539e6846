"""The force fields MMFF94, MMFF94s and UFF, computed by RDKit, and the parts that engines with bonds share."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np
import rdkit
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers
from rdkit.Chem.rdchem import Mol

from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.reference.reference_engine import ReferenceEngine, charge_and_multiplicity, find_method

METHODS = ("MMFF94", "MMFF94s", "UFF")

_NO_CUTOFF = 1e4
"""Distance, Å, and multiple of the van der Waals radius beyond which RDKit leaves out pairs; more than any molecule."""


@dataclass(frozen=True, eq=False)
class BondedEngine(ReferenceEngine):
    """A classical force field for the bonds and formal charges of one molecule.

    `for_molecule` gives the engine its molecule; `label` calls it. All frames get the same bonds, however far their
    atoms are apart, so that the energies belong to one surface.

    Parameters
    ----------
    method : str
    charge : int
        Net charge, e, of the molecules that the engine takes.
    molecule : Molecule, optional
    """

    method: str
    charge: int = 0
    molecule: Molecule | None = None

    @property
    def theory(self) -> str:
        """Method and net charge, such as "MMFF94, charge -1"."""
        return self.method + charge_and_multiplicity(self.charge, 1)

    @property
    def settings(self) -> str:
        """Hash of the elements, bonds, bond orders and formal charges; empty without a molecule."""
        if self.molecule is None:
            return ""
        mol = self.molecule.rdkit  # aromatic bonds as such: the hash is that of every Kekulé structure
        atoms = [(atom.GetAtomicNum(), atom.GetFormalCharge()) for atom in mol.GetAtoms()]
        ends = [(*sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())), str(b.GetBondType())) for b in mol.GetBonds()]
        return "bonds " + hashlib.sha256(f"{atoms} {sorted(ends)}".encode()).hexdigest()

    @property
    def net_charge(self) -> int:
        """Net charge, e."""
        return self.charge

    @property
    def needs_bonds(self) -> bool:
        """True."""
        return True

    def for_molecule(self, molecule: Molecule) -> Self:
        """See `ReferenceEngine.for_molecule`."""
        if molecule.charge != self.charge:
            raise MismatchError(
                f"{self.theory} is set to the net charge {self.charge:+d} e",
                expected=f"{molecule.charge:+d} e for {molecule.name}",
                hint="give the engine charge=molecule.charge",
            )
        self.check_parameters(molecule)
        return replace(self, molecule=molecule)

    @abstractmethod
    def check_parameters(self, molecule: Molecule) -> None:
        """Refuse a molecule for which the force field lacks parameters, with an InputError."""

    def check(self, atomic_numbers: NDArray[np.int64]) -> None:
        """See `ReferenceEngine.check`. Without a molecule it accepts all atoms."""
        if self.molecule is not None and not np.array_equal(atomic_numbers, self.molecule.atomic_numbers):
            raise MismatchError(
                f"the atoms are not those of {self.molecule.name}", expected="its elements in its order of atoms"
            )

    def bonded(self) -> Molecule:
        """The molecule of the engine.

        Raises
        ------
        InputError
            `for_molecule` has not been called.
        """
        if self.molecule is None:
            raise InputError(f"{self.method} needs the bonds of the molecule", hint="use engine.for_molecule(molecule)")
        return self.molecule


@final
@dataclass(frozen=True, eq=False)
class RdkitEngine(BondedEngine):
    """MMFF94, MMFF94s or UFF by RDKit, with all pairs of atoms and no cutoff.

    MMFF94: Halgren, J. Comput. Chem. 17, 490 (1996); MMFF94s: Halgren, J. Comput. Chem. 20, 720 (1999); both in
    RDKit's implementation: Tosco et al., J. Cheminform. 6, 37 (2014). UFF: Rappé et al., J. Am. Chem. Soc. 114, 10024
    (1992), without electrostatics, so that the net charge acts through the atom types only.

    Parameters
    ----------
    method : "MMFF94", "MMFF94s" or "UFF"
    charge : int
        Net charge, e, of the molecules that the engine takes.
    molecule : Molecule, optional

    Raises
    ------
    InputError
        Unknown method.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", find_method(self.method, METHODS, "rdkit"))

    @property
    def program(self) -> str:
        """The version of RDKit, such as "rdkit 2026.09.1"."""
        return f"rdkit {rdkit.__version__}"

    def check_parameters(self, molecule: Molecule) -> None:
        """See `BondedEngine.check_parameters`."""
        mol = molecule.to_rdkit()
        known = (
            rdForceFieldHelpers.UFFHasAllMoleculeParams
            if self.method == "UFF"
            else rdForceFieldHelpers.MMFFHasAllMoleculeParams
        )
        with rdBase.BlockLogs():
            complete = known(mol)
        if not complete:
            raise InputError(
                f"{self.method} lacks parameters for {molecule.name}", hint="gfn2 has parameters for most elements"
            )

    def evaluate(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """See `ReferenceEngine.evaluate`."""
        mol = with_positions(self.bonded().to_rdkit(), positions)
        with rdBase.BlockLogs():
            if self.method == "UFF":
                field = rdForceFieldHelpers.UFFGetMoleculeForceField(
                    mol, vdwThresh=_NO_CUTOFF, ignoreInterfragInteractions=False
                )
            else:
                types = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol, mmffVariant=self.method)
                field = rdForceFieldHelpers.MMFFGetMoleculeForceField(
                    mol, types, nonBondedThresh=_NO_CUTOFF, ignoreInterfragInteractions=False
                )
        if field is None:
            raise NumericalError(f"{self.theory}: RDKit cannot set up the force field")
        field.Initialize()
        return float(field.CalcEnergy()), -np.array(field.CalcGrad()).reshape(-1, 3)


def mmff94(method: str = "", basis: str = "", charge: int = 0, multiplicity: int = 1) -> RdkitEngine:
    """The engine "mmff94"; see `RdkitEngine`."""
    check_level("MMFF94", method, basis, multiplicity)
    return RdkitEngine("MMFF94", charge)


def mmff94s(method: str = "", basis: str = "", charge: int = 0, multiplicity: int = 1) -> RdkitEngine:
    """The engine "mmff94s"; see `RdkitEngine`."""
    check_level("MMFF94s", method, basis, multiplicity)
    return RdkitEngine("MMFF94s", charge)


def uff(method: str = "", basis: str = "", charge: int = 0, multiplicity: int = 1) -> RdkitEngine:
    """The engine "uff"; see `RdkitEngine`."""
    check_level("UFF", method, basis, multiplicity)
    return RdkitEngine("UFF", charge)


def check_level(name: str, method: str, basis: str, multiplicity: int) -> None:
    """Refuse another method than the one of a force field, a basis, or a multiplicity other than 1.

    Raises
    ------
    InputError
    """
    if method and method.casefold() != name.casefold():
        raise InputError(f"the method {method!r} was given for {name}", expected="no method: the engine has one")
    if basis:
        raise InputError(f"the basis {basis!r} was given for {name}, a force field", hint="leave the basis out")
    if multiplicity != 1:
        raise InputError(
            f"the multiplicity {multiplicity} was given for {name}, a force field",
            expected="1: it knows closed shells only",
            hint="gfn2 and pyscf take radicals",
        )


def kekulized(molecule: Molecule) -> Mol:
    """RDKit's molecule with single, double and triple bonds in place of aromatic ones."""
    mol = molecule.to_rdkit()
    Chem.Kekulize(mol, clearAromaticFlags=True)
    return mol


def with_positions(mol: Mol, positions: NDArray[np.float64]) -> Mol:
    """The molecule with these positions (n_atoms, 3), Å, as its only conformer."""
    mol.RemoveAllConformers()
    conformer = Chem.Conformer(len(positions))
    conformer.SetPositions(positions)
    mol.AddConformer(conformer)
    return mol
