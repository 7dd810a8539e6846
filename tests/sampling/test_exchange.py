"""Exchange of temperatures: each rung keeps its canonical ensemble, and crosses what it would not cross alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray

from openmm_hybrid.analysis.populations import mean_with_error
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import BOLTZMANN, KJ_PER_KCAL
from openmm_hybrid.sampling.exchange import Exchange, neighbours
from openmm_hybrid.sampling.sample import sample
from openmm_hybrid.sampling.sample_result import SampleResult
from tests.helpers.every_force import ethanol, geometries
from tests.helpers.oscillators import oscillators, topology_of, water

LADDER = np.array([300.0, 500.0, 800.0, 300.0, 500.0, 800.0])


def springs(copies: int) -> openmm.Context:
    """A context of one particle on a spring for each copy, without noise."""
    system, _, _ = oscillators(copies, 1e3)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(np.arange(3.0 * copies).reshape(copies, 3))
    context.setVelocities(np.arange(3.0 * copies).reshape(copies, 3))
    return context


def test_rising_neighbours_are_a_ladder() -> None:
    assert neighbours(LADDER).tolist() == [0, 1, 3, 4]
    assert neighbours(np.array([500.0, 500.0, 300.0])).tolist() == []


def test_pairs_change_places_as_often_as_metropolis_says() -> None:
    """exp[(1/kT₀ − 1/kT₁)(U₀ − U₁)] of the attempts, within four standard errors of the binomial distribution."""
    potential = np.array([2.0, 4.0, 3.5, 9.0, 1.0, 4.0])
    exchange, context = Exchange(LADDER, seed=3), springs(6)
    for number in range(6000):
        exchange.attempt(context, potential, number)
    inverse = 1.0 / (BOLTZMANN * LADDER)
    for k in range(6):
        tried, done = exchange.counts[k]
        if k in (2, 5):
            assert (tried, done) == (0, 0)
            continue
        assert tried == 3000
        expected = min(1.0, np.exp((inverse[k] - inverse[k + 1]) * (potential[k] - potential[k + 1])))
        assert abs(done / tried - expected) <= 4 * np.sqrt(expected * (1 - expected) / tried)


def test_positions_change_places_and_velocities_fit_the_new_temperature() -> None:
    exchange, context = Exchange(LADDER[:3], seed=0), springs(3)
    exchange.attempt(context, np.array([5.0, 0.0, 0.0]), 0)
    state = context.getState(positions=True, velocities=True)
    positions, velocities = state.getPositions(asNumpy=True)._value, state.getVelocities(asNumpy=True)._value
    np.testing.assert_array_equal(positions[:, 0], [3.0, 0.0, 6.0])
    np.testing.assert_allclose(velocities[0], np.sqrt(300 / 500) * np.array([3.0, 4.0, 5.0]), rtol=1e-12)
    np.testing.assert_allclose(velocities[1], np.sqrt(500 / 300) * np.array([0.0, 1.0, 2.0]), rtol=1e-12)
    np.testing.assert_array_equal(velocities[2], [6.0, 7.0, 8.0])


def double_well(barrier: float, tilt: float) -> tuple[openmm.System, Any, Any]:
    """A carbon atom in b (x² − 1)² + t x kcal/mol, x in units of 0.5 Å."""
    system = openmm.System()
    system.addParticle(12.0)
    energy = f"{KJ_PER_KCAL}*({barrier}*((x/w)^2-1)^2+{tilt}*x/w+500*(y^2+z^2)); w=0.05"
    well = openmm.CustomExternalForce(energy)
    well.addParticle(0, [])
    system.addForce(well)
    return system, topology_of(["C"]), np.array([[0.5, 0.0, 0.0]])


def test_the_cold_rung_has_the_populations_of_its_temperature(tmp_path: Path) -> None:
    """A barrier of 10 kT: the share of the left one, by quadrature. Without exchange no replica leaves its start."""
    barrier, tilt = 6.0, 0.3
    system, topology, start = double_well(barrier, tilt)
    rungs = np.array([300.0, 500.0, 900.0, 1600.0])
    settings: dict[str, Any] = {
        "temperature": np.tile(rungs, 6), "replicas": 24, "friction": 5.0, "timestep": 2.0, "interval": 20,
        "equilibration": 5000, "minimize": False, "progress": False, "platform": "Reference", "n_steps": 60000,
    }  # fmt: skip
    run = sample(system, topology, start, output=tmp_path / "exchange", exchange=20, **settings)
    x = np.linspace(-2.5, 2.5, 20001)
    for kelvin in rungs:
        weight = np.exp(-(barrier * (x**2 - 1) ** 2 + tilt * x) / (BOLTZMANN * kelvin))
        left = mean_with_error([part.positions[:, 0, 0] < 0 for part in run.at(kelvin).starts])
        assert abs(left.value - weight[x < 0].sum() / weight.sum()) < 4 * left.error
        assert left.error < 0.06
        temperature = mean_with_error([part.log["temperature"] for part in run.at(kelvin).starts])
        assert abs(temperature.value - kelvin) < 4 * temperature.error
    alone = sample(system, topology, start, output=tmp_path / "alone", **{**settings, "n_steps": 10000})
    assert alone.at(300.0).positions[..., 0].min() > 0
    rate = run.exchange_rate
    assert np.isnan(rate[3::4]).all()
    assert (rate.reshape(6, 4)[:, :3] > 0.2).all()
    assert np.isnan(alone.exchange_rate).all()


def _run(output: Path, n_steps: int) -> SampleResult:
    system, topology, start = water()
    return sample(
        system, topology, np.stack([start] * 6), output=output, replicas=3, temperature=LADDER, exchange=10,
        n_steps=n_steps, interval=4, equilibration=205, seed=7, checkpoint_interval=30, progress=False,
        platform="Reference",
    )  # fmt: skip


def test_a_longer_run_goes_on_bit_for_bit_with_the_same_exchanges(tmp_path: Path) -> None:
    whole = _run(tmp_path / "whole", 800)
    _run(tmp_path / "parts", 120)
    parts = _run(tmp_path / "parts", 800)
    np.testing.assert_array_equal(whole.positions, parts.positions)
    np.testing.assert_array_equal(whole.exchange_rate, parts.exchange_rate)
    assert (whole.exchange_rate[[0, 1, 3, 4]] > 0).all()


def test_energies_in_the_log_are_those_of_the_frames(tmp_path: Path) -> None:
    """A frame is stored before its replica changes places."""
    system, topology = ethanol()
    run = sample(
        system, topology, geometries(1)[0], output=tmp_path, replicas=3, temperature=[300.0, 330.0, 360.0], exchange=5,
        n_steps=40, interval=10, equilibration=5, timestep=0.25, minimize=False, progress=False, platform="Reference",
    )  # fmt: skip
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    for part, kelvin in zip(run.starts, (300.0, 330.0, 360.0), strict=True):
        assert part.temperature == kelvin
        for frame, row in zip(part.positions, part.log, strict=True):
            context.setPositions(frame / 10)
            energy = context.getState(energy=True).getPotentialEnergy()._value / KJ_PER_KCAL
            assert row["potential"] == pytest.approx(energy, abs=1e-3)


def test_what_cannot_be_exchanged_is_refused(tmp_path: Path) -> None:
    system, topology, start = water()

    def run(positions: NDArray[np.float64] = start, **changes: Any) -> None:
        settings = {"replicas": 2, "temperature": [300.0, 400.0], "exchange": 10, "n_steps": 20, "interval": 10}
        sample(system, topology, positions, output=tmp_path / "run", progress=False, **{**settings, **changes})

    with pytest.raises(InputError, match="exchange is 0; expected a whole number, at least 1"):
        run(exchange=0)
    with pytest.raises(MismatchError, match="with 2 replicas and no start warmer than the one before it"):
        run(temperature=[400.0, 300.0])
    with pytest.raises(MismatchError, match="the starts run one after another"):
        run(replicas=1, positions=np.stack([start] * 2))
    with pytest.raises(MismatchError, match="starts 1 and 2 are in different contexts; expected whole ladders in"):
        run(positions=np.stack([start] * 4), temperature=[300.0, 400.0, 500.0, 600.0])
    assert not (tmp_path / "run").exists()


def test_starts_of_a_temperature_that_was_not_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no start of .* is at 350 K; expected one of 300, 500, 800"):
        _run(tmp_path, 40).at(350.0)
