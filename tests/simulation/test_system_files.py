"""Folders of a System: what is read back, and XML that must not be read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import openmm
import pytest
from models.morse import PairMorse
from simulation.boxes import NUMBERS, RECTANGULAR, evaluate, make
from simulation.toy_systems import water

import openmm_hybrid as oh
from openmm_hybrid.backends import torchforce
from openmm_hybrid.backends.base import BackendState
from openmm_hybrid.errors import InputError, MismatchError, MissingDependencyError
from openmm_hybrid.simulation.system_files import load_system, save_system

PYTHONFORCE = '<Force forceGroup="0" function="80049514" name="f" type="{}" usesPeriodic="0" version="2"/>'


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    case = make(box=RECTANGULAR, n_waters=10)
    save_system(tmp_path, case.system, case.topology, case.whole)
    system, topology, positions = load_system(tmp_path)
    assert openmm.XmlSerializer.serialize(system) == openmm.XmlSerializer.serialize(case.system)
    assert [atom.element for atom in topology.atoms()] == [atom.element for atom in case.topology.atoms()]
    np.testing.assert_allclose(positions, case.whole, rtol=0, atol=5.1e-4)


@pytest.mark.parametrize(
    "force",
    [
        PYTHONFORCE.format("PythonForce"),
        PYTHONFORCE.format("Python&#70;orce"),
        "<Force><CollectiveVariables>" + PYTHONFORCE.format("PythonForce") + "</CollectiveVariables></Force>",
    ],
    ids=["plain", "encoded", "inside another"],
)
def test_a_pickle_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: str) -> None:
    system, topology, positions = water()
    save_system(tmp_path, system, topology, positions)
    path = tmp_path / "system.xml"
    path.write_text(path.read_text().replace("<Forces>", f"<Forces>{force}"))
    monkeypatch.setattr(openmm.XmlSerializer, "deserialize", lambda text: pytest.fail("it was read"))
    with pytest.raises(InputError, match=r"holds a PythonForce.*attach the model again") as caught:
        load_system(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.pythonforce
def test_an_attached_pythonforce_is_refused(tmp_path: Path) -> None:
    case = make()
    oh.attach(case.system, case.topology, PairMorse(NUMBERS), atoms=case.atoms, backend="pythonforce")
    save_system(tmp_path, case.system, case.topology, case.whole)
    with pytest.raises(InputError, match="holds a PythonForce"):
        load_system(tmp_path)


@pytest.mark.torchforce
def test_a_torchforce_is_read_in_a_process_that_has_not_loaded_the_plugin(tmp_path: Path) -> None:
    """openmm comes first, so that its import could not load the plugin."""
    case = make()
    oh.attach(case.system, case.topology, PairMorse(NUMBERS), atoms=case.atoms, force_group=1)
    save_system(tmp_path, case.system, case.topology, case.whole)
    code = (
        "import openmm, sys; from openmm_hybrid.simulation.system_files import load_system\n"
        "system, _, positions = load_system(sys.argv[1])\n"
        "context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform('Reference'))\n"
        "context.setPositions(positions / 10)\n"
        "print(context.getState(energy=True, groups={1}).getPotentialEnergy()._value / 4.184)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    rounded = load_system(tmp_path)[2]  # a PDB file keeps 0.001 Å
    assert float(ended.stdout) == pytest.approx(evaluate(case.system, rounded, "Reference", group=1)[0], abs=1e-6)


def test_a_torchforce_without_its_plugin_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, topology, positions = water()
    save_system(tmp_path, system, topology, positions)
    path = tmp_path / "system.xml"
    path.write_text(path.read_text().replace("<Forces>", '<Forces><Force type="TorchForce"/>'))
    broken = BackendState("incompatible", "SIGSEGV", "pip install it")
    monkeypatch.setattr(torchforce.TorchForceBackend, "state", lambda self: broken)
    with pytest.raises(MissingDependencyError, match=r"torchforce is incompatible \(SIGSEGV\); pip install it"):
        load_system(tmp_path)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<System", "is damaged"),
        ('<System type="System" version="1"/>', "is damaged"),
        (
            openmm.XmlSerializer.serialize(openmm.VerletIntegrator(0.001)),
            "another object .Integrator.; expected an OpenMM System",
        ),
        (
            openmm.XmlSerializer.serialize(openmm.System()),
            "topology in .* has 3 atoms; expected the system's 0 particles",
        ),
    ],
)
def test_files_that_are_no_such_system(tmp_path: Path, xml: str, message: str) -> None:
    system, topology, positions = water()
    save_system(tmp_path, system, topology, positions)
    (tmp_path / "system.xml").write_text(xml)
    with pytest.raises((InputError, MismatchError), match=message):
        load_system(tmp_path)
