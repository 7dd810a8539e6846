"""The gate: the contract of models, energy conservation, limits, files. Sources: finite differences, exact limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import openmm
import pytest
import torch
from openmm import unit

import openmm_hybrid as oh
from openmm_hybrid.cli.run import _gate
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.correction import Gated, gate, gate_report
from openmm_hybrid.sgdml.gate import gate_factor
from openmm_hybrid.testing import TorchModelSuite
from tests.helpers import few_atoms


@pytest.fixture(scope="module")
def training() -> oh.Frames:
    """Shaken copies of one geometry, labelled with the planted residuals."""
    one = few_atoms.frames(1).positions
    shaken = one + np.random.default_rng(4).normal(scale=0.05, size=(40, 6, 3))
    energies, forces = oh.Sum((few_atoms.base(), few_atoms.attraction(), few_atoms.twist())).predict(shaken)
    return oh.Frames(few_atoms.NUMBERS, shaken, energies, forces, name="chain")


@pytest.fixture(scope="module")
def gated(training) -> Gated:
    model = oh.correction.train(few_atoms.base(), training, perms=None, lam=1e-8, progress=False).model
    return gate(model, training)


@pytest.fixture(scope="module")
def halfway(gated, training) -> np.ndarray:
    """Geometries (4, 6, 3) in which the gate is half open."""
    rng = np.random.default_rng(8)
    found = []
    while len(found) < 4:
        trial = training.positions[0] + rng.normal(scale=0.1, size=(6, 3))
        if 0.1 < gated.factors(trial)[0] < 0.9:
            found.append(trial)
    return np.array(found)


class TestGated(TorchModelSuite):
    """In the middle of the gate, where every term of the force counts."""

    @pytest.fixture
    def model(self, gated):
        return gated

    @pytest.fixture
    def positions(self, halfway):
        return halfway


def test_inside_it_is_the_model_less_its_mean_and_outside_nothing(gated, training):
    energies, forces = gated.predict(training.positions[:20])
    assert gated.factors(training.positions[:20]).min() == 1.0
    plain, plain_forces = gated.model.predict(training.positions[:20])
    np.testing.assert_allclose(energies, plain - gated.offset, atol=1e-9)
    np.testing.assert_allclose(forces, plain_forces, atol=1e-9)
    assert abs(gated.predict(training.positions)[0].mean()) < 1e-9
    far = 1.5 * training.positions[:3]
    assert not any(np.any(part) for part in gated.predict(far))


def test_the_factor_has_two_continuous_derivatives():
    d = torch.tensor([1.0, 1.5, 1.5 + 1e-4, 2.0, 2.5 - 1e-4, 2.5, 9.0], dtype=torch.float64)
    g, slope = gate_factor(d, torch.tensor(1.5), torch.tensor(2.5))
    np.testing.assert_allclose(g.numpy(), [1, 1, 1, 0.5, 0, 0, 0], atol=1e-11)
    assert slope[3] == pytest.approx(-30.0 / 16.0)
    # The second derivative goes to zero at the ends: the slope itself to second order.
    np.testing.assert_allclose(slope[[1, 2, 4, 5]].numpy(), 0.0, atol=31 * 1e-8)


def test_energy_is_conserved_through_the_gate(gated, training):
    """Velocity Verlet on base + gated from inside to outside: a force that is no gradient would drift."""
    hybrid = oh.Sum((few_atoms.base(), gated))
    x = training.positions[0].copy()
    v = np.random.default_rng(1).normal(size=x.shape)
    v *= 0.12 / np.sqrt((v**2).mean())  # Å per unit of time, mass 1: far enough to leave in some hundred steps

    def run(dt: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
        r, velocity = x.copy(), 16.0 * v
        energy, force = hybrid.predict(r)
        totals, factors = [], []
        for _ in range(steps):
            velocity = velocity + 0.5 * dt * force
            r = r + dt * velocity
            energy, force = hybrid.predict(r)
            velocity = velocity + 0.5 * dt * force
            totals.append(float(energy) + 0.5 * float((velocity**2).sum()))
            factors.append(float(gated.factors(r)[0]))
        return np.array(totals), np.array(factors)

    coarse, factors = run(0.002, 260)
    fine, _ = run(0.001, 520)
    assert factors.min() < 0.05
    assert factors[0] == 1.0
    # Verlet's error falls fourfold with half the step; a drift of a wrong force would stay.
    assert np.ptp(fine) < 0.35 * np.ptp(coarse)


def test_report_counts_and_keeps_the_frames_that_hit_it(gated, training, halfway, tmp_path):
    far = 1.5 * training.positions[:1]
    positions = np.concatenate([training.positions[:5], halfway, far])
    report = gate_report(gated, positions)
    assert (report.reduced, report.closed) == (0.5, 0.1)
    assert report.hits[0] == 9
    assert sorted(report.hits) == [5, 6, 7, 8, 9]
    assert "50.00%" in report.summary()
    path = report.save_hits(tmp_path / "hits.npz", few_atoms.NUMBERS)
    np.testing.assert_allclose(oh.Frames.load(path).positions, positions[report.hits])
    assert gate_report(gated, training.positions[:5]).save_hits(tmp_path / "none.npz", few_atoms.NUMBERS) is None
    turned = positions[:, ::-1]
    np.testing.assert_allclose(gate_report(gated, turned, atoms=range(5, -1, -1)).distances, report.distances)


def test_sample_reports_on_whole_molecules(gated, training, halfway, tmp_path):
    """Each atom is wrapped by itself into a box that the molecule leaves at all faces."""
    system, topology = few_atoms.system()
    system.setDefaultPeriodicBoxVectors([2, 0, 0], [0, 2, 0], [0, 0, 2])
    force = openmm.HarmonicBondForce()
    force.setUsesPeriodicBoundaryConditions(True)
    system.addForce(force)
    whole = np.concatenate([training.positions[:5], halfway])
    frames = (whole - whole[:, :1]) % 20.0
    assert np.ptp(frames, axis=1).max() > 15.0
    lines, content = _gate(gated, list(range(6)), system, topology, frames, tmp_path)
    assert content["gate"]["reduced"] == pytest.approx(4 / 9)
    kept = oh.Frames.load(tmp_path / "gate_hits.npz").positions
    assert len(lines) == 2
    assert np.ptp(kept, axis=1).max() < 10.0


def test_a_file_brings_it_back(gated, halfway, tmp_path):
    loaded = oh.load(gated.save(tmp_path / "gated.npz"))
    for got, expected in zip(loaded.predict(halfway), gated.predict(halfway), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-10)


def test_refuses_limits_and_parts_that_do_not_fit(gated, training):
    for limits in ({"lower": 2.5, "upper": 1.5}, {"lower": 0.0}, {"offset": float("nan")}):
        with pytest.raises(InputError, match="gate's"):
            replace(gated, **limits)
    with pytest.raises(MismatchError, match="no TorchScript form"):
        replace(gated, model=few_atoms.Teacher(gated.model))
    smaller = oh.correction.train(
        few_atoms.base(), training, perms=None, atoms=[0, 1, 2], lam=1e-3, progress=False
    ).model
    with pytest.raises(MismatchError, match="atomic numbers"):
        replace(gated, model=smaller)
    with pytest.raises(InputError, match="no frames"):
        gate(gated.model, training[[]])


@pytest.mark.parametrize(
    "backend", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("torchforce", "pythonforce")]
)
def test_attached_it_gives_its_energies_and_forces(gated, halfway, backend):
    system, topology = few_atoms.system()
    oh.attach(system, topology, gated, backend=backend)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    per_angstrom = unit.kilocalorie_per_mole / unit.angstrom
    for frame, energy, force in zip(halfway, *gated.predict(halfway), strict=True):
        context.setPositions(frame * unit.angstrom)
        state = context.getState(getEnergy=True, getForces=True)
        assert state.getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole) == pytest.approx(energy, abs=1e-6)
        np.testing.assert_allclose(state.getForces(asNumpy=True).value_in_unit(per_angstrom), force, atol=1e-5)
