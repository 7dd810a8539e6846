"""Force fields of RDKit and Open Babel as reference engines."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest
from rdkit.Chem import rdForceFieldHelpers

import openmm_hybrid as oh
from openmm_hybrid import reference
from openmm_hybrid.core.errors import InputError, MismatchError, MissingDependencyError
from openmm_hybrid.testing import ReferenceEngineSuite

NEEDS_OPENBABEL = pytest.mark.skipif(find_spec("openbabel") is None, reason="Open Babel is not installed")
NAMES = ["mmff94", "mmff94s", "uff", pytest.param("ghemical", marks=NEEDS_OPENBABEL)]
SMILES = [
    "CC(=O)[O-]",
    "C[NH3+]",
    "CC(=O)Oc1ccccc1C(=O)O",
    "CS(=O)(=O)N",
    "C[N+](=O)[O-]",
    "c1ccncc1Cl",
    "CC#N",
    "C/N=N/C",
]


class _Suite(ReferenceEngineSuite):
    name = ""

    def make(self, charge=0, multiplicity=1):
        engine = reference.engine(self.name, charge=charge, multiplicity=multiplicity)
        return engine.for_molecule(oh.Molecule.from_geometry(self.atomic_numbers, self.positions))


class TestMmff94(_Suite):
    name = "mmff94"


class TestMmff94s(_Suite):
    name = "mmff94s"


class TestUff(_Suite):
    name = "uff"


@NEEDS_OPENBABEL
class TestGhemical(_Suite):
    name = "ghemical"


def _engine(name, molecule):
    return reference.engine(name, charge=molecule.charge).for_molecule(molecule)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("smiles", SMILES)
def test_forces_are_minus_the_gradient(name, smiles):
    molecule = oh.Molecule.from_smiles(smiles)
    engine = _engine(name, molecule)
    rng = np.random.default_rng(0)
    positions = molecule.positions + 0.03 * rng.normal(size=molecule.positions.shape)
    forces = engine.compute(molecule.atomic_numbers, positions)[1]
    direction = rng.normal(size=positions.shape)
    up, down = (engine.compute(molecule.atomic_numbers, positions + sign * 1e-4 * direction)[0] for sign in (1, -1))
    assert (forces * direction).sum() == pytest.approx((down - up) / 2e-4, abs=0.01)


def test_energies_are_rdkit_s():
    """RDKit's own one-line energies, in kcal/mol."""
    molecule = oh.Molecule.from_smiles("CC(=O)[O-]")
    mol = molecule.to_rdkit()
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    for name, field in (
        ("mmff94", rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties)),
        ("uff", rdForceFieldHelpers.UFFGetMoleculeForceField(mol)),
    ):
        engine = _engine(name, molecule)
        assert engine.theory == f"{name.upper()}, charge -1"
        energy, forces = engine.compute(molecule.atomic_numbers, molecule.positions)
        assert energy == pytest.approx(field.CalcEnergy(), abs=1e-8)
        np.testing.assert_allclose(-forces.ravel(), field.CalcGrad(), atol=1e-8)


@NEEDS_OPENBABEL
def test_energies_are_open_babel_s():
    """Open Babel itself, from SMILES and coordinates; it states kJ/mol."""
    from openbabel import openbabel

    molecule = oh.Molecule.from_smiles("CCO")
    conversion, mol = openbabel.OBConversion(), openbabel.OBMol()
    conversion.SetInFormat("smi")
    conversion.ReadString(mol, "CCO")
    mol.AddHydrogens()  # each carbon's in turn, then oxygen's, as RDKit adds them
    for atom, position in zip(openbabel.OBMolAtomIter(mol), molecule.positions.tolist(), strict=True):
        atom.SetVector(*position)
    field = openbabel.OBForceField.FindForceField("Ghemical")
    assert field.Setup(mol)
    assert field.GetUnit() == "kJ/mol"
    energy = _engine("ghemical", molecule).compute(molecule.atomic_numbers, molecule.positions)[0]
    assert energy * 4.184 == pytest.approx(field.Energy(False), abs=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_a_molecule_and_of_bare_atoms_are_equal(tmp_path, name):
    molecule = oh.Molecule.from_smiles("CC(=O)[O-]")
    positions = molecule.positions * np.array([1.0, 1.02, 1.3])[:, None, None]
    engine = reference.engine(name, charge=-1)
    with_bonds, bare = (
        reference.label(engine, atoms, positions, output=tmp_path / f"{i}.npz", progress=False).frames
        for i, atoms in enumerate((molecule, molecule.atomic_numbers))
    )
    np.testing.assert_array_equal(with_bonds.energies, bare.energies)
    assert len(bare) == 3  # the bonds are those of the first frame, also where the others are stretched


def test_a_journal_belongs_to_its_bonds(tmp_path):
    """Two sets of bonds for the same atoms and geometry: an ylide has the formal charges that the amine lacks."""
    nitrone = oh.Molecule.from_smiles("C=[N+]([O-])C")
    drawn = nitrone.to_rdkit()
    changed = oh.Molecule.from_smiles("C=[N+]([O-])C")
    drawn.GetAtomWithIdx(2).SetFormalCharge(0)
    drawn.GetAtomWithIdx(1).SetFormalCharge(0)
    drawn.GetBondBetweenAtoms(1, 2).SetBondType(drawn.GetBondBetweenAtoms(0, 1).GetBondType())
    other = oh.Molecule(rdkit=drawn, conformers=changed.conformers)
    assert _engine("uff", nitrone).settings == _engine("uff", changed).settings
    assert reference.engine("uff").settings == ""
    engine = reference.engine("uff")
    reference.label(engine, nitrone, nitrone.conformers, output=tmp_path / "a.npz", progress=False)
    with pytest.raises(MismatchError, match="settings differs"):
        reference.label(engine, other, nitrone.conformers, output=tmp_path / "a.npz", progress=False)


def test_what_a_force_field_cannot_do_is_refused(monkeypatch):
    water, acetate = oh.Molecule.from_smiles("O"), oh.Molecule.from_smiles("CC(=O)[O-]")
    engine = reference.engine("mmff94")
    with pytest.raises(InputError, match=r"needs the bonds of the molecule; use engine\.for_molecule"):
        engine.compute(water.atomic_numbers, water.positions)
    with pytest.raises(MismatchError, match=r"expected -1 e .*charge=molecule\.charge"):
        engine.for_molecule(acetate)
    with pytest.raises(MismatchError, match="not those of O"):
        engine.for_molecule(water).compute(water.atomic_numbers[::-1], water.positions)
    with pytest.raises(InputError, match="MMFF94 lacks parameters for B"):
        engine.for_molecule(oh.Molecule.from_smiles("B"))
    with pytest.raises(InputError, match="multiplicity 2 was given for UFF"):
        reference.engine("uff", multiplicity=2)
    with pytest.raises(InputError, match="method 'uff' was given for MMFF94;"):
        reference.engine("mmff94:uff")
    with pytest.raises(InputError, match="basis 'sto-3g' was given for UFF"):
        reference.engine("uff", basis="sto-3g")
    monkeypatch.setitem(sys.modules, "openbabel", None)
    with pytest.raises(MissingDependencyError, match=r"pip install .*\[labels\].*openbabel-wheel"):
        reference.engine("ghemical")


def test_bonds_that_are_not_clear_are_told(tmp_path):
    water = oh.Molecule.from_smiles("O")
    with pytest.raises(InputError, match=r"needs the bonds.*give a Molecule"):
        reference.label(
            reference.engine("mmff94", charge=2), water.atomic_numbers, water.conformers, output=tmp_path / "a.npz"
        )
