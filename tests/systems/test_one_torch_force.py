"""A System never gets a TorchForce beside a PythonForce: OpenMM 8.5 with its plugin, where both backends work.

With both forces in one System, OpenMM's OpenCL platform hangs or computes only a part of the energy.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.systems.backends.pythonforce import PythonForceBackend
from openmm_hybrid.systems.backends.torchforce import TorchForceBackend, load_plugin
from openmm_hybrid.systems.system_files import Attachment, load_system, save_system
from tests.helpers import classical_ethanol as ethanol
from tests.helpers.boxes import NUMBERS, RECTANGULAR, Case, evaluate, make
from tests.helpers.morse import PairMorse, UnscriptableMorse
from tests.systems.test_system_files import sgdml_model

pytestmark = [pytest.mark.torchforce, pytest.mark.pythonforce]

PLATFORMS = [openmm.Platform.getPlatform(k).getName() for k in range(openmm.Platform.getNumPlatforms())]
TORCH, OTHER = PairMorse(NUMBERS), UnscriptableMorse(NUMBERS)


def _attach(case: Case, model: object, **options: str) -> None:
    oh.attach(case.system, case.topology, model, atoms=case.atoms, force_group=1, **options)


def _kinds(system: openmm.System) -> tuple[int, int]:
    """Numbers of TorchForces and PythonForces."""
    backends = TorchForceBackend(), PythonForceBackend()
    counts = [sum(backend.made(force) for force in system.getForces()) for backend in backends]
    return counts[0], counts[1]


def _agree(case: Case, models: list[object]) -> None:
    """Energy and forces of all models together, on every platform that is here; OpenCL computes in float32."""
    labels = [case.labels(model) for model in models]
    energy, forces = sum(energy for energy, _ in labels), sum(forces for _, forces in labels)
    for platform in PLATFORMS:
        found = evaluate(case.system, case.wrapped, platform, group=1)
        single = platform == "OpenCL"
        assert found[0] == pytest.approx(energy, rel=2e-4 if single else 0, abs=0 if single else 1e-6)
        bound = 2e-4 * np.abs(forces).max() if single else 1e-5
        np.testing.assert_allclose(found[1], forces, rtol=0, atol=bound)


def test_a_sum_goes_to_the_backend_that_takes_all_parts() -> None:
    case = make(box=RECTANGULAR, n_copies=2, n_waters=20)
    _attach(case, Sum((TORCH, OTHER)))
    assert _kinds(case.system) == (0, 1)
    _agree(case, [TORCH, OTHER])


def test_auto_adds_the_kind_that_the_system_has() -> None:
    case = make(box=RECTANGULAR, n_copies=2, n_waters=20)
    _attach(case, OTHER)
    _attach(case, TORCH)
    assert _kinds(case.system) == (0, 2)
    _agree(case, [OTHER, TORCH])


def test_two_torchforces_work_together() -> None:
    case = make(box=RECTANGULAR, n_copies=2, n_waters=20)
    _attach(case, TORCH)
    _attach(case, TORCH)
    assert _kinds(case.system) == (2, 0)
    _agree(case, [TORCH, TORCH])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            {"model": TORCH},
            {"model": OTHER},
            r"has a TorchForce \('HybridTorchForce \w+'\), and the backend pythonforce adds a PythonForce.*"
            r"attach the other models with backend='pythonforce' too, or attach all of them as one oh\.Sum",
        ),
        (
            {"model": TORCH, "backend": "pythonforce"},
            {"model": TORCH, "backend": "torchforce"},
            r"has a PythonForce \('HybridPythonForce \w+'\), and the backend torchforce adds a TorchForce.*"
            r"attach this model with backend='pythonforce' too",
        ),
        (
            {"model": TORCH, "backend": "torchforce"},
            {"model": TORCH, "backend": "pythonforce"},
            r"has a TorchForce .*attach this model with backend='torchforce' too",
        ),
    ],
    ids=["auto", "torchforce second", "pythonforce second"],
)
def test_the_other_kind_is_refused(first: dict[str, object], second: dict[str, object], message: str) -> None:
    case = make()
    _attach(case, **first)  # type: ignore[arg-type]
    with pytest.raises(MismatchError, match=message) as caught:
        _attach(case, **second)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert case.system.getNumForces() == 2


def test_a_torchforce_of_another_script_is_recognised() -> None:
    """Read from XML; OpenMM returns it as a bare Force, and this plugin's XML does not keep its name."""
    case = make()
    _attach(case, TORCH)
    load_plugin()
    case = replace(case, system=openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(case.system)))
    assert type(case.system.getForce(1)).__name__ == "Force"
    with pytest.raises(MismatchError, match=r"System has a TorchForce .*adds a PythonForce"):
        _attach(case, OTHER)


def test_replace_is_refused_too() -> None:
    fitted = ethanol.forcefield(bonds="neural")
    case = ethanol.box(RECTANGULAR, n_waters=20)
    _attach(case, OTHER)
    before = openmm.XmlSerializer.serialize(case.system)
    with pytest.raises(MismatchError, match=r"has a PythonForce .*backend torchforce adds a TorchForce"):
        oh.replace(case.system, case.topology, fitted, atoms=case.atoms, backend="torchforce")
    assert openmm.XmlSerializer.serialize(case.system) == before
    oh.replace(case.system, case.topology, fitted, atoms=case.atoms, backend="pythonforce")
    assert _kinds(case.system) == (0, 2)


def test_a_folder_comes_back_with_one_kind(tmp_path: Path) -> None:
    """Two models that were attached one by one, the second as the first: both fit a TorchForce when they are read."""
    case = make(box=RECTANGULAR, n_copies=2, n_waters=20)
    _attach(case, TORCH, backend="pythonforce")
    _attach(case, sgdml_model())
    assert _kinds(case.system) == (0, 2)
    attachments = [
        Attachment(TORCH, atoms=case.atoms, backend="pythonforce", force_group=1),
        Attachment(sgdml_model(), atoms=case.atoms, force_group=1),
    ]
    save_system(tmp_path, case.system, case.topology, case.wrapped, attachments=attachments)
    expected = evaluate(case.system, case.wrapped, "Reference", group=1)
    for backend, kinds in (("auto", (2, 0)), ("pythonforce", (0, 2))):
        system, _, positions = load_system(tmp_path, backend=backend)
        assert _kinds(system) == kinds
        found = evaluate(system, positions, "Reference", group=1)
        assert found[0] == pytest.approx(expected[0], rel=1e-9)
        np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=1e-6)
