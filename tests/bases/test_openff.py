"""OpenFF: molecules there and back, its typing of GAFF, and its force fields against its own Systems."""

from __future__ import annotations

import sys

import numpy as np
import openmm
import pytest
from openmm import app

import openmm_hybrid as oh
from openmm_hybrid import Molecule, gaff
from openmm_hybrid.bases import BASES, openff
from openmm_hybrid.core.errors import InputError, MismatchError, MissingDependencyError
from openmm_hybrid.models.system import SystemModel
from tests.helpers.gaff_molecules import DRUGS, gasteiger
from tests.helpers.openff_systems import by_generator, by_interchange

MOLECULES = {name: DRUGS[name] for name in ("aspirin", "paracetamol", "imatinib", "caffeine", "celecoxib")}
MOLECULES |= {
    name: DRUGS[name] for name in ("warfarin", "sulfamethoxazole", "diazepam", "penicillin G", "propionitrile")
}
MOLECULES |= {name: DRUGS[name] for name in ("phenyl phosphate", "methylguanidinium", "fluorouracil")}
MOLECULES |= {"ethanol": "CCO", "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O"}


@pytest.fixture(params=MOLECULES)
def molecule(request: pytest.FixtureRequest) -> Molecule:
    return Molecule.from_smiles(MOLECULES[request.param], name=request.param)


def displaced(molecule: Molecule) -> np.ndarray:
    return molecule.positions + np.random.default_rng(0).normal(scale=0.05, size=(molecule.n_atoms, 3))


def assert_equal_terms(found: SystemModel, expected: SystemModel, positions: np.ndarray) -> None:
    energies = found.energy_terms(positions)
    for term, energy in expected.energy_terms(positions).items():
        assert energies.get(term, 0.0) == pytest.approx(energy, rel=1e-9, abs=1e-9), term


def test_there_and_back(molecule: Molecule) -> None:
    charges = gasteiger(molecule)
    openff = molecule.to_openff(charges)
    assert openff.name == molecule.name
    np.testing.assert_array_equal(openff.partial_charges.m, charges)
    back = Molecule.from_openff(openff)
    assert back.elements == molecule.elements
    assert back.smiles == molecule.smiles
    np.testing.assert_array_equal(back.bonds, molecule.bonds)
    np.testing.assert_array_equal(back.formal_charges, molecule.formal_charges)
    np.testing.assert_allclose(back.conformers, molecule.conformers, rtol=1e-12, atol=1e-12)


def test_every_conformer_goes_over() -> None:
    butane = Molecule.from_smiles("CCCC", n_conformers=4)
    assert butane.to_openff().n_conformers == len(butane.conformers) == 4
    assert butane.to_openff().partial_charges is None


def test_wrong_things() -> None:
    ethanol = Molecule.from_smiles("CCO")
    with pytest.raises(MismatchError, match=r"\(3,\).*\(9,\)"):
        ethanol.to_openff([0.0, 0.0, 0.0])
    with pytest.raises(InputError, match=r"expected an openff\.toolkit\.Molecule"):
        Molecule.from_openff("CO")


@pytest.mark.filterwarnings("ignore:.*has no Lennard-Jones term in GAFF 1:UserWarning")
def test_gaff_types_by_openmmforcefields_are_ours(molecule: Molecule) -> None:
    """A peer: both ask antechamber in the end. It reads an SDF here and there, with the same bond orders."""
    charges = gasteiger(molecule)
    expected = gaff.build(molecule, charges=charges)
    found = gaff.build(molecule, charges=charges, typing="openff")
    assert found.model().predict(molecule.positions)[0] == pytest.approx(
        expected.model().predict(molecule.positions)[0], abs=1e-6
    )


@pytest.mark.parametrize("version", ["2.3.0", "2.2.1"])
def test_sage_equals_interchange(molecule: Molecule, version: str) -> None:
    charges = gasteiger(molecule)
    built = oh.build(molecule, base=f"openff-{version}", charges=charges)
    expected = by_interchange(molecule, version, charges)
    assert_equal_terms(built.model(), SystemModel(expected, built.topology), displaced(molecule))


def test_sage_equals_the_template_generator() -> None:
    """SMIRNOFFTemplateGenerator through SystemGenerator of openmmforcefields (a peer)."""
    aspirin = Molecule.from_smiles(DRUGS["aspirin"])
    charges = gasteiger(aspirin)
    built = oh.build(aspirin, base="openff-2.2.1", charges=charges)
    expected = by_generator(aspirin, "openff-2.2.1", charges, built.topology)
    assert_equal_terms(built.model(), SystemModel(expected, built.topology), displaced(aspirin))


