"""Residue templates in the user's own ForceField: files, and the template generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import app, unit

from openmm_hybrid import Molecule, gaff
from openmm_hybrid.core.errors import HybridError, MismatchError
from openmm_hybrid.models.system import SystemModel
from tests.helpers.gaff_molecules import DRUGS, gasteiger


def molecule_of(name: str) -> Molecule:
    return Molecule.from_smiles(DRUGS[name], name=name)


@pytest.mark.filterwarnings("ignore:.*has no Lennard-Jones term in GAFF 1:UserWarning")
@pytest.mark.parametrize("name", ["aspirin", "metronidazole", "phenyl phosphate", "nifedipine"])
def test_users_forcefield_gives_the_same_energies(name: str, tmp_path: Path) -> None:
    molecule = molecule_of(name)
    charges = gasteiger(molecule)
    for kind in set(molecule.symmetry_classes):  # equal charges on equivalent atoms, as RESP and AM1-BCC give them
        charges[molecule.symmetry_classes == kind] = charges[molecule.symmetry_classes == kind].mean()
    built = gaff.build(molecule, charges=charges)
    built.to_ffxml(tmp_path / "ligand.xml")
    forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml", str(tmp_path / "ligand.xml"))
    system = forcefield.createSystem(built.topology)
    found = SystemModel(system, built.topology).energy_terms(molecule.positions)
    expected = built.model().energy_terms(molecule.positions)
    for term in ("bonds", "angles", "propers", "impropers", "nonbonded"):
        assert found.get(term, 0.0) == pytest.approx(expected.get(term, 0.0), abs=1e-7), term


def test_beside_protein_and_water(tmp_path: Path) -> None:
    """Two files of two molecules with a capped alanine and water: the parts' bonded energies add up."""
    aspirin, caffeine = molecule_of("aspirin"), molecule_of("caffeine")
    systems = [gaff.build(m, charges=gasteiger(m)) for m in (aspirin, caffeine)]
    for n, built in enumerate(systems):
        built.to_ffxml(tmp_path / f"{n}.xml")
    forcefield = app.ForceField(
        "amber14-all.xml", "amber14/tip3p.xml", str(tmp_path / "0.xml"), str(tmp_path / "1.xml")
    )
    peptide = app.PDBFile(str(write_peptide(tmp_path / "peptide.pdb")))
    modeller = app.Modeller(peptide.topology, peptide.positions)
    for n, built in enumerate(systems, 1):
        modeller.add(built.topology, built.positions + [0, 0, 1.2 * n] * unit.nanometer)
    modeller.addSolvent(forcefield, padding=0.6 * unit.nanometer)
    system = forcefield.createSystem(
        modeller.topology, nonbondedMethod=app.PME, nonbondedCutoff=0.6 * unit.nanometer, rigidWater=True
    )
    found = SystemModel(system, modeller.topology).energy_terms(modeller.positions.value_in_unit(unit.angstrom))
    alone = forcefield.createSystem(peptide.topology)
    parts = [SystemModel(alone, peptide.topology).energy_terms(peptide.positions.value_in_unit(unit.angstrom))]
    parts += [built.model().energy_terms(m.positions) for built, m in zip(systems, (aspirin, caffeine), strict=True)]
    for term in ("bonds", "angles", "propers", "impropers"):
        assert found[term] == pytest.approx(sum(part[term] for part in parts), abs=1e-6), term


def write_peptide(path: Path) -> Path:
    """Alanine with caps, from RDKit, with the names of the PDB."""
    molecule = Molecule.from_smiles("CC(=O)N[C@@H](C)C(=O)NC")
    residues = (
        ("ACE", "CH3:0 C:1 O:2 HH31:10 HH32:11 HH33:12"),
        ("ALA", "N:3 CA:4 CB:5 C:6 O:7 H:13 HA:14 HB1:15 HB2:16 HB3:17"),
        ("NME", "N:8 C:9 H:18 H1:19 H2:20 H3:21"),
    )
    lines = []
    for number, (residue, atoms) in enumerate(residues, 1):
        for name, _, index in (word.partition(":") for word in atoms.split()):
            x, y, z = molecule.positions[int(index)]
            column = name if len(name) == 4 else f" {name:<3s}"
            lines.append(
                f"ATOM  {len(lines) + 1:5d} {column} {residue} A   {number}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00"
                f"          {molecule.elements[int(index)]:>2s}"
            )
    path.write_text("\n".join([*lines, "END"]) + "\n")
    return path


