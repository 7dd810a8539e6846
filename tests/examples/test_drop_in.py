"""Each script of examples/drop_in in its quick form, with a correction given as a file: it runs, and the energy is that
of force field and correction (their own predict())."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openmm import app, unit

import openmm_hybrid as oh
from openmm_hybrid.sampling.sample_result import read_trajectory
from tests.helpers.sgdml_data import labelled

SCRIPTS = Path(__file__).parents[2] / "examples" / "drop_in"
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A correction for the ester's atoms: sGDML of small forces."""
    atoms = [6, 12, 11, 8, 4]
    pdb = app.PDBFile(str(SCRIPTS / "aspirin.pdb"))
    whole = pdb.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    numbers = np.array([atom.element.atomic_number for atom in pdb.topology.atoms()])
    shaken = whole[atoms] + np.random.default_rng(0).normal(scale=0.05, size=(12, len(atoms), 3))
    frames = labelled(numbers[atoms], shaken)
    model = oh.sgdml.train(frames, n_train=10, sigma=10, perms=None, lam=1e-8, progress=False)
    correction = oh.correction.Correction(model, np.array(atoms), numbers)
    return correction.save(tmp_path_factory.mktemp("correction") / "local.npz")


@pytest.fixture(scope="module")
def bonded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A correction in OpenMM's own forces: some cross terms of a shipped force field."""
    path = tmp_path_factory.mktemp("correction") / "bonded.npz"
    return oh.ForceField.load("aspirin-cross").only("cross.angle-angle").save(path)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a script in an empty folder; what it has defined."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENMM_HYBRID_QUICK", "1")

    def script(name: str, *arguments: str, platform: str = "Reference") -> dict[str, Any]:
        monkeypatch.setenv("OPENMM_DEFAULT_PLATFORM", platform)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        return runpy.run_path(str(SCRIPTS / name), run_name="__main__")

    return script


def _energy(simulation: app.Simulation, shift: float = 0.0) -> tuple[float, np.ndarray]:
    """Potential energy (kcal/mol) and positions (Å); one atom is moved first."""
    positions = simulation.context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    positions[12] += shift
    simulation.context.setPositions(positions)
    energy = simulation.context.getState(energy=True).getPotentialEnergy()
    return energy.value_in_unit(unit.kilocalorie_per_mole), 10.0 * positions


def _sum(positions: np.ndarray, correction: Path) -> float:
    stored = oh.correction.load(correction)
    added = stored.model.predict(positions[stored.on(range(21))])[0]
    return float(oh.ForceField.load("aspirin-gaff").predict(positions)[0] + added)


@pytest.mark.parametrize("kind", ["local", "bonded"])
def test_ten_lines(run: Run, kind: str, request: pytest.FixtureRequest) -> None:
    correction: Path = request.getfixturevalue(kind)
    simulation = run("ten_lines.py", str(correction))["simulation"]
    for shift in (0.0, 0.005):
        energy, positions = _energy(simulation, shift)
        assert energy == pytest.approx(_sum(positions, correction), abs=1e-4)
    assert len(read_trajectory(Path("runs/drop_in/ten_lines.dcd"))) == 10


def test_water_npt(run: Run, bonded: Path) -> None:
    defined = run("water_npt.py", str(bonded), platform="CPU")
    simulation: app.Simulation = defined["simulation"]
    assert simulation.topology.getNumAtoms() == 21 + 3 * 500
    volume = simulation.context.getState().getPeriodicBoxVolume().value_in_unit(unit.nanometer**3)
    before = np.linalg.det(simulation.topology.getPeriodicBoxVectors().value_in_unit(unit.nanometer))
    assert volume != before
    assert volume == pytest.approx(before, rel=0.1)
    assert np.isfinite(_energy(simulation)[0])


def test_two_molecules_are_each_corrected(run: Run, local: Path) -> None:
    """Far apart, where they do not feel each other, the energy is the sum of both."""
    simulation: app.Simulation = run("two_molecules.py", str(local))["simulation"]
    positions = simulation.context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    positions[21:] += [0.0, 0.0, 1e6]
    simulation.context.setPositions(positions)
    energy = _energy(simulation)[0]
    assert energy == pytest.approx(sum(_sum(10.0 * part, local) for part in np.split(positions, 2)), abs=1e-3)


def test_ligand_and_protein(run: Run, bonded: Path) -> None:
    defined = run("ligand_and_protein.py", str(bonded), platform="CPU")
    topology = defined["modeller"].topology
    assert defined["aspirin"] == list(range(topology.getNumAtoms() - 21, topology.getNumAtoms()))
    residues = [residue.name for residue in topology.residues()]
    removed = 2798 - (len(residues) - 1)
    assert residues[0] == "LEU"
    assert 5 < removed < 40
    masses = sum(defined["system"].getParticleMass(k)._value for k in defined["aspirin"])
    assert masses == pytest.approx(180.16, abs=0.02)
    assert np.isfinite(_energy(defined["simulation"])[0])


def test_restart(run: Run, local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("restart.py", str(local))
    assert "step 20, started" in capsys.readouterr().out
    run("restart.py", "not read again")
    assert "step 40, resumed" in capsys.readouterr().out
    folder = Path("runs/drop_in/restart")
    assert len(read_trajectory(folder / "trajectory.dcd")) == 20
    steps = np.loadtxt(folder / "log.csv", delimiter=",", comments="#")[:, 0]
    np.testing.assert_array_equal(steps, 2 * np.arange(1, 21))


@pytest.mark.pythonforce
def test_openmm_ml(run: Run, local: Path) -> None:
    pytest.importorskip("openmmml", reason="openmm-ml is not installed")
    simulation: app.Simulation = run("openmm_ml.py", str(local))["simulation"]
    for shift in (0.0, 0.005):
        energy, positions = _energy(simulation, shift)
        assert energy == pytest.approx(_sum(positions, local), abs=1e-4)
