"""Conformance suites: inherit one in a test module, give its fixtures, and a new implementation is tested as well.

class TestMyModel(EnergyModelSuite):
    @pytest.fixture
    def model(self): ...
    @pytest.fixture
    def positions(self): ...
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.models.energy_model import EnergyModel

if TYPE_CHECKING:
    import torch

    from openmm_hybrid.forcefield.model import ForceField
    from openmm_hybrid.forms.form import FunctionalForm


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


class FunctionalFormSuite:
    """What every FunctionalForm owes its users.

    Fixtures to give: ``form`` (FunctionalForm) and ``parameters`` (n_terms, n_columns), at least two rows; where the
    energy has to diverge as atoms meet, also ``diverges`` as True.
    """

    @pytest.fixture
    def diverges(self) -> bool:
        return False

    @pytest.fixture
    def q(self, form: FunctionalForm, parameters: NDArray[np.float64]) -> torch.Tensor:
        """Coordinates (6 frames, n_terms, n_q) of bonded atoms, at random."""
        import torch

        ends = {"distance": (1.0, 1.7), "angle": (1.2, 2.6), "dihedral": (-np.pi, np.pi)}
        lower, upper = np.transpose([ends[coordinate.kind] for coordinate in form.coordinates])
        size = (6, len(parameters), len(form.coordinates))
        return torch.tensor(np.random.default_rng(3).uniform(lower, upper, size))

    def test_shapes_and_names(self, form: FunctionalForm, parameters: NDArray[np.float64], q: torch.Tensor) -> None:
        assert parameters.shape[1] == len(form.columns) == len({column.name for column in form.columns})
        energies, slopes = form(q, _tensor(parameters))
        assert energies.shape == q.shape[:2]
        assert slopes.shape == q.shape
        for coordinate in form.coordinates:
            assert len(coordinate.indices) == {"distance": 2, "angle": 3, "dihedral": 4}[coordinate.kind]
            assert max(coordinate.indices) < form.n_atoms
        for column in form.columns:
            assert column.lower < column.upper
            assert column.unit

    def test_slopes_are_the_derivatives(
        self, form: FunctionalForm, parameters: NDArray[np.float64], q: torch.Tensor
    ) -> None:
        import torch

        p = _tensor(parameters)
        _, slopes = form(q, p)
        tracked = q.clone().requires_grad_()
        (by_autograd,) = torch.autograd.grad(form(tracked, p)[0].sum(), tracked)
        scale = float(slopes.abs().max())
        assert scale > 1e-6, "a form without slopes tests nothing: give other parameters"
        np.testing.assert_allclose(slopes.numpy(), by_autograd.numpy(), rtol=1e-9, atol=1e-10 * scale)
        step = 1e-5
        for number in range(q.shape[-1]):
            shift = torch.zeros_like(q)
            shift[..., number] = step
            numeric = (form(q + shift, p)[0] - form(q - shift, p)[0]) / (2 * step)
            np.testing.assert_allclose(slopes[..., number].numpy(), numeric.numpy(), rtol=1e-5, atol=1e-6 * scale)

    def test_design_is_the_derivative_by_the_fitted_columns(
        self, form: FunctionalForm, parameters: NDArray[np.float64], q: torch.Tensor
    ) -> None:
        import torch

        p = _tensor(parameters)
        energies, slopes = form.design(q, p)
        fitted = [number for number, column in enumerate(form.columns) if column.fitted]
        assert energies.shape == (*q.shape[:2], len(fitted))
        assert slopes.shape == (*q.shape, len(fitted))
        for place, number in enumerate(fitted):
            step = 1e-5 * max(1.0, float(p[:, number].abs().max()))
            shift = torch.zeros_like(p)
            shift[:, number] = step
            (up, up_slope), (down, down_slope) = form(q, p + shift), form(q, p - shift)
            for exact, high, low in ((energies, up, down), (slopes, up_slope, down_slope)):
                numeric = ((high - low) / (2 * step)).numpy()
                scale = max(1.0, float(np.abs(numeric).max()))
                np.testing.assert_allclose(exact[..., place].numpy(), numeric, rtol=1e-5, atol=1e-6 * scale)

    def test_scripted_form_is_the_same(
        self, form: FunctionalForm, parameters: NDArray[np.float64], q: torch.Tensor
    ) -> None:
        import torch

        p = _tensor(parameters)
        scripted = torch.jit.script(form)
        for _ in range(3):  # torch rewrites a script after its first calls
            found = scripted(q, p)
        for ours, theirs in zip(form(q, p), found, strict=True):
            np.testing.assert_allclose(theirs.numpy(), ours.numpy(), rtol=1e-12, atol=1e-12)

    def test_start_is_without_energy(self, form: FunctionalForm, q: torch.Tensor) -> None:
        start = form.start(q.shape[1])
        assert start.shape == (q.shape[1], len(form.columns))
        energies, slopes = form(q, start)
        assert float(energies.abs().max()) == 0.0
        assert float(slopes.abs().max()) == 0.0

    def test_a_dihedral_comes_round(
        self, form: FunctionalForm, parameters: NDArray[np.float64], q: torch.Tensor
    ) -> None:
        """Energy and slopes are the same at −π and π."""
        dihedrals = [place for place, coordinate in enumerate(form.coordinates) if coordinate.kind == "dihedral"]
        if not dihedrals:
            pytest.skip("no dihedral in it")
        ends = []
        for value in (-np.pi, np.pi):
            q[..., dihedrals] = value
            ends.append(form(q, _tensor(parameters)))
        for lower, upper in zip(*ends, strict=True):
            np.testing.assert_allclose(lower.numpy(), upper.numpy(), rtol=1e-9, atol=1e-9)

    def test_finite_at_singular_points(
        self, form: FunctionalForm, parameters: NDArray[np.float64], diverges: bool
    ) -> None:
        """Straight angles, dihedrals about them, folded and coinciding atoms; and bonds torn apart."""
        n = form.n_atoms
        line = 1.3 * np.outer(np.arange(n), [1.0, 0.0, 0.0])
        frames = [line, 40.0 * line]
        if not diverges:
            folded = 1.3 * np.outer(np.arange(n) % 2, [0.0, 1.0, 0.0])
            frames += [folded, np.zeros((n, 3))]
        energies, forces = _one_term(form, parameters[0]).predict(np.array(frames))
        assert np.isfinite(energies).all()
        assert np.isfinite(forces).all()

    def test_forces_are_minus_the_gradient(self, form: FunctionalForm, parameters: NDArray[np.float64]) -> None:
        model = _one_term(form, parameters[1])
        frame = _chain(form.n_atoms)
        _, forces = model.predict(frame)
        shifts = 1e-5 * np.eye(frame.size).reshape(-1, *frame.shape)
        numeric = (model.predict(frame - shifts)[0] - model.predict(frame + shifts)[0]) / 2e-5
        scale = max(1.0, float(np.abs(forces).max()))
        np.testing.assert_allclose(forces.ravel(), numeric, rtol=0, atol=1e-6 * scale)

    def test_expression_is_the_energy(self, form: FunctionalForm, parameters: NDArray[np.float64]) -> None:
        """In OpenMM's CustomCompoundBondForce, on its Reference platform in double precision."""
        if not form.expression():
            pytest.skip("OpenMM has this form as a table, or as non-bonded pairs")
        for row in parameters:
            frame = _chain(form.n_atoms)
            energy, forces = _in_openmm(form, row, frame)
            expected, expected_forces = _one_term(form, row).predict(frame)
            assert energy == pytest.approx(float(expected), rel=1e-9, abs=1e-9)
            scale = max(1.0, float(np.abs(expected_forces).max()))
            np.testing.assert_allclose(forces, expected_forces, rtol=0, atol=1e-8 * scale)

    def test_a_file_can_make_it_again(self, form: FunctionalForm, parameters: NDArray[np.float64]) -> None:
        twin = type(form)(**json.loads(json.dumps(form.settings())))
        assert twin.name == form.name
        assert twin.columns == form.columns
        assert twin.coordinates == form.coordinates
        assert twin.settings() == form.settings()


