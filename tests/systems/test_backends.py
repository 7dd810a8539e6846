"""Each backend of the package in the conformance suite, and one of another distribution."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray

import openmm_hybrid as oh
from openmm_hybrid.cli import doctor
from openmm_hybrid.core import registry
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.systems.backends.backend import Backend, BackendState
from openmm_hybrid.systems.backends.native import NativeBackend
from openmm_hybrid.systems.backends.pythonforce import PythonForceBackend
from openmm_hybrid.systems.backends.spline import SplineBackend
from openmm_hybrid.systems.backends.torchforce import TorchForceBackend
from openmm_hybrid.systems.placement import Placement
from openmm_hybrid.systems.plan import choose, choose_for_terms
from openmm_hybrid.systems.xml import read_xml
from openmm_hybrid.testing import BackendSuite
from tests.helpers import classical_ethanol as ethanol
from tests.helpers.boxes import BONDS, NUMBERS, make
from tests.helpers.morse import PairMorse, UnscriptableMorse


class _OfForceFields(BackendSuite):
    @pytest.fixture
    def geometry(self) -> NDArray[np.float64]:
        return ethanol.frames(1)[0]

    @pytest.fixture
    def bonds(self) -> Sequence[tuple[int, int]]:
        return BONDS

    @pytest.fixture
    def foreign(self) -> Sequence[EnergyModel]:
        return [PairMorse(NUMBERS), UnscriptableMorse(NUMBERS), ethanol.forcefield().only("coulomb")]


class TestNative(_OfForceFields):
    @pytest.fixture
    def backend(self) -> Backend:
        return NativeBackend()

    @pytest.fixture(params=["harmonic", "morse and cross"])
    def model(self, request: pytest.FixtureRequest) -> EnergyModel:
        if request.param == "harmonic":
            return ethanol.forcefield().only("bonds", "angles", "propers")
        made = ethanol.forcefield(bonds="morse", cross=True)
        return made.only(*(group for group in made.groups if group.startswith(("bonds", "cross"))))


class TestSpline(_OfForceFields):
    """The bounds of tables: |ΔE| ≤ 1e-4 kcal/mol and |ΔF| ≤ 1e-3 kcal/mol/Å."""

    energy_tolerance = 1e-4
    force_tolerance = 1e-3

    @pytest.fixture
    def backend(self) -> Backend:
        return SplineBackend()

    @pytest.fixture(params=["neural", "spline"])
    def model(self, request: pytest.FixtureRequest) -> EnergyModel:
        form = request.param
        made = ethanol.forcefield(bonds=form, angles=form, propers=form)
        return made.only(*(group for group in made.groups if form in group))


class TestTorchForce(BackendSuite):
    @pytest.fixture
    def backend(self) -> Backend:
        return TorchForceBackend()

    @pytest.fixture
    def model(self) -> EnergyModel:
        return PairMorse((8, 6, 6, 1, 1))


class TestPythonForce(BackendSuite):
    @pytest.fixture
    def backend(self) -> Backend:
        return PythonForceBackend()

    @pytest.fixture(params=[PairMorse, UnscriptableMorse])
    def model(self, request: pytest.FixtureRequest) -> EnergyModel:
        return request.param((8, 6, 6, 1, 1))

    @pytest.fixture
    def foreign(self) -> Sequence[EnergyModel]:
        return []


class _Outside(Backend):
    """A backend of another distribution: it carries one kind of model by a force that holds a pickle."""

    name = "outside"
    needs_torch = True
    holds_code = True
    holds_pickle = True
    force_type = "CustomExternalForce"

    def state(self, *, refresh: bool = False) -> BackendState:
        return BackendState("works", "1.0")

    def takes(self, model: EnergyModel) -> bool:
        return isinstance(model, UnscriptableMorse)

    def forces(self, placement: Placement, *, dtype: str = "float64") -> list[openmm.Force]:
        return [openmm.CustomExternalForce("0")]


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> str:
    """The backend, as if its distribution announced it in the entry-point group."""
    point = SimpleNamespace(name="outside", load=lambda: _Outside)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == "openmm_hybrid.backends" else [])
    return "outside"


def test_auto_asks_a_backend_of_another_distribution_last(outside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a stack without PythonForce, which would take every model."""
    absent = BackendState("missing", "OpenMM 8.4 has no PythonForce", "install a later OpenMM")
    monkeypatch.setattr(PythonForceBackend, "state", lambda self: absent)
    assert choose("auto")[-1].name == outside
    case = make()
    (force,) = oh.attach(case.system, case.topology, UnscriptableMorse(NUMBERS), atoms=case.atoms)
    assert isinstance(force, openmm.CustomExternalForce)


def test_its_facts_are_asked_for(outside: str, tmp_path: Path) -> None:
    assert [backend.name for backend in choose_for_terms(outside)] == ["native", "outside", "spline"]
    missing, works = doctor.Check("missing", "absent", "install it"), doctor.Check("works")
    found = doctor._one_is_enough({"native": works, "torchforce": missing, outside: works})
    assert "not needed, as outside works" in found["torchforce"].hint
    case = make()
    model = UnscriptableMorse(NUMBERS)
    oh.attach(case.system, case.topology, model, atoms=case.atoms, backend=outside)
    xml = openmm.XmlSerializer.serialize(case.system)
    with pytest.raises(InputError, match="holds a CustomExternalForce, a pickle"):
        read_xml(xml, tmp_path / "system.xml", openmm.System, hint="")


@pytest.mark.parametrize(
    ("name", "ranked"),
    [
        ("native", ["native", "spline"]),
        ("spline", ["native", "spline"]),
        pytest.param("torchforce", ["native", "torchforce", "spline"], marks=pytest.mark.torchforce),
        pytest.param("pythonforce", ["native", "pythonforce", "spline"], marks=pytest.mark.pythonforce),
    ],
)
def test_terms_go_to_exact_forces_first(name: str, ranked: list[str]) -> None:
    assert [backend.name for backend in choose_for_terms(name)] == ranked
