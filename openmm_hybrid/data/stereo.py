"""Stereochemistry that a molecule does not specify, and one isomer chosen for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from openmm_hybrid.core.errors import MismatchError

if TYPE_CHECKING:
    from rdkit import Chem

_HYDROGEN, _NITROGEN, _OXYGEN = 1, 7, 8
_CHOSEN = "openmm_hybrid_mirror_image"  # property of a centre whose mirror image is the same to the user
_ACIDS = (15, 16)  # phosphorus and sulfur, whose acidic protons move from one oxygen to the other


@dataclass(frozen=True)
class Unspecified:
    """Stereocentres and double bonds whose configuration a molecule leaves open.

    Nitrogen with a hydrogen, which inverts or exchanges it, and phosphorus and sulfur with two oxygens that share a
    proton do not count.

    Parameters
    ----------
    centres : tuple of int
        Indices of atoms.
    bonds : tuple of int
        Indices of double bonds.
    n_centres : int
        Number of all stereocentres of the molecule, specified ones included.
    n_open : int
        Number of all open centres and double bonds, with those that do not count.
    """

    centres: tuple[int, ...]
    bonds: tuple[int, ...]
    n_centres: int
    n_open: int

    @classmethod
    def of(cls, mol: Chem.Mol) -> Unspecified:
        """What the molecule, with explicit hydrogens, leaves open."""
        from rdkit import Chem

        centres, bonds, n_centres, n_open = [], [], 0, 0
        for element in Chem.FindPotentialStereo(mol):
            unknown = element.specified == Chem.StereoSpecified.Unspecified
            n_open += unknown
            if element.type == Chem.StereoType.Atom_Tetrahedral:
                counts = _keeps_configuration(mol.GetAtomWithIdx(element.centeredOn))
                n_centres += counts
                centres += [element.centeredOn] * (counts and unknown)
            elif element.type == Chem.StereoType.Bond_Double and unknown:
                bonds += [element.centeredOn] * _is_rigid(mol.GetBondWithIdx(element.centeredOn))
        return cls(tuple(centres), tuple(bonds), n_centres, n_open)

    @property
    def diastereomers(self) -> bool:
        """Whether the isomers differ in energy. A single open centre leaves mirror images, which do not."""
        return bool(self.bonds or (self.centres and self.n_centres > 1))

    def specified(self, mol: Chem.Mol, shape: Chem.Mol) -> Chem.Mol:
        """A copy of the molecule with the configuration of `shape` where it is open and counts."""
        from rdkit import Chem

        known = Chem.Mol(mol)
        for index in self.centres:
            atom = known.GetAtomWithIdx(index)
            atom.SetChiralTag(shape.GetAtomWithIdx(index).GetChiralTag())
            atom.SetBoolProp(_CHOSEN, not self.diastereomers)
        for index in self.bonds:
            double = known.GetBondWithIdx(index)
            for atom in (double.GetBeginAtom(), double.GetEndAtom()):
                for bond in atom.GetBonds():
                    bond.SetBondDir(shape.GetBondWithIdx(bond.GetIdx()).GetBondDir())
        Chem.AssignStereochemistry(known, cleanIt=True, force=True)
        return known

    def sentence(self, mol: Chem.Mol, title: str, chosen: str) -> str:
        """A warning that names the atoms and the isomer chosen (SMILES)."""
        places = [f"atom {index} ({mol.GetAtomWithIdx(index).GetSymbol()})" for index in self.centres]
        for index in self.bonds:
            bond = mol.GetBondWithIdx(index)
            places.append(f"the bond {bond.GetBeginAtomIdx()}-{bond.GetEndAtomIdx()}")
        return (
            f"{title} leaves the configuration of {', '.join(places)} open; {chosen} was made. Give the SMILES with "
            "/ \\ and @ of the isomer that you want"
        )


def check_configuration(mol: Chem.Mol, positions: NDArray[Any], what: str) -> None:
    """Refuse a geometry (n_atoms, 3) of another stereoisomer than the one that the molecule states.

    Configurations that the molecule leaves open, and those that a nitrogen or an acidic proton can change, do not
    count.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With explicit hydrogens.
    positions : (n_atoms, 3), Å
    what : str
        Noun for the message, with the name of the molecule.

    Raises
    ------
    MismatchError
        A stated centre or double bond has the other configuration.
    """
    from rdkit import Chem

    hands = {Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW}
    sides = {Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOZ}
    centres = [a for a in mol.GetAtoms() if a.GetChiralTag() in hands and _keeps_configuration(a) and not _either(a)]
    doubles = [b for b in mol.GetBonds() if b.GetStereo() in sides and _is_rigid(b)]
    if not centres and not doubles:
        return
    shape = Chem.Mol(mol)
    shape.RemoveAllConformers()
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(positions.astype(float))
    shape.AddConformer(conformer)
    Chem.AssignStereochemistryFrom3D(shape, replaceExistingTags=True)
    wrong = [
        f"atom {atom.GetIdx()} ({atom.GetSymbol()})"
        for atom in centres
        if {atom.GetChiralTag(), shape.GetAtomWithIdx(atom.GetIdx()).GetChiralTag()} == hands
    ] + [
        f"the bond {bond.GetBeginAtomIdx()}-{bond.GetEndAtomIdx()}"
        for bond in doubles
        if {bond.GetStereo(), shape.GetBondWithIdx(bond.GetIdx()).GetStereo()} == sides
    ]
    if wrong:
        raise MismatchError(
            f"{what} has the other configuration at {', '.join(wrong)}",
            expected=f"{Chem.MolToSmiles(Chem.RemoveHs(mol))}, as the molecule states",
            hint="give the SMILES of this isomer, or its geometry",
        )


def isomer_smiles(mol: Chem.Mol) -> str:
    """Canonical SMILES; where the molecule leaves open which diastereomer it is, that of its first conformer.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With explicit hydrogens and a conformer.
    """
    from rdkit import Chem

    unspecified = Unspecified.of(mol)
    if unspecified.diastereomers:
        shape = Chem.Mol(mol)
        Chem.AssignStereochemistryFrom3D(shape, mol.GetConformer().GetId(), replaceExistingTags=True)
        mol = unspecified.specified(mol, shape)
    return str(Chem.MolToSmiles(Chem.RemoveHs(mol)))


def _either(atom: Any) -> bool:
    """Whether the user left the centre open, and both configurations have one energy."""
    return bool(atom.HasProp(_CHOSEN)) and bool(atom.GetBoolProp(_CHOSEN))


def _keeps_configuration(atom: Any) -> bool:
    neighbours = atom.GetNeighbors()
    if atom.GetAtomicNum() == _NITROGEN:
        return all(neighbour.GetAtomicNum() != _HYDROGEN for neighbour in neighbours)
    if atom.GetAtomicNum() in _ACIDS:
        heavy = [_heavy_degree(neighbour) for neighbour in neighbours if neighbour.GetAtomicNum() == _OXYGEN]
        return heavy.count(1) < 2
    return True


def _heavy_degree(atom: Any) -> int:
    return sum(neighbour.GetAtomicNum() != _HYDROGEN for neighbour in atom.GetNeighbors())


def _is_rigid(bond: Any) -> bool:
    """Whether both ends of a double bond have substituents that keep their side: no N-H, no cumulated bonds."""
    for atom in (bond.GetBeginAtom(), bond.GetEndAtom()):
        doubles = sum(other.GetBondTypeAsDouble() >= 2.0 for other in atom.GetBonds())
        protonated = any(neighbour.GetAtomicNum() == _HYDROGEN for neighbour in atom.GetNeighbors())
        if doubles > 1 or (atom.GetAtomicNum() == _NITROGEN and protonated):
            return False
    return True
