"""Runs that blow up name the cause that the geometry shows."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.sampling import run
from openmm_hybrid.sampling.sample import sample
from openmm_hybrid.sampling.sample_result import SampleResult
from openmm_hybrid.sampling.snapshot import Snapshot, observe
from tests.faults.simulations import SETTINGS, acid
from tests.faults.systems import built
from tests.helpers.oscillators import topology_of, water


@pytest.mark.parametrize("replicas", [1, 2])
def test_collision_of_a_bare_hydrogen(tmp_path: Path, replicas: int) -> None:
    system = acid("CP(=O)(O)O")
    settings: dict[str, Any] = {**SETTINGS, "n_steps": 20000, "minimize": False, "replicas": replicas}
    with pytest.raises(
        NumericalError, match=r"H[45] \(atom [89]\) has a charge but no Lennard-Jones .*last_good_0.pdb"
    ):
        sample(system.system, system.topology, system.positions, output=tmp_path, **settings)
    assert np.isfinite(SampleResult.open(tmp_path).positions).all()


def test_broken_bond_is_named_with_its_lengths(tmp_path: Path) -> None:
    system = built("CCO")
    pull = openmm.CustomBondForce("-5e5*(r-0.1)^2")
    pull.addBond(0, 1, [])
    torn = copy.deepcopy(system.system)
    torn.addForce(pull)
    with pytest.raises(NumericalError, match=r"C1 \(atom 0\) and C2 \(atom 1\) broke: it was 1.51 Å .* then 2.\d\d Å"):
        sample(torn, system.topology, system.positions, output=tmp_path, minimize=False, **SETTINGS)


def test_shorter_timestep_is_the_advice_where_nothing_else_fits(tmp_path: Path) -> None:
    system = openmm.System()
    system.addParticle(12.0)
    runaway = openmm.CustomExternalForce("-20*x^4")
    runaway.addParticle(0, [])
    system.addForce(runaway)
    settings = {**SETTINGS, "n_steps": 40000, "minimize": False}
    with pytest.raises(NumericalError, match="use a shorter timestep"):
        sample(system, topology_of(["C"]), [[10.0, 0.0, 0.0]], output=tmp_path, **settings)


def test_timestep_that_is_long_for_a_bond_comes_first(tmp_path: Path) -> None:
    """A bond of Morse type is outside the check of the start, and its harmonic neighbour is near the limit."""
    system, topology, start = water()
    pull = openmm.CustomBondForce("-2.2e5*(r-0.096)^2")
    pull.addBond(1, 2, [])
    system.addForce(pull)
    with (
        pytest.warns(UserWarning, match="too long"),
        pytest.raises(NumericalError, match=r"use a timestep of 1.8 fs or less"),
    ):
        sample(system, topology, start, output=tmp_path, minimize=False, timestep=3.0, **SETTINGS)


def test_forces_are_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions and energies of the third snapshot are finite, a force on atom 2 is not."""
    looks: list[Snapshot] = []

    def look(context: openmm.Context) -> Snapshot:
        looks.append(observe(context))
        if len(looks) == 3:
            looks[-1].forces[0, 2, 1] = np.nan
        return looks[-1]

    monkeypatch.setattr(run, "observe", look)
    system, topology, start = water()
    with pytest.raises(NumericalError, match=r"step 20 and step 40: the forces on H2 \(atom 2\) are not finite"):
        sample(system, topology, start, output=tmp_path, **SETTINGS)
    assert len(SampleResult.open(tmp_path).positions) == 1
