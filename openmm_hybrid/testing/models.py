"""Conformance suites: inherit one in a test module, give its fixtures, and a new implementation is tested as well.

class TestMyModel(EnergyModelSuite):
    @pytest.fixture
    def model(self): ...
    @pytest.fixture
    def positions(self): ...
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.models.energy_model import EnergyModel


class EnergyModelSuite:
    """What every EnergyModel owes its users.

    Fixtures to give: ``model`` (EnergyModel) and ``positions`` (at least 3 frames, n_atoms, 3; Å). Forces are compared
    with central differences of the energy to `gradient_tolerance` (relative to the largest force). A model whose `kind`
    is empty, or that is made of such a model, has no file form.
    """

    gradient_tolerance = 1e-6

    def test_shapes_of_batch_and_single_frame(self, model: EnergyModel, positions: NDArray[np.float64]) -> None:
        energies, forces = model.predict(positions)
        assert energies.shape == (len(positions),)
        assert forces.shape == positions.shape
        assert model.atomic_numbers.shape == (model.n_atoms,)
        energy, force = model.predict(positions[1])
        assert energy.shape == ()
        np.testing.assert_allclose(energy, energies[1], rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(force, forces[1], rtol=1e-9, atol=1e-9)

    def test_no_frames_give_empty_arrays(self, model: EnergyModel) -> None:
        energies, forces = model.predict(np.zeros((0, model.n_atoms, 3)))
        assert energies.shape == (0,)
        assert forces.shape == (0, model.n_atoms, 3)

    def test_forces_are_minus_the_gradient(self, model: EnergyModel, positions: NDArray[np.float64]) -> None:
        frame = positions[0]
        _, forces = model.predict(frame)
        step = 1e-4
        shifts = step * np.eye(frame.size).reshape(-1, *frame.shape)
        numeric = (model.predict(frame - shifts)[0] - model.predict(frame + shifts)[0]) / (2 * step)
        scale = max(1.0, float(np.abs(forces).max()))
        np.testing.assert_allclose(forces.ravel(), numeric, rtol=0, atol=self.gradient_tolerance * scale)

    def test_invariant_under_translation_and_rotation(self, model: EnergyModel, positions: NDArray[np.float64]) -> None:
        turn = Rotation.random(rng=np.random.default_rng(0)).as_matrix()
        energies, forces = model.predict(positions)
        moved_energies, moved_forces = model.predict(positions @ turn.T + [1.0, -2.0, 3.0])
        np.testing.assert_allclose(moved_energies, energies, rtol=1e-9, atol=1e-7)
        np.testing.assert_allclose(moved_forces, forces @ turn.T, rtol=0, atol=1e-6)

    def test_no_net_force_and_torque(self, model: EnergyModel, positions: NDArray[np.float64]) -> None:
        _, forces = model.predict(positions)
        torque = np.cross(positions - positions.mean(axis=1, keepdims=True), forces).sum(axis=1)
        np.testing.assert_allclose(forces.sum(axis=1), 0.0, atol=1e-6)
        np.testing.assert_allclose(torque, 0.0, atol=1e-5)

    def test_a_file_brings_the_model_back(
        self, model: EnergyModel, positions: NDArray[np.float64], tmp_path: Path
    ) -> None:
        from openmm_hybrid.models_io.any_model import load

        try:
            path = model.save(tmp_path / "model.npz")
        except MismatchError as error:
            assert not list(tmp_path.iterdir())
            pytest.skip(str(error))
        loaded = load(path)
        assert isinstance(loaded, EnergyModel)
        np.testing.assert_array_equal(loaded.atomic_numbers, model.atomic_numbers)
        for got, expected in zip(loaded.predict(positions), model.predict(positions), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-9)

    def test_refuses_other_atoms_and_numbers_that_are_not_finite(
        self, model: EnergyModel, positions: NDArray[np.float64]
    ) -> None:
        with pytest.raises(InputError, match="shape"):
            model.predict(positions[:, :-1])
        broken = positions.copy()
        broken[1, 0, 0] = np.nan
        with pytest.raises(InputError, match="frame 1"):
            model.predict(broken)


class TorchModelSuite(EnergyModelSuite):
    """What a model with a TorchScript form owes on top."""

    float32_tolerance = 1e-4

    def test_scripted_module_equals_predict(self, model: EnergyModel, positions: NDArray[np.float64]) -> None:
        import torch

        scripted = torch.jit.freeze(torch.jit.script(model.module().eval()))
        energies, forces = model.predict(positions)
        scripted_energies, scripted_forces = scripted(torch.tensor(positions))
        np.testing.assert_allclose(scripted_energies.numpy(), energies, rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(scripted_forces.numpy(), forces, rtol=1e-9, atol=1e-9)

    def test_module_carries_no_tape_and_takes_either_dtype(
        self, model: EnergyModel, positions: NDArray[np.float64]
    ) -> None:
        import torch

        _, forces = model.predict(positions)
        tracked = torch.tensor(positions, dtype=torch.float32, requires_grad=True)
        scripted = torch.jit.script(model.module().eval())
        # TorchForce freezes the script, and freezing removes detach(): cut the tape with `.data`.
        for module in (model.module(), scripted, torch.jit.freeze(scripted)):
            for _ in range(3):  # torch rewrites a script after its first calls
                energies, tracked_forces = module(tracked)
                assert energies.dtype == tracked_forces.dtype == torch.float64
                assert not energies.requires_grad
                assert not tracked_forces.requires_grad
        single = model.module().to(torch.float32)(torch.tensor(positions))
        assert single[1].dtype == torch.float32
        scale = float(np.abs(forces).max())
        np.testing.assert_allclose(single[1].numpy(), forces, rtol=0, atol=self.float32_tolerance * scale)
