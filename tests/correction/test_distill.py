"""Distilled corrections: planted functions of one or two coordinates are found again. Source: exact residuals."""

from __future__ import annotations

import numpy as np
import openmm
import pytest
from openmm import app, unit

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError
from tests.helpers import few_atoms


def test_a_planted_function_of_a_distance_is_recovered():
    data = few_atoms.labelled(few_atoms.attraction(), 300)
    found = oh.correction.distill(few_atoms.base(), data, [few_atoms.PAIR], pieces=16, progress=False)
    assert found.report["share"] > 0.9  # measured: 0.96; the rest is at the ends, which are held flat outside
    unseen = few_atoms.frames(200, seed=1)
    energies, _ = found.model.predict(unseen.positions)
    expected, _ = few_atoms.attraction().predict(unseen.positions)
    error = energies - expected
    assert np.std(error) < 0.2 * np.std(expected)
    assert "0-4" in found.summary()


def test_all_forces_give_it_too_and_a_torsion_likewise():
    for planted, along, least in ((few_atoms.attraction(), [0, 4], 0.5), (few_atoms.twist(), (1, 2, 3, 4), 0.97)):
        data = few_atoms.labelled(planted, 100)
        found = oh.correction.distill(few_atoms.base(), data, [along], labels="forces", progress=False)
        assert found.report["share"] > least


def test_energies_give_it_too_and_it_is_flat_outside():
    data = few_atoms.labelled(few_atoms.attraction(), 100)
    found = oh.correction.distill(few_atoms.base(), data, [few_atoms.PAIR], labels="energies", progress=False)
    assert found.report["share"] > 0.9  # measured: 0.95
    pair = np.zeros((6, 6, 3))
    pair[:, 4, 0] = [0.5, 1.0, 1.5, 6.5, 7.0, 9.0]
    pair[:, [1, 2, 3, 5]] = 20.0 * np.eye(4, 3) + 30.0
    _, forces = found.model.predict(pair)
    _, inside = found.model.predict(data.positions)
    assert np.abs(forces).max() < 0.1 * np.abs(inside).max()


def test_two_torsions_need_a_function_of_both():
    data = few_atoms.labelled(few_atoms.coupled(), 200)
    pair = ((0, 1, 2, 3), (1, 2, 3, 4))
    both = oh.correction.distill(few_atoms.base(), data, [pair], order=3, progress=False)
    apart = oh.correction.distill(few_atoms.base(), data, list(pair), progress=False)
    assert both.report["share"] > 0.999
    assert apart.report["share"] < 0.2


def test_images_under_the_symmetry_share_one_function():
    # A chain that reads the same from both ends: F-C-C-F.
    numbers, rng = np.array([9, 6, 6, 9]), np.random.default_rng(0)
    start = np.array([[0.0, 1.35, 0.0], [0.0, 0.0, 0.0], [1.45, 0.0, 0.0], [1.45, -1.35, 0.4]])
    positions = start + rng.normal(scale=0.1, size=(40, 4, 3))
    zero = oh.Frames(numbers, positions, np.zeros(40), np.zeros((40, 4, 3)))
    reference = few_atoms.Builder(numbers, [[0, 1], [1, 2], [2, 3]])
    reference.add("pairs", few_atoms.Morse(), {(0, 2): [3.0, 1.0, 2.4], (1, 3): [3.0, 1.0, 2.4]})
    field = few_atoms.Builder(numbers, [[0, 1], [1, 2], [2, 3]])
    field.add("none", few_atoms.Harmonic("distance"), {(0, 1): [0.0, 1.0]})
    found = oh.correction.distill(
        oh.ForceField(field.finish()),
        zero,
        [(0, 2)],
        reference=oh.ForceField(reference.finish()),
        labels="forces",
        progress=False,
    )
    assert len(found.model.terms[0]) == 2
    assert found.report["share"] > 0.9
    energies, _ = found.model.predict(positions)
    np.testing.assert_allclose(found.model.predict(positions[:, ::-1])[0], energies, atol=1e-10)


@pytest.mark.parametrize("along", [[few_atoms.PAIR, (1, 2, 3, 4)], [((0, 1, 2, 3), (4, 1))]])
def test_openmm_evaluates_it_without_torch(along):
    """Native forces give the energies and forces of the model, in double precision up to the tables' errors."""
    data = few_atoms.labelled(oh.Sum((few_atoms.attraction(), few_atoms.twist())), 60)
    model = oh.correction.distill(few_atoms.base(), data, along, order=3, progress=False).model
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    atoms = [
        topology.addAtom(f"A{k}", app.Element.getByAtomicNumber(int(z)), residue)
        for k, z in enumerate(few_atoms.NUMBERS)
    ]
    for i, j in few_atoms.BONDS:
        topology.addBond(atoms[i], atoms[j])
    system = openmm.System()
    for _ in atoms:
        system.addParticle(12.0)
    forces = oh.attach(system, topology, model, scale="lambda")
    assert all(isinstance(force, openmm.CustomCompoundBondForce) for force in forces)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"), {})
    per_angstrom = unit.kilocalorie_per_mole / unit.angstrom
    for frame in data.positions[:5]:
        context.setPositions(frame * unit.angstrom)
        state = context.getState(getEnergy=True, getForces=True, getParameterDerivatives=True)
        energy, force = model.predict(frame)
        got = state.getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole)
        assert got == pytest.approx(float(energy), abs=1e-4)
        np.testing.assert_allclose(state.getForces(asNumpy=True).value_in_unit(per_angstrom), force, atol=2e-3)


def test_refuses_bad_coordinates():
    data = few_atoms.labelled(few_atoms.attraction(), 20)
    for along, match in (
        ([(0,)], "different atoms"),
        ([(0, 9)], "different atoms"),
        ([(1, 1)], "different atoms"),
        ([], "no coordinates"),
        (["ab"], "coordinate 'ab'"),
    ):
        with pytest.raises(InputError, match=match):
            oh.correction.distill(few_atoms.base(), data, along, progress=False)
    with pytest.raises(InputError, match="no rotation about a bond"):
        oh.correction.distill(few_atoms.base(), data, [(0, 1)], progress=False)
    with pytest.raises(InputError, match="no residual"):
        oh.correction.distill(few_atoms.base(), data, [(0, 4)], reference=few_atoms.base(), progress=False)
    with pytest.raises(InputError, match="labels = 'some'"):
        oh.correction.distill(few_atoms.base(), data, [(0, 4)], labels="some")
