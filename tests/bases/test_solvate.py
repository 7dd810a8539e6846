"""Solvated GAFF systems: neutral, whole, the solute's own terms, and fit for a barostat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import app, unit

from openmm_hybrid import Molecule, gaff
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.sampling.minimize import minimize
from tests.helpers.gaff_molecules import gasteiger


@pytest.fixture(scope="module")
def anion() -> gaff.BuiltSystem:
    molecule = Molecule.from_smiles("CC(=O)Oc1ccccc1C(=O)[O-]", name="aspirin anion")
    return gaff.build(molecule, charges=gasteiger(molecule))


def force_of(system: openmm.System, kind: type) -> openmm.Force:
    return next(force for force in system.getForces() if isinstance(force, kind))


def residues(topology: app.Topology) -> dict[str, int]:
    names = [residue.name for residue in topology.residues()]
    return {name: names.count(name) for name in set(names)}


def test_box_is_neutral_and_periodic(anion: gaff.BuiltSystem) -> None:
    solvated = anion.solvate(padding=12 * unit.angstrom, ionic_strength=0.15, cutoff=0.9 * unit.nanometer)
    nonbonded = force_of(solvated.system, openmm.NonbondedForce)
    charges = [nonbonded.getParticleParameters(i)[0]._value for i in range(nonbonded.getNumParticles())]
    assert sum(charges) == pytest.approx(0.0, abs=1e-9)
    assert nonbonded.getNonbondedMethod() == openmm.NonbondedForce.PME
    assert nonbonded.getCutoffDistance() == 0.9 * unit.nanometer
    counts = residues(solvated.topology)
    assert counts["MOL"] == 1
    assert counts["NA"] == counts.get("CL", 0) + 1
    assert counts["HOH"] > 300
    box = np.diag([[x._value for x in row] for row in solvated.system.getDefaultPeriodicBoxVectors()])
    assert (box >= 2.4 - 1e-9).all()
    positions = solvated.positions.value_in_unit(unit.nanometer)
    np.testing.assert_allclose(positions[:20].mean(axis=0), box / 2, atol=1e-9)
    np.testing.assert_allclose(
        positions[:20] - positions[0], (anion.positions - anion.positions[0]).value_in_unit(unit.nanometer), atol=1e-9
    )


def test_solute_keeps_its_terms(anion: gaff.BuiltSystem) -> None:
    """Bonded terms and 1-4 exceptions of the solute are those of the vacuum system, index by index."""
    solvated = anion.solvate(padding=10.0, cutoff=8.0)
    n_atoms = anion.topology.getNumAtoms()
    for kind, number, get in (
        (openmm.HarmonicBondForce, "getNumBonds", "getBondParameters"),
        (openmm.HarmonicAngleForce, "getNumAngles", "getAngleParameters"),
        (openmm.PeriodicTorsionForce, "getNumTorsions", "getTorsionParameters"),
        (openmm.NonbondedForce, "getNumExceptions", "getExceptionParameters"),
    ):
        terms = []
        for system in (anion.system, solvated.system):
            force = force_of(system, kind)
            rows = [getattr(force, get)(index) for index in range(getattr(force, number)())]
            terms.append(sorted(map(str, (row for row in rows if row[0] < n_atoms))))
        assert terms[0] == terms[1]
        assert terms[0]


@pytest.mark.parametrize("water", ["tip3pfb", "spce", "opc3", "tip4pew", "tip4pfb", "opc"])
def test_water_models(water: str) -> None:
    methanol = Molecule.from_smiles("CO")
    solvated = gaff.build(methanol, charges=gasteiger(methanol)).solvate(water=water, padding=8.0, cutoff=7.0)
    sites = {residue.name: len(list(residue.atoms())) for residue in solvated.topology.residues()}
    assert sites["HOH"] == (4 if water in ("tip4pew", "tip4pfb", "opc") else 3)
    # In double precision: OpenMM's search sometimes gives up at its first step on the CPU platform.
    energy = minimize(solvated.system, solvated.positions, max_iterations=50)[1]
    assert -7.0 > energy / solvated.topology.getNumResidues() > -15.0


@pytest.mark.parametrize("water", ["tip3p", "opc"])
@pytest.mark.parametrize("smiles", [["O"], ["CCO", "O"], ["O", "[O-]C=O"], ["OO"]])
def test_water_among_the_molecules_keeps_its_own_template(smiles: list[str], water: str) -> None:
    """The solute has the charges that it was built with and stays flexible; the solvent has those of its model."""
    molecules = [Molecule.from_smiles(text) for text in smiles]
    built = gaff.build(molecules, charges=[gasteiger(molecule) for molecule in molecules])
    solvated = built.solvate(water=water, padding=8.0, cutoff=7.0, ionic_strength=0.3)
    force = force_of(solvated.system, openmm.NonbondedForce)
    charges = np.array([force.getParticleParameters(i)[0]._value for i in range(force.getNumParticles())])
    np.testing.assert_allclose(charges[: len(built.charges)], built.charges, rtol=0, atol=1e-12)
    hydrogen = {"tip3p": 0.417, "opc": 0.679142}[water]
    solvent = [residue for residue in solvated.topology.residues() if residue.name == "HOH"]
    for residue in solvent:
        found = [charges[atom.index] for atom in residue.atoms() if atom.element == app.element.hydrogen]
        np.testing.assert_allclose(found, hydrogen, atol=1e-6)
    assert solvated.system.getNumConstraints() == 3 * len(solvent)
    constrained = [solvated.system.getConstraintParameters(i)[0] for i in range(solvated.system.getNumConstraints())]
    assert min(constrained) >= len(built.charges)


def test_barostat_keeps_the_molecule_whole(anion: gaff.BuiltSystem) -> None:
    solvated = anion.solvate(padding=10.0, cutoff=8.0)
    solvated.system.addForce(openmm.MonteCarloBarostat(1 * unit.bar, 300 * unit.kelvin, 2))
    integrator = openmm.LangevinMiddleIntegrator(300, 5, 0.0005)
    simulation = app.Simulation(
        solvated.topology, solvated.system, integrator, openmm.Platform.getPlatform("CPU"), {"Threads": "1"}
    )
    simulation.context.setPositions(solvated.positions)
    simulation.minimizeEnergy(maxIterations=20)
    simulation.step(60)
    state = simulation.context.getState(getPositions=True, getEnergy=True)
    assert np.isfinite(state.getPotentialEnergy()._value)
    assert state.getPeriodicBoxVolume() != solvated.topology.getUnitCellDimensions()[0] ** 3
    positions = state.getPositions(asNumpy=True)._value
    bonds = anion.molecules[0].bonds
    assert np.linalg.norm(positions[bonds[:, 0]] - positions[bonds[:, 1]], axis=1).max() < 0.18


def test_refusals(anion: gaff.BuiltSystem) -> None:
    with pytest.raises(InputError, match=r"unknown water 'tip9p'.*tip3p"):
        anion.solvate(water="tip9p")
    with pytest.raises(InputError, match="positive ion"):
        anion.solvate(positive_ion="Mg2+")
    with pytest.raises(InputError, match="cutoff below the padding"):
        anion.solvate(padding=9.0, cutoff=9.0)
    with pytest.raises(InputError, match="positive lengths"):
        anion.solvate(padding=-1.0)
    with pytest.raises(MismatchError, match="periodic already"):
        anion.solvate(padding=8.0, cutoff=7.0).solvate()
    amber = gaff.from_prmtop(Path(__file__).parent / "gaff" / "leap" / "isobutyrate.prmtop", np.eye(13, 3))
    with pytest.raises(MismatchError, match="prmtop cannot be solvated"):
        amber.solvate()
