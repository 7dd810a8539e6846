"""Models in the outer steps of `sample`: the same run as with `respa`, everywhere that a run without them works."""

from __future__ import annotations

import copy
import json
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest
from openmm import unit

import openmm_hybrid as oh
from openmm_hybrid.analysis.stability import energy_drift
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.sampling import sample as sample_module
from openmm_hybrid.sampling.sample import sample
from tests.helpers.morse import PairMorse
from tests.helpers.oscillators import water
from tests.sampling.test_restart import _CtrlC

MODEL = PairMorse((8, 1, 1))
FEW: dict[str, Any] = {
    "n_steps": 40, "interval": 10, "equilibration": 20, "platform": "Reference", "temperature": 300.0, "progress": False
}  # fmt: skip
OUTER: dict[str, Any] = {**FEW, "models": [MODEL], "timestep": 0.5, "outer_timestep": 2.0}


def _by_hand() -> openmm.System:
    """Water with the model in a force group of its own."""
    system, topology, _ = water()
    oh.attach(system, topology, MODEL, force_group=1)
    return system


def test_models_act_once_per_outer_timestep(tmp_path: Path) -> None:
    """The run with the model attached by hand and `respa`, bit for bit; the system stays as it is."""
    system, topology, start = water()
    system.getForce(0).setForceGroup(3)
    before = openmm.XmlSerializer.serialize(system)
    run = sample(system, topology, start, output=tmp_path / "outer", **OUTER)
    assert openmm.XmlSerializer.serialize(system) == before
    by_hand = sample(
        _by_hand(), topology, start, output=tmp_path / "respa", timestep=2.0, respa=[(0, 4), (1, 1)], **FEW
    )
    np.testing.assert_array_equal(run.positions, by_hand.positions)
    np.testing.assert_allclose(run.starts[0].log["time"], [0.02, 0.04, 0.06, 0.08])
    often = sample(system, topology, start, output=tmp_path / "often", models=[MODEL], timestep=0.5, **FEW)
    assert np.abs(often.positions - run.positions).max() > 1e-3


def test_quantities_and_equal_timesteps(tmp_path: Path) -> None:
    """An outer timestep that is the timestep is a run without one."""
    system, topology, start = water()
    run = sample(system, topology, start, output=tmp_path / "fs", **OUTER)
    units = {**OUTER, "outer_timestep": 0.002 * unit.picosecond, "timestep": 0.5 * unit.femtosecond}
    np.testing.assert_array_equal(
        run.positions, sample(system, topology, start, output=tmp_path / "ps", **units).positions
    )
    same = {**OUTER, "outer_timestep": 0.5}
    plain = {**FEW, "models": [MODEL], "timestep": 0.5}
    np.testing.assert_array_equal(
        sample(system, topology, start, output=tmp_path / "same", **same).positions,
        sample(system, topology, start, output=tmp_path / "plain", **plain).positions,
    )


@pytest.mark.parametrize("by_hand", [False, True])
def test_the_centre_of_mass_stays_whatever_the_frequency_of_its_remover(tmp_path: Path, by_hand: bool) -> None:
    """Steps 0, 5, 10, … of OpenMM are impulses, in which a remover does not act."""
    system, topology, start = water()
    if by_hand:
        system = _by_hand()
    remover = openmm.CMMotionRemover(10)
    system.addForce(remover)
    before = None if by_hand else openmm.XmlSerializer.serialize(system)
    settings = {**FEW, "timestep": 2.0, "respa": [(0, 4), (1, 1)]} if by_hand else OUTER
    run = sample(system, topology, start, output=tmp_path, **{**settings, "n_steps": 200})
    masses = np.array([16.0, 1.0, 1.0])
    centres = np.einsum("fax,a->fx", run.positions, masses / masses.sum())
    # Noise moves the centre within a step; a free one goes about 1 Å in this time.
    assert np.linalg.norm(centres[-1] - centres[0]) < 0.1
    assert system.getForce(system.getNumForces() - 1).getFrequency() == 10
    assert before is None or openmm.XmlSerializer.serialize(system) == before


