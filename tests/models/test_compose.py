"""Sum, Difference, OnAtoms: values against their parts, refusals. That they keep the contract: tests/conformance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.models.compose import Difference, OnAtoms, Sum
from tests.helpers.morse import PairMorse, UnscriptableMorse

NUMBERS = (6, 8, 1, 1)
POSITIONS = np.random.default_rng(0).normal(scale=1.5, size=(3, 4, 3))


def test_sum_and_difference_are_those_of_their_parts() -> None:
    first, second = PairMorse(NUMBERS), PairMorse(NUMBERS, 2.0)
    for model, sign in ((Sum([first, second]), 1.0), (Difference(first, second), -1.0)):
        energies, forces = model.predict(POSITIONS)
        np.testing.assert_allclose(
            energies, first.predict(POSITIONS)[0] + sign * second.predict(POSITIONS)[0], rtol=1e-14
        )
        np.testing.assert_allclose(
            forces, first.predict(POSITIONS)[1] + sign * second.predict(POSITIONS)[1], rtol=1e-13
        )


def test_sum_of_models_without_torch_form_evaluates_but_does_not_script() -> None:
    model = Sum((PairMorse(NUMBERS), UnscriptableMorse(NUMBERS)))
    np.testing.assert_allclose(model.predict(POSITIONS)[0], 2 * PairMorse(NUMBERS).predict(POSITIONS)[0], rtol=1e-14)
    with pytest.raises(MismatchError, match="UnscriptableMorse has no TorchScript form"):
        model.module()


def test_on_atoms_gathers_in_the_model_order_and_scatters_the_forces() -> None:
    inner = PairMorse((1, 8, 6))
    energies, forces = OnAtoms(inner, [3, 1, 0], NUMBERS).predict(POSITIONS)
    inner_energies, inner_forces = inner.predict(POSITIONS[:, [3, 1, 0]])
    np.testing.assert_array_equal(energies, inner_energies)
    np.testing.assert_array_equal(forces[:, [3, 1, 0]], inner_forces)
    np.testing.assert_array_equal(forces[:, 2], 0.0)


def test_a_sum_scripts_to_one_module_that_survives_saving(tmp_path: object) -> None:
    model = Sum((PairMorse(NUMBERS), OnAtoms(PairMorse((1, 8)), [2, 1], NUMBERS), PairMorse(NUMBERS, 1.0)))
    path = f"{tmp_path}/sum.pt"
    torch.jit.script(model.module().eval()).save(path)
    energies, forces = torch.jit.load(path)(torch.tensor(POSITIONS))
    np.testing.assert_allclose(energies.numpy(), model.predict(POSITIONS)[0], rtol=1e-13)
    np.testing.assert_allclose(forces.numpy(), model.predict(POSITIONS)[1], rtol=1e-13, atol=1e-12)


def test_refusals_name_what_does_not_fit() -> None:
    model = PairMorse(NUMBERS)
    with pytest.raises(InputError, match="at least one part"):
        Sum(())
    with pytest.raises(MismatchError, match="part 1 of the Sum"):
        Sum((model, PairMorse((8, 6, 1, 1))))
    with pytest.raises(MismatchError, match="the subtrahend"):
        Difference(model, PairMorse((6, 8, 1)))
    with pytest.raises(MismatchError, match="atom 0 has atomic number 6; expected 8"):
        OnAtoms(PairMorse((8, 1)), (0, 2), NUMBERS)
    with pytest.raises(MismatchError, match="3 atoms were chosen"):
        OnAtoms(PairMorse((8, 1)), (1, 2, 3), NUMBERS)
    with pytest.raises(InputError, match="twice"):
        OnAtoms(PairMorse((1, 1)), (2, 2), NUMBERS)
    with pytest.raises(InputError, match="0 to 3"):
        OnAtoms(PairMorse((1, 1)), (2, 4), NUMBERS)
    with pytest.raises(InputError, match="integers"):
        OnAtoms(PairMorse((1, 1)), (2.0, 3.0), NUMBERS)
