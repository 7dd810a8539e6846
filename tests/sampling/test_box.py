"""Periodic boxes against twice the cutoff."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import openmm
import pytest

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.sampling.box import check_box, cutoff_of, shrunk
from openmm_hybrid.sampling.minimize import minimize
from openmm_hybrid.sampling.sample import sample
from tests.faults.simulations import SETTINGS, argon
from tests.helpers.oscillators import water


def test_cutoff_is_the_largest_of_periodic_forces() -> None:
    system, _, _ = argon(2, 10.0, 8.0)
    assert cutoff_of(system) == pytest.approx(8.0)
    custom = openmm.CustomNonbondedForce("r")
    custom.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    custom.setCutoffDistance(0.9)
    system.addForce(custom)
    assert cutoff_of(system) == pytest.approx(9.0)
    assert cutoff_of(water()[0]) == 0.0
    system.getForce(0).setNonbondedMethod(openmm.NonbondedForce.NoCutoff)
    system.getForce(1).setNonbondedMethod(openmm.CustomNonbondedForce.CutoffNonPeriodic)
    assert cutoff_of(system) == 0.0


@pytest.mark.parametrize(("cutoff", "pressure", "warned"), [(9.6, 1.0, True), (9.4, 1.0, False), (9.6, 0.0, False)])
def test_margin_of_a_box_with_a_barostat(cutoff: float, pressure: float, warned: bool) -> None:
    system = argon(2, 10.0, cutoff, pressure)[0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_box(system, run=True)
        assert bool(caught) is warned
        check_box(system)
        assert len(caught) == warned
    if warned:
        assert "20 Å wide" in str(caught[0].message)
        assert "19.2 Å" in str(caught[0].message)


def test_small_box_is_refused_before_openmm_sees_it(tmp_path: Path) -> None:
    system, topology, positions = argon(2, 10.0, 10.1)
    with pytest.raises(InputError, match=r"box is 20 Å wide .* cutoff is 10.1 Å; expected .* 20.2 Å"):
        sample(system, topology, positions, output=tmp_path / "run", **SETTINGS)
    assert not (tmp_path / "run").exists()
    check_box(system, np.diag([20.2, 21.0, 22.0]))


def test_run_whose_box_shrinks_says_so(tmp_path: Path) -> None:
    system, topology, positions = argon(4, 4.0, 7.4, 2e4)
    settings = {**SETTINGS, "n_steps": 2000}
    with pytest.raises(NumericalError, match=r"start 0 stopped before step \d+: .* began with a width of 16 Å.*14.8 Å"):
        sample(system, topology, positions, output=tmp_path, temperature=300.0, timestep=2.0, **settings)


@pytest.mark.parametrize(
    ("platform", "skew", "cutoff", "warned"),
    [("CPU", 5.0, 8.0, True), ("CPU", 0.0, 8.0, False), ("Reference", 5.0, 8.0, False), ("CPU", 5.0, 0.0, False)],
)
def test_pairs_that_the_cpu_platform_may_miss(platform: str, skew: float, cutoff: float, warned: bool) -> None:
    system, _, positions = argon(2, 10.0, cutoff or 8.0)
    system.setDefaultPeriodicBoxVectors(*np.array([[2.0, 0.0, 0.0], [0.1 * skew, 2.0, 0.0], [0.0, 0.0, 2.0]]))
    if not cutoff:
        system.getForce(0).setNonbondedMethod(openmm.NonbondedForce.NoCutoff)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        minimize(system, positions, platform=platform)
    assert ["not rectangular" in str(each.message) for each in caught] == [True] * warned


def test_density_decides_about_the_advice() -> None:
    dense, thin = argon(4, 4.0, 7.4)[0], argon(4, 8.0, 7.4)[0]
    assert "padding" in shrunk(dense, np.diag([15.0, 15.0, 15.0]))[1]
    assert "0.13 g/mL" in shrunk(thin, np.diag([15.0, 15.0, 15.0]))[1]  # 39.95 amu · 1.6605 / 512 Å³