def test_force_field_of_a_sage_system(molecule: Molecule) -> None:
    charges = gasteiger(molecule)
    system = by_interchange(molecule, "2.3.0", charges)
    topology = oh.build(molecule, base="openff-2.3.0", charges=charges).topology
    positions = displaced(molecule)
    expected, forces = SystemModel(system, topology).predict(positions)
    energy, found = oh.ForceField.from_system(system, topology).predict(positions[None])
    assert energy[0] == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(found[0], forces, rtol=1e-7, atol=1e-7)


def test_xml_keeps_three_impropers_for_each_centre(molecule: Molecule, tmp_path: object) -> None:
    charges = gasteiger(molecule)
    built = oh.build(molecule, base="openff-2.3.0", charges=charges)
    forcefield = oh.ForceField.from_system(built.system, built.topology)
    forcefield.to_ffxml(f"{tmp_path}/sage.xml")
    chosen = app.ForceField(f"{tmp_path}/sage.xml").createSystem(built.topology)
    positions = displaced(molecule)
    expected = built.model().energy_terms(positions)
    found = SystemModel(chosen, built.topology).energy_terms(positions)
    for term in ("bonds", "angles", "propers", "impropers"):
        # ForceField may exchange atoms that are equivalent in the graph, which moves their positions only.
        assert found.get(term, 0.0) == pytest.approx(expected.get(term, 0.0), rel=1e-9, abs=1e-9), term


def test_frcmod_cannot_hold_impropers_of_openff(tmp_path: object) -> None:
    """AMBER has one improper for each centre."""
    formamide = Molecule.from_smiles("C(=O)N")
    built = oh.build(formamide, base="openff-2.3.0", charges=gasteiger(formamide))
    forcefield = oh.ForceField.from_system(built.system, built.topology, types=["c"] * formamide.n_atoms)
    with pytest.raises(MismatchError, match="central atom first"):
        forcefield.to_frcmod(f"{tmp_path}/sage.frcmod")


def test_what_sage_has_no_parameters_for() -> None:
    silane = Molecule.from_smiles("C[Si](C)(C)C", name="TMS")
    with pytest.raises(InputError, match=r"TMS: openff-2\.3\.0 has no parameters for the bond C-Si of atoms 0-1"):
        oh.build(silane, base="openff-2.3.0", charges=np.zeros(silane.n_atoms))


def test_pre_releases_can_be_named() -> None:
    assert "2.3.0-rc2" not in BASES.load("openff").versions()
    assert oh.bases.base_forcefield("openff-2.3.0-rc2").name == "openff-2.3.0-rc2"


def test_constraints_keep_the_lengths_of_sage() -> None:
    aspirin = Molecule.from_smiles(DRUGS["aspirin"])
    built = oh.build(aspirin, base="openff-2.3.0", charges=gasteiger(aspirin), constraints="HBonds")
    expected = by_interchange(aspirin, "2.3.0", gasteiger(aspirin), constrained=True)

    def lengths(system: openmm.System) -> dict[frozenset[int], float]:
        rows = [system.getConstraintParameters(k) for k in range(system.getNumConstraints())]
        return {frozenset((i, j)): length._value for i, j, length in rows}

    found = lengths(built.system)
    assert found.keys() == lengths(expected).keys()
    for pair, length in lengths(expected).items():
        assert found[pair] == pytest.approx(length, rel=1e-9)


def test_without_openff_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "openff"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openff.toolkit", None)
    ethanol = Molecule.from_smiles("CCO")
    line = r'needs openff-toolkit.*pip install "openmm-hybrid\[openff\]"'
    with pytest.raises(MissingDependencyError, match=line):
        gaff.build(ethanol, typing="openff", charges=gasteiger(ethanol))
    with pytest.raises(MissingDependencyError, match=line):
        oh.build(ethanol, base="openff-2.3.0", charges=gasteiger(ethanol))
    with pytest.raises(MissingDependencyError, match=line):
        oh.build(ethanol, charges="nagl")
    with pytest.raises(MissingDependencyError, match=line):
        ethanol.to_openff()
    monkeypatch.setattr(openff, "_installed", set)
    with pytest.raises(MissingDependencyError, match=line):
        oh.build(ethanol, base="openff-2.3.0", charges=gasteiger(ethanol))
