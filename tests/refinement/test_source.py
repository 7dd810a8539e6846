"""Molecules that `refine` takes: files with a template, folders of `build`, OpenFF molecules, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

import openmm_hybrid as oh
from openmm_hybrid.core.errors import HybridError, InputError, MismatchError
from openmm_hybrid.refinement.source import Source, read_source
from openmm_hybrid.systems.build_folder import write_build

ACETAMIDE = "CC(N)=O"
METHANOL_CHARGES = [0.1167, -0.5988, 0.0287, 0.0287, 0.0287, 0.396]


@pytest.fixture
def pose(tmp_path: Path) -> Path:
    """Acetamide in a PDB file that has bonds, and no bond orders."""
    molecule = oh.Molecule.from_smiles(ACETAMIDE, seed=3).to_rdkit()
    for bond in molecule.GetBonds():
        bond.SetBondType(Chem.BondType.SINGLE)
    path = tmp_path / "pose.pdb"
    path.write_text(Chem.MolToPDBBlock(molecule))
    return path


def built(folder: Path, smiles: str = "CO", *, padding: float | None = None) -> Path:
    system = oh.build(oh.Molecule.from_smiles(smiles), charges=METHANOL_CHARGES, progress=False)
    write_build(
        folder, system if padding is None else system.solvate(padding=padding), base="gaff-2.2.20", method="resp"
    )
    return folder


def test_a_pose_gets_the_bond_orders_of_the_template_and_keeps_its_geometry(pose: Path) -> None:
    found = read_source(str(pose), ACETAMIDE)
    assert found.molecule.smiles == ACETAMIDE
    np.testing.assert_allclose(
        found.molecule.positions, oh.Molecule.from_smiles(ACETAMIDE, seed=3).positions, atol=1e-3
    )
    with pytest.raises(InputError, match=r'lacks bond orders.*template="SMILES" \(--template'):
        read_source(pose)
    with pytest.raises(MismatchError, match="template 'CCO'"):
        read_source(pose, "CCO")


@pytest.mark.parametrize("padding", [None, 10.0])
def test_a_folder_of_build_brings_base_and_charges(tmp_path: Path, padding: float | None) -> None:
    found = read_source(built(tmp_path / "methanol", padding=padding))
    assert (found.molecule.smiles, found.base, found.method) == ("CO", "gaff-2.2.20", "resp")
    np.testing.assert_allclose(found.charges, METHANOL_CHARGES, atol=1e-12)
    settings = found.settled(oh.RefineSettings(charges="resp"))
    assert (settings.base, settings.charges) == ("gaff-2.2.20", "resp")


def test_a_damaged_folder_of_build_is_refused(tmp_path: Path) -> None:
    folder = built(tmp_path / "methanol")
    (folder / "molecule.sdf").write_text(Chem.MolToMolBlock(oh.Molecule.from_smiles("CS").to_rdkit()))
    with pytest.raises(MismatchError, match="does not start with the atoms"):
        read_source(folder)
    (folder / "molecule.sdf").unlink()
    with pytest.raises(InputError, match=r"no molecule\.sdf"):
        read_source(folder)
    for text in ("[]", "{", '{"base": "gaff-1.81"}'):
        (folder / "molecule.sdf").touch()
        (folder / "build.json").write_text(text)
        with pytest.raises(InputError, match=r"build\.json is damaged"):
            read_source(folder)


def test_an_openff_molecule_brings_its_partial_charges() -> None:
    toolkit = pytest.importorskip("openff.toolkit")
    molecule = toolkit.Molecule.from_smiles("CO")
    plain = read_source(molecule)
    assert (plain.molecule.smiles, plain.charges, plain.charges_key) == ("CO", None, "")
    assert plain.settled(oh.RefineSettings()).charges == "am1-bcc"
    molecule.partial_charges = toolkit.Quantity(np.array(METHANOL_CHARGES), "elementary_charge")
    given = read_source(molecule)
    np.testing.assert_allclose(given.charges, METHANOL_CHARGES)
    assert given.charges_key
    assert given.settled(oh.RefineSettings()).charges == "given"
    with pytest.raises(MismatchError, match=r"charges is 'nagl', and .* comes with 'given'"):
        given.settled(oh.RefineSettings(charges="nagl"))


def test_settings_fill_in_what_the_molecule_does_not_bring() -> None:
    source = Source(oh.Molecule.from_smiles("CO"))
    settings = source.settled(oh.RefineSettings())
    assert (settings.base, settings.charges) == ("gaff-2.2.20", "am1-bcc")
    settings = source.settled(oh.RefineSettings(base="gaff-1.81", charges="resp"))
    assert (settings.base, settings.charges) == ("gaff-1.81", "resp")


def test_other_things_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a template is given for CCO"):
        read_source("CCO", "CCO")
    with pytest.raises(InputError, match="a template is given for Molecule"):
        read_source(oh.Molecule.from_smiles("CO"), "CO")
    with pytest.raises(InputError, match="a list was given"):
        read_source([1, 2])
    for path in (tmp_path, str(tmp_path), tmp_path / "molecule.cif"):
        with pytest.raises(InputError, match="cannot read a molecule from"):
            read_source(path)
    with pytest.raises(HybridError):
        read_source("C" * 300 + "nonsense")