def _tensor(values: NDArray[np.float64]) -> torch.Tensor:
    import torch

    return torch.tensor(values, dtype=torch.float64)


def _chain(n_atoms: int) -> NDArray[np.float64]:
    """A bent, twisted chain (n_atoms, 3), Å."""
    steps = np.arange(n_atoms)
    helix = np.stack([0.9 * np.cos(1.9 * steps), 0.9 * np.sin(1.9 * steps), 0.55 * steps], axis=1)
    return helix + np.random.default_rng(5).normal(scale=0.05, size=helix.shape)


def _one_term(form: FunctionalForm, row: NDArray[np.float64]) -> ForceField:
    """A force field of one term on as many atoms as it needs."""
    from openmm_hybrid.forcefield.builder import Builder
    from openmm_hybrid.forcefield.model import ForceField

    builder = Builder(np.full(form.n_atoms, 6), [])
    builder.add("terms", form, {tuple(range(form.n_atoms)): row.tolist()})
    return ForceField(builder.finish())


def _in_openmm(
    form: FunctionalForm, row: NDArray[np.float64], frame: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Energy and forces (n_atoms, 3) of a term's expression, in kcal/mol and kcal/mol/Å."""
    import openmm
    from openmm import unit

    from openmm_hybrid.core.units import ANGSTROM_PER_NM, KJ_PER_KCAL, NM_PER_ANGSTROM

    first, _, rest = form.expression().partition(";")
    lines = [f"{KJ_PER_KCAL!r}*({first})", *filter(None, [rest])]
    for number, coordinate in enumerate(form.coordinates, 1):
        points = ",".join(f"p{place + 1}" for place in coordinate.indices)
        factor = f"{ANGSTROM_PER_NM}*" if coordinate.kind == "distance" else ""
        lines.append(f"q{number}={factor}{coordinate.kind}({points})")
    force = openmm.CustomCompoundBondForce(form.n_atoms, ";".join(lines))
    for column in form.columns:
        force.addPerBondParameter(column.name)
    force.addBond(list(range(form.n_atoms)), row.tolist())
    system = openmm.System()
    for _ in range(form.n_atoms):
        system.addParticle(1.0)
    system.addForce(force)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(frame * NM_PER_ANGSTROM)
    state = context.getState(getEnergy=True, getForces=True)
    per_angstrom = unit.kilocalorie_per_mole / unit.angstrom
    return (
        state.getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole),
        state.getForces(asNumpy=True).value_in_unit(per_angstrom),
    )
