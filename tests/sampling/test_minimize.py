"""`minimize` finds minima with and without constraints, and ends on forces that are not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import openmm
import pytest

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.sampling import minimize as module
from openmm_hybrid.sampling.minimize import minimize
from tests.faults.simulations import acid, chain
from tests.faults.systems import built
from tests.helpers.oscillators import oscillators


def test_checks_do_not_change_the_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minimisation in chunks of 5 iterations ends at the energy of a single one."""
    system = built("CC(=O)Oc1ccccc1C(=O)O")
    expected = minimize(system.system, system.positions)[1]
    monkeypatch.setattr(module, "FIRST_CHUNK", 5)
    positions, energy = minimize(system.system, system.positions, tolerance=1e-3)
    assert energy == pytest.approx(expected, abs=1e-3)
    assert np.isfinite(positions).all()


def test_limit_of_iterations_holds_over_all_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def count(context: Any, tolerance: float, iterations: int) -> openmm.State:
        asked.append(iterations)
        return context.getState(positions=True, energy=True, forces=True)

    system, _, start = oscillators(3, 1e4)
    monkeypatch.setattr(module, "_minimized", count)
    monkeypatch.setattr(module, "FIRST_CHUNK", 5)
    monkeypatch.setattr(module, "_SOFTNESS", -1.0)  # no chunk converges
    monkeypatch.setattr(module, "_PRECISION", -1.0)
    minimize(system, start + 1.0, max_iterations=43)
    assert asked == [5, 25, 10, 3]


def test_minimum_with_constraints_is_that_of_openmm() -> None:
    """The energy that is left at a force tolerance of 0.1 kcal/mol/Å is below 0.01 kcal/mol for each atom.

    In double precision, since water has many minima and rounding decides which one is found.
    """
    solvated = built("CO").solvate(padding=5.0, cutoff=4.5)
    context = openmm.Context(solvated.system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions(solvated.positions)
    module.minimize_context(context)
    ours = module.potential_energy(context.getState(energy=True))
    openmm.LocalEnergyMinimizer.minimize(context, 0.1 * 41.84)
    further = module.potential_energy(context.getState(energy=True))
    assert 0.0 <= ours - further + 1e-3 < 0.03 * solvated.topology.getNumAtoms()


@pytest.mark.parametrize("stuck", [{0}, {1}, {0, 3}])
def test_a_search_that_gives_up_at_once_is_not_the_minimum(monkeypatch: pytest.MonkeyPatch, stuck: set[int]) -> None:
    """OpenMM's search does so now and then in water; `stuck` are the calls that leave the positions as they are."""
    system = built("CC(=O)Oc1ccccc1C(=O)O")
    expected = minimize(system.system, system.positions, tolerance=1e-3)[1]
    search, calls = module._minimized, []

    def now_and_then(context: openmm.Context, tolerance: float, iterations: int) -> openmm.State:
        calls.append(iterations)
        if len(calls) - 1 in stuck:
            return context.getState(positions=True, energy=True, forces=True)
        return search(context, tolerance, iterations)

    monkeypatch.setattr(module, "_minimized", now_and_then)
    monkeypatch.setattr(module, "FIRST_CHUNK", 5)
    assert minimize(system.system, system.positions, tolerance=1e-3)[1] == pytest.approx(expected, abs=1e-3)
    assert len(calls) > max(stuck) + 1


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_straight_angle_is_named(platform: str) -> None:
    system, _, positions = chain("periodic")
    with pytest.raises(
        InputError, match=r"forces on 0 \(C\), 1 \(C\), 2 \(C\) .*0 \(C\)-1 \(C\)-2 \(C\) is a straight"
    ):
        minimize(system, positions, platform=platform)
    positions[2, 1] = 0.01
    assert np.isfinite(minimize(system, positions, platform=platform)[1])


def test_first_geometry_without_forces_is_found() -> None:
    """The second of three atoms runs into the region where its energy is not defined."""
    system, force = openmm.System(), openmm.CustomExternalForce("fall*sqrt(x)")
    force.addPerParticleParameter("fall")
    for i in range(3):
        system.addParticle(12.0)
        force.addParticle(i, [100.0 if i == 1 else 0.0])
    system.addForce(force)
    with pytest.raises(NumericalError, match=r"met forces that are not finite: the forces on 1 \(C\) are not finite"):
        minimize(system, [[1.0, 0.0, 0.0], [5.0, 0.0, 0.0], [9.0, 0.0, 0.0]])


def test_fused_hydrogen_is_named() -> None:
    system = acid("CP(=O)(O)O")
    with pytest.raises(NumericalError, match=r"atoms \d \(O\) and [89] \(H\), which are not bonded, have fused"):
        minimize(system.system, system.positions)


def test_energy_that_falls_from_an_overlap_is_no_runaway() -> None:
    """Two argon atoms 0.8 Å apart: 3·10⁷ kcal/mol at the start, less than 0 at the end."""
    system, force = openmm.System(), openmm.NonbondedForce()
    for _ in range(2):
        system.addParticle(39.95)
        force.addParticle(0.0, 0.34, 1.0)
    system.addForce(force)
    positions, energy = minimize(system, [[0.0, 0.0, 0.0], [0.8, 0.0, 0.0]], tolerance=1e-4)
    assert -0.24 < energy <= 0.0
    assert np.linalg.norm(positions[0] - positions[1]) > 3.4