def test_a_duration_counts_outer_steps(tmp_path: Path) -> None:
    system, topology, start = water()
    settings = {**OUTER, "n_steps": None, "duration": 0.1}
    run = sample(system, topology, start, output=tmp_path, **settings)
    assert run.log["time"][-1] == pytest.approx(0.1)
    written = json.loads((tmp_path / "settings.json").read_text())
    assert (written["n_steps"], written["timestep"], written["respa"]) == (50, 2.0, [[0, 4], [1, 1]])


def test_several_models_with_atoms_parameters_and_constraints(tmp_path: Path) -> None:
    """Two waters: a model for the second, with a scale, and another for both; the first has rigid bonds."""
    system, topology, start = water()
    two, two_topology = oh.replicate(system, topology, 2)
    two.addConstraint(0, 1, 0.096)
    two.addConstraint(0, 2, 0.096)
    models = [
        oh.Attachment(MODEL, atoms=[3, 4, 5], scale="strength"),
        oh.Attachment(PairMorse((8, 1, 1), depth=3.0), atoms=[[0, 1, 2], [3, 4, 5]]),
    ]
    settings = {**OUTER, "models": models, "parameters": {"strength": 0.5}, "minimize": False}
    positions = np.concatenate([start, start + 4.0])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\d constraints lie inside the model's atoms")
        run = sample(two, two_topology, positions, output=tmp_path / "outer", **settings)
        by_hand = copy.deepcopy(two)
        oh.attach(by_hand, two_topology, MODEL, atoms=[3, 4, 5], scale="strength", force_group=1)
        oh.attach(by_hand, two_topology, PairMorse((8, 1, 1), depth=3.0), atoms=[[0, 1, 2], [3, 4, 5]], force_group=1)
    expected = sample(
        by_hand, two_topology, positions, output=tmp_path / "respa", respa=[(0, 4), (1, 1)], minimize=False,
        parameters={"strength": 0.5}, **{**FEW, "timestep": 2.0},
    )  # fmt: skip
    np.testing.assert_array_equal(run.positions, expected.positions)
    bonds = np.linalg.norm(run.positions[:, [1, 2]] - run.positions[:, [0]], axis=-1)
    np.testing.assert_allclose(bonds, 0.96, rtol=0, atol=1e-4)


def test_replicas_exchange_temperatures(tmp_path: Path) -> None:
    """The model of each replica is found with its own atoms, and all rungs of the ladder keep their temperatures."""
    system, topology, start = water()
    settings = {
        **OUTER, "n_steps": 6000, "interval": 10, "equilibration": 500, "friction": 20.0, "replicas": 4,
        "temperature": [300.0, 400.0, 300.0, 400.0], "exchange": 20,
        "models": [oh.Attachment(MODEL, atoms=[0, 1, 2])],
    }  # fmt: skip
    run = sample(system, topology, start, output=tmp_path, **settings)
    assert 0.2 < run.exchange_rate[0] < 1.0
    for kelvin in (300.0, 400.0):
        assert run.at(kelvin).log["temperature"].mean() == pytest.approx(kelvin, rel=0.05)


@pytest.mark.parametrize("ensemble", ["nvt", "nve"])
@pytest.mark.parametrize("after", [101, 1234])
def test_an_interrupted_run_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ensemble: str, after: int
) -> None:
    """In the equilibration (200 steps) too."""
    system, topology, start = water()
    settings = {
        **OUTER, "n_steps": 2000, "interval": 4, "equilibration": 200, "checkpoint_interval": 30, "ensemble": ensemble
    }  # fmt: skip
    whole = sample(system, topology, start, output=tmp_path / "whole", **settings)

    @contextmanager
    def pressing(*arguments: Any, **named: Any) -> Any:
        yield _CtrlC(after=after)

    with monkeypatch.context() as patch:
        patch.setattr(sample_module, "progress_bar", pressing)
        with pytest.raises(KeyboardInterrupt, match="call again"):
            sample(system, topology, start, output=tmp_path / "stopped", **settings)
    resumed = sample(system, topology, start, output=tmp_path / "stopped", **settings)
    np.testing.assert_array_equal(whole.positions, resumed.positions)
    assert whole.starts[0].files.log.read_bytes() == resumed.starts[0].files.log.read_bytes()


