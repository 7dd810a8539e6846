"""The plan: each part goes to the first backend that takes it, and parts with the same backend stay together."""

from __future__ import annotations

import openmm
import pytest

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.systems.backends.backend import Backend, BackendState
from openmm_hybrid.systems.backends.pythonforce import PythonForceBackend
from openmm_hybrid.systems.backends.torchforce import TorchForceBackend
from openmm_hybrid.systems.placement import Placement
from openmm_hybrid.systems.plan import choose, plan
from tests.helpers.morse import PairMorse, UnscriptableMorse

NUMBERS = (6, 8, 1)
TORCH, OTHER = PairMorse(NUMBERS), UnscriptableMorse(NUMBERS)


def test_parts_go_to_the_first_taker_and_stay_together() -> None:
    torchforce, pythonforce = TorchForceBackend(), PythonForceBackend()
    model = Sum((TORCH, Sum((OTHER, TORCH))))
    (first, first_share), (second, second_share) = plan(model, [torchforce, pythonforce])
    assert (first, second) == (torchforce, pythonforce)
    assert isinstance(first_share, Sum)
    assert list(first_share.parts) == [TORCH, TORCH]
    assert second_share is OTHER
    ((chosen, share),) = plan(model, [pythonforce])
    assert chosen is pythonforce
    assert isinstance(share, Sum)
    assert len(share.parts) == 3
    assert plan(TORCH, [torchforce]) == [(torchforce, TORCH)]


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
