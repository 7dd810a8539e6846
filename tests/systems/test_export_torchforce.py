"""A file for TorchForce, in scripts that do not have this package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.models.torchscript import load_torchscript, read_script
from openmm_hybrid.systems.torch_wrapper import export_torchforce
from tests.helpers.boxes import NUMBERS, TRICLINIC, make
from tests.helpers.morse import PairMorse, UnscriptableMorse

PLAIN = """
import sys, numpy, torch, openmm, openmmtorch
path, inputs, output = sys.argv[1:]
data = numpy.load(inputs)
force = openmmtorch.TorchForce(path)
force.setOutputsForces(True)
force.setUsesPeriodicBoundaryConditions(True)
force.addGlobalParameter("lam", 1.0)
system = openmm.System()
for _ in data["positions"]:
    system.addParticle(12.0)
system.setDefaultPeriodicBoxVectors(*data["box"])
system.addForce(force)
reference = openmm.Platform.getPlatformByName("Reference")
context = openmm.Context(system, openmm.VerletIntegrator(0.001), reference)
context.setPositions(data["positions"])
context.setParameter("lam", 0.5)
state = context.getState(energy=True, forces=True)
units = openmm.unit.md_unit_system
numpy.savez(
    output,
    energy=state.getPotentialEnergy().value_in_unit_system(units),
    forces=state.getForces(asNumpy=True).value_in_unit_system(units),
)
if "openmm_hybrid" in sys.modules:
    sys.exit("the package was imported")
"""


@pytest.mark.torchforce
def test_a_plain_script_gets_the_same_forces(tmp_path: Path) -> None:
    case = make(box=TRICLINIC, n_copies=2, n_waters=20)
    model, path = PairMorse(NUMBERS), tmp_path / "correction.pt"
    export_torchforce(path, case.system, case.topology, model, atoms=case.atoms, scale="lam", name="two ethanols")
    np.savez(tmp_path / "in.npz", positions=case.wrapped / 10, box=TRICLINIC / 10)
    command = [sys.executable, "-I", "-c", PLAIN, str(path), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    energy, forces = case.labels(PairMorse(NUMBERS))
    with np.load(tmp_path / "out.npz") as out:
        assert abs(float(out["energy"]) / 4.184 - 0.5 * energy) <= 1e-6
        np.testing.assert_allclose(out["forces"] / 41.84, 0.5 * forces, rtol=0, atol=1e-5)


def test_torch_alone_takes_the_file_and_the_metadata_say_how(tmp_path: Path) -> None:
    case = make(n_copies=1)
    model = PairMorse(NUMBERS)
    path = export_torchforce(tmp_path / "m.pt", case.system, case.topology, model, atoms=case.atoms, theory="Morse")
    script, notes = read_script(path)
    energy, forces = script(torch.tensor(case.whole / 10))
    expected_energy, expected_forces = case.labels(PairMorse(NUMBERS))
    assert abs(energy.item() / 4.184 - expected_energy) <= 1e-6
    np.testing.assert_allclose(forces.numpy() / 41.84, expected_forces, rtol=0, atol=1e-5)
    assert notes["convention"] == "openmm"
    assert notes["units"] == {"length": "nm", "energy": "kJ/mol", "force": "kJ/mol/nm"}
    assert notes["atoms"] == case.atoms.tolist()
    assert "setOutputsForces(True)" in notes["calling"]


def test_the_two_conventions_are_not_taken_for_each_other(tmp_path: Path) -> None:
    case = make()
    path = export_torchforce(tmp_path / "m.pt", case.system, case.topology, PairMorse(NUMBERS), atoms=case.atoms)
    with pytest.raises(MismatchError, match=r"exported for OpenMM \(nm, kJ/mol\)"):
        load_torchscript(path)


def test_models_without_torch_form_leave_no_file(tmp_path: Path) -> None:
    case = make()
    model = UnscriptableMorse(NUMBERS)
    with pytest.raises(MismatchError, match="no TorchScript form"):
        export_torchforce(tmp_path / "m.pt", case.system, case.topology, model, atoms=case.atoms)
    assert not list(tmp_path.iterdir())