def test_the_energy_is_conserved(tmp_path: Path) -> None:
    system, topology, start = water()
    settings = {**OUTER, "n_steps": 5000, "ensemble": "nve", "friction": 10.0, "timestep": 0.25, "outer_timestep": 1.0}
    log = sample(system, topology, start, output=tmp_path, **settings).starts[0].log
    drift = energy_drift(log["time"], log["total"], n_atoms=3)
    assert abs(drift.value) < 1e-3
    assert np.ptp(log["kinetic"]) > 0.1


def test_outer_steps_sample_the_same_distribution(tmp_path: Path) -> None:
    """Means and spreads of two distances are those of a run with the model at every step."""
    system, topology, start = water()
    found = {}
    for name, outer in (("outer", 2.0), ("inner", 0.5)):
        settings = {
            **OUTER, "outer_timestep": outer, "n_steps": None, "duration": 5.0, "interval": round(40.0 / outer),
            "equilibration": round(1000.0 / outer), "friction": 20.0, "replicas": 32, "seed": round(outer),
        }  # fmt: skip
        run = sample(system, topology, start, output=tmp_path / name, **settings)
        x = run.positions.astype(np.float64).reshape(32, -1, 3, 3)
        distances = np.stack([np.linalg.norm(x[:, :, i] - x[:, :, j], axis=-1) for i, j in ((0, 1), (1, 2))])
        found[name] = np.concatenate([distances.mean(axis=2), distances.std(axis=2)])  # (4, n_replicas)
    means = {name: values.mean(axis=1) for name, values in found.items()}
    error = np.sqrt(sum(values.var(axis=1, ddof=1) / 32 for values in found.values()))
    np.testing.assert_array_less(np.abs(means["outer"] - means["inner"]), 4.0 * error)
    np.testing.assert_array_less(error, 0.05 * means["inner"])


def test_a_long_outer_timestep_gives_a_warning(tmp_path: Path) -> None:
    system, topology, start = water()
    with pytest.warns(UserWarning, match=r"outer timestep is 3 fs: above 2 fs .* resonate"):
        sample(system, topology, start, output=tmp_path / "3", **{**OUTER, "outer_timestep": 3.0})
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the outer timestep")
        sample(system, topology, start, output=tmp_path / "2", **OUTER)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outer_timestep": 1.2}, "outer timestep is 1.2 fs; expected a whole multiple of the timestep of 0.5 fs"),
        ({"outer_timestep": 0.002}, r"outer timestep is 0.002 fs; .* such as 1; .* in fs"),
        ({"outer_timestep": -2.0}, "outer_timestep is -2"),
        ({"outer_timestep": 2.0 * unit.kelvin}, "time is needed"),
        ({"models": []}, "outer_timestep was given without models; .*respa"),
        ({"respa": [(0, 2), (1, 1)]}, "outer_timestep and respa were both given"),
        ({"models": [oh.Attachment(MODEL, force_group=2)]}, "outer_timestep was given with a force group"),
    ],
)
def test_bad_outer_timesteps_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    system, topology, start = water()
    with pytest.raises(InputError, match=message) as caught:
        sample(system, topology, start, output=tmp_path / "run", **{**OUTER, **change})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_the_timestep_of_bonds_is_the_inner_one(tmp_path: Path) -> None:
    """The stiff bonds of water would not allow 6 fs; the message of one that is too long names the inner timestep."""
    system, topology, start = water(stiffness=3e7)
    with pytest.raises(InputError, match=r"timestep of 0.5 fs is too long"):
        sample(system, topology, start, output=tmp_path, **OUTER)