def test_template_generator() -> None:
    """Types and charges are found when a residue first turns up, once; other residues are left alone."""
    ethanol, phenol = Molecule.from_smiles("CCO"), Molecule.from_smiles("Oc1ccccc1")
    charges = [gasteiger(ethanol), gasteiger(phenol)]
    built = gaff.build([phenol, ethanol, phenol], charges=[charges[1], charges[0], charges[1]])
    forcefield = app.ForceField("amber14/tip3p.xml")
    forcefield.registerTemplateGenerator(gaff.template_generator([ethanol, phenol], "1.81", charges))
    modeller = app.Modeller(built.topology, built.positions)
    modeller.addSolvent(forcefield, padding=0.5 * unit.nanometer)
    system = forcefield.createSystem(modeller.topology)
    found = SystemModel(system, modeller.topology).energy_terms(modeller.positions.value_in_unit(unit.angstrom))
    expected = built.model().energy_terms(built.positions.value_in_unit(unit.angstrom))
    for term in ("bonds", "angles", "propers", "impropers"):
        assert found[term] == pytest.approx(expected[term], abs=1e-6)

    other = gaff.build(Molecule.from_smiles("CCN"), charges=gasteiger(Molecule.from_smiles("CCN")))
    with pytest.raises(ValueError, match="No template found"):
        forcefield.createSystem(other.topology)


def test_atoms_that_openmm_may_exchange_take_their_types_along(tmp_path: Path) -> None:
    """Charges that differ on equivalent atoms: after any exchange the set of charges is still the same."""
    benzene = Molecule.from_smiles("c1ccccc1")
    charges = np.linspace(-0.3, 0.3, 12)
    built = gaff.build(benzene, charges=charges)
    built.to_ffxml(tmp_path / "benzene.xml")
    system = app.ForceField(str(tmp_path / "benzene.xml")).createSystem(built.topology)
    force = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    found = [force.getParticleParameters(i)[0]._value for i in range(12)]
    np.testing.assert_allclose(sorted(found), charges, rtol=1e-12)


def test_refusals(tmp_path: Path) -> None:
    amber = gaff.from_prmtop(Path(__file__).parent / "gaff" / "leap" / "isobutyrate.prmtop", np.eye(13, 3))
    with pytest.raises(MismatchError, match="residue templates"):
        amber.to_ffxml(tmp_path / "x.xml")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    ethanol = Molecule.from_smiles("CCO")
    with pytest.raises(HybridError, match="cannot write"):
        gaff.build(ethanol, charges=gasteiger(ethanol)).to_ffxml(tmp_path / "file" / "x.xml")


def generator(*smiles: str, charges: object = "resp") -> object:
    return gaff.template_generator([Molecule.from_smiles(text) for text in smiles], "1.81", charges)


def test_a_template_generator_refuses_isomers_that_a_residue_does_not_tell_apart() -> None:
    with pytest.raises(MismatchError, match=r"the molecules 0 .* and 1 .* have the same elements and bonds"):
        generator("F/C=C/F", "F/C=C\\F")
    with pytest.raises(MismatchError, match=r"the molecules 0 .* and 2 "):
        generator("C[C@H](O)[C@H](C)F", "CCO", "C[C@H](O)[C@@H](C)F")
    with pytest.raises(MismatchError, match="other parameters or charges"):
        generator("CCO", "CCO", charges=[np.zeros(9), np.linspace(-0.4, 0.4, 9)])
    generator("C[C@H](O)F", "C[C@@H](O)F", "CCO", "OCC")
    generator("CCO", "CCO", charges=[np.zeros(9), np.zeros(9)])
