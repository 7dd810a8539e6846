"""The plan: each part goes to the first backend that takes it, and parts with the same backend stay together."""

from __future__ import annotations

import openmm
import pytest

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.systems import plan as plan_module
from openmm_hybrid.systems.backends.backend import Backend, BackendState
from openmm_hybrid.systems.backends.pythonforce import PythonForceBackend
from openmm_hybrid.systems.backends.torchforce import TorchForceBackend
from openmm_hybrid.systems.placement import Placement
from openmm_hybrid.systems.plan import choose, plan
from tests.helpers.morse import PairMorse, UnscriptableMorse

NUMBERS = (6, 8, 1)
TORCH, OTHER = PairMorse(NUMBERS), UnscriptableMorse(NUMBERS)


class _Stub(Backend):
    """A backend of OpenMM's ordinary forces that takes some models."""

    taken: tuple[EnergyModel, ...] = ()

    def state(self, *, refresh: bool = False) -> BackendState:
        return BackendState("works", "")

    def takes(self, model: EnergyModel) -> bool:
        return model in self.taken

    def forces(self, placement: Placement, *, dtype: str = "float64") -> list[openmm.Force]:
        return []


class _First(_Stub):
    name = "first"
    taken = (TORCH,)
    force_type = "CustomExternalForce"


class _Beside(_Stub):
    name = "beside"
    taken = (TORCH, OTHER)


class _Excluding(_Stub):
    name = "excluding"
    taken = (TORCH, OTHER)
    force_type = "CustomBondForce"
    not_beside = ("CustomExternalForce",)


class _Approximate(_Stub):
    name = "approximate"
    exact = False
    taken = (TORCH,)


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> list[Backend]:
    """Two backends that exclude each other, as if no other were registered."""
    known: list[Backend] = [_First(), _Excluding()]
    monkeypatch.setattr(plan_module, "known_backends", lambda: known)
    return known


def _system(*forces: openmm.Force) -> openmm.System:
    system = openmm.System()
    for force in forces:
        system.addForce(force)
    return system


def test_parts_go_to_the_first_taker_and_stay_together() -> None:
    first, beside = _First(), _Beside()
    model = Sum((TORCH, Sum((OTHER, TORCH))))
    (chosen, share), (other, other_share) = plan(model, [first, beside])
    assert (chosen, other) == (first, beside)
    assert isinstance(share, Sum)
    assert list(share.parts) == [TORCH, TORCH]
    assert other_share is OTHER
    assert plan(TORCH, [first]) == [(first, TORCH)]


def test_torchforce_and_pythonforce_are_never_used_together() -> None:
    """OpenMM's OpenCL platform hangs, or gives half of the energy, in a System with both."""
    torchforce, pythonforce = TorchForceBackend(), PythonForceBackend()
    ((chosen, share),) = plan(Sum((TORCH, Sum((OTHER, TORCH)))), [torchforce, pythonforce])
    assert chosen is pythonforce
    assert isinstance(share, Sum)
    assert list(share.parts) == [TORCH, OTHER, TORCH]
    assert plan(Sum((TORCH, TORCH)), [torchforce, pythonforce])[0][0] is torchforce


def test_a_force_of_the_system_rules_out_a_backend(stubs: list[Backend]) -> None:
    first, excluding = stubs
    assert plan(TORCH, stubs, _system()) == [(first, TORCH)]
    assert plan(TORCH, stubs, _system(openmm.CustomExternalForce("x"))) == [(first, TORCH)]
    assert plan(TORCH, stubs, _system(openmm.CustomBondForce("r"))) == [(excluding, TORCH)]


def test_an_approximation_never_replaces_a_backend_that_is_ruled_out(stubs: list[Backend]) -> None:
    first, excluding = stubs
    approximate = _Approximate()
    system = _system(openmm.CustomBondForce("r"))
    with pytest.raises(MismatchError, match="the backend first adds a CustomExternalForce"):
        plan(TORCH, [first, approximate], system)
    assert plan(TORCH, [first, approximate, excluding], system) == [(excluding, TORCH)]
    assert plan(TORCH, [approximate, first], system) == [(approximate, TORCH)]


@pytest.mark.parametrize(
    ("force", "model", "rank", "message"),
    [
        (
            openmm.CustomBondForce("r"),
            TORCH,
            0,
            r"System has a CustomBondForce \('CustomBondForce'\), and the backend first adds a CustomExternalForce.*"
            r"this model with backend='excluding' too, or attach all of them as one oh.Sum",
        ),
        (
            openmm.CustomExternalForce("x"),
            OTHER,
            1,
            r"System has a CustomExternalForce .*backend excluding adds a CustomBondForce.*"
            r"the other models with backend='excluding' too",
        ),
    ],
    ids=["named backend", "only taker"],
)
def test_the_error_names_both_forces_and_the_backend_for_all(
    stubs: list[Backend], force: openmm.Force, model: EnergyModel, rank: int, message: str
) -> None:
    with pytest.raises(MismatchError, match=message) as caught:
        plan(model, [stubs[rank]], _system(force))
    assert "\n" not in str(caught.value)


def test_a_part_that_no_backend_takes_is_named() -> None:
    with pytest.raises(MismatchError, match="no backend among torchforce takes UnscriptableMorse"):
        plan(Sum((TORCH, OTHER)), [TorchForceBackend()])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean pythonforce"):
        choose("pythonforces")


def test_a_backend_needs_only_the_four_abstract_methods() -> None:
    class Mine(Backend):
        name = "mine"

        def state(self, *, refresh: bool = False) -> BackendState:
            return BackendState("works", "")

        def takes(self, model: EnergyModel) -> bool:
            return model is OTHER

        def forces(self, placement: Placement, *, dtype: str = "float64") -> list[openmm.Force]:
            return [openmm.CustomExternalForce("0")]

    assert [chosen.name for chosen, _ in plan(Sum((TORCH, OTHER)), [Mine(), TorchForceBackend()])] == [
        "mine",
        "torchforce",
    ]
