"""Conformance suite of functional forms.

class TestMyForm(FunctionalFormSuite):
    @pytest.fixture
    def form(self): ...
    @pytest.fixture
    def parameters(self): ...
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError

if TYPE_CHECKING:
    import openmm
    import torch

    from openmm_hybrid.forcefield.model import ForceField
    from openmm_hybrid.forms.form import FunctionalForm


class FunctionalFormSuite:
    """Conformance tests of a FunctionalForm.

    A subclass gives the fixtures ``form`` (FunctionalForm) and ``parameters`` (n_terms, n_columns), with at least two
    rows. If the energy must diverge as atoms meet, it also sets ``diverges`` to True.
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
        reserved = {"energy", *(f"q{number}" for number in range(1, 1 + len(form.coordinates)))}
        for column in form.columns:
            assert column.name not in reserved
            assert column.name.isidentifier() or not form.expression()
            assert column.lower < column.upper
            assert column.unit
            assert column.width >= 0.0

    def test_for_slot_makes_the_form_of_each_slot(self, form: FunctionalForm) -> None:
        from openmm_hybrid.forms.form import SLOTS

        family = type(form)
        assert form.slots, "a form needs at least one slot"
        assert set(form.slots) <= {*SLOTS, "pairs", "cross"}
        assert set(form.slots.values()) <= {"replaces", "adds"}
        for slot in set(SLOTS) - set(form.slots):
            with pytest.raises(InputError, match=slot):
                family.for_slot(slot)
        for slot in set(SLOTS) & set(form.slots):
            made = family.for_slot(slot)
            assert type(made) is family
            assert [coordinate.kind for coordinate in made.coordinates] == [SLOTS[slot]]
            if family.size:
                size = form.settings()[family.size]
                assert isinstance(size, int)
                assert family.for_slot(slot, size).settings()[family.size] == size
            else:
                with pytest.raises(InputError, match="size"):
                    family.for_slot(slot, 3)

    def test_a_replacing_form_starts_from_the_classical_one(self, form: FunctionalForm) -> None:
        """A bond or angle at the same minimum and curvature, a torsion at the same energies up to a constant."""
        import torch

        from openmm_hybrid.forms import CLASSICAL, FORMS

        slots = [slot for slot, role in form.slots.items() if role == "replaces" and slot in CLASSICAL]
        if not slots:
            pytest.skip("it replaces no classical form")
        for slot in slots:
            old, new = FORMS.load(CLASSICAL[slot]).for_slot(slot), type(form).for_slot(slot)
            p = _tensor(np.random.default_rng(1).uniform(1.2, 2.0, (3, len(old.columns))))
            if slot in ("bonds", "angles"):
                p[:, 0] *= 300.0
            started = new.converted(old, p)
            assert started.shape == (3, len(new.columns))
            if slot in ("bonds", "angles"):
                found = new.harmonic(started)
                assert found is not None, "a bond or angle states its minimum and curvature"
                for ours, theirs in zip(found, p.T, strict=True):
                    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)
            else:
                q = torch.linspace(-3.0, 3.0, 9, dtype=torch.float64)[:, None, None].expand(-1, 3, 1)
                np.testing.assert_allclose(new(q, started)[1].numpy(), old(q, p)[1].numpy(), rtol=0, atol=1e-9)

    def test_harmonic_is_the_minimum_and_its_curvature(
        self, form: FunctionalForm, parameters: NDArray[np.float64]
    ) -> None:
        p = _tensor(parameters)
        found = form.harmonic(p)
        if found is None:
            pytest.skip("it has no minimum of its own")
        k, minimum = found
        q, step = minimum[None, :, None], 1e-5
        (above, up), (below, down) = form(q + step, p), form(q - step, p)
        np.testing.assert_allclose(form(q, p)[1].numpy(), 0.0, atol=1e-9)
        np.testing.assert_allclose(((up - down) / (2.0 * step))[0, :, 0].numpy(), k.numpy(), rtol=1e-6)
        for side in (above, below):
            assert bool((side > form(q, p)[0]).all())

    def test_roughness_is_a_penalty(self, form: FunctionalForm, parameters: NDArray[np.float64]) -> None:
        """Symmetric, positive semi-definite, and of the size of the fitted columns."""
        matrix = form.roughness(_tensor(parameters[:1])).numpy()
        assert matrix.shape == (sum(column.fitted for column in form.columns),) * 2
        np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12)
        values = np.linalg.eigvalsh(matrix)
        assert values[0] >= -1e-10 * values[-1]
        assert values[-1] > 0.0

    def test_coordinates_fade_outside_their_ranges(
        self, form: FunctionalForm, parameters: NDArray[np.float64], q: torch.Tensor
    ) -> None:
        if not form.ranges:
            pytest.skip("it has no ranges")
        p = _tensor(parameters)
        for lower, upper, number in form.ranges:
            first, last = form.columns[lower], form.columns[upper]
            kind = form.coordinates[number].kind
            assert kind in ("distance", "angle")
            assert first.unit == last.unit == {"distance": "Å", "angle": "rad"}[kind]
            assert not first.fitted
            assert not last.fitted
            assert bool((p[:, lower] < p[:, upper]).all()), "give parameters with ranges"
            for end, sign in ((lower, -1.0), (upper, 1.0)):
                far = q.clone()
                far[..., number] = p[:, end] + 1e5 * sign * (p[:, upper] - p[:, lower])
                assert float(form(far, p)[1][..., number].abs().max()) < 1e-9

    def test_a_costly_form_has_its_curve(self, form: FunctionalForm, parameters: NDArray[np.float64]) -> None:
        import torch

        if not form.costly:
            pytest.skip("a fit evaluates it at every frame")
        p, x = _tensor(parameters), torch.linspace(-0.9, 0.9, 7, dtype=torch.float64)[:, None]
        q, dx = x.expand(-1, len(p)), torch.ones(len(p), dtype=torch.float64)
        for lower, upper, _ in form.ranges:
            dx = 2.0 / (p[:, upper] - p[:, lower])
            q = p[:, lower] + (x + 1.0) / dx
        energies, slopes = form.curve(x.expand(-1, len(p)).unsqueeze(-1), p)
        expected, expected_slopes = form(q.unsqueeze(-1), p)
        np.testing.assert_allclose(energies.numpy(), expected.numpy(), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose((slopes * dx).numpy(), expected_slopes[..., 0].numpy(), rtol=1e-10, atol=1e-12)

    def test_an_even_form_is_even(self, form: FunctionalForm, parameters: NDArray[np.float64], q: torch.Tensor) -> None:
        if not form.even:
            pytest.skip("it does not claim to be even")
        p = _tensor(parameters)
        np.testing.assert_allclose(form(-q, p)[0].numpy(), form(q, p)[0].numpy(), rtol=1e-10, atol=1e-12)

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
        for index, number in enumerate(fitted):
            step = 1e-5 * max(1.0, float(p[:, number].abs().max()))
            shift = torch.zeros_like(p)
            shift[:, number] = step
            (up, up_slope), (down, down_slope) = form(q, p + shift), form(q, p - shift)
            for exact, high, low in ((energies, up, down), (slopes, up_slope, down_slope)):
                numeric = ((high - low) / (2 * step)).numpy()
                scale = max(1.0, float(np.abs(numeric).max()))
                np.testing.assert_allclose(exact[..., index].numpy(), numeric, rtol=1e-5, atol=1e-6 * scale)

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

    def test_a_dihedral_is_periodic(
        self, form: FunctionalForm, parameters: NDArray[np.float64], q: torch.Tensor
    ) -> None:
        """Energy and slopes are the same at −π and π."""
        dihedrals = [index for index, coordinate in enumerate(form.coordinates) if coordinate.kind == "dihedral"]
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
            pytest.skip("OpenMM evaluates it as a table or as non-bonded pairs")
        for row in parameters:
            frame = _chain(form.n_atoms)
            energy, forces = _in_openmm(form, row, frame)
            expected, expected_forces = _one_term(form, row).predict(frame)
            assert energy == pytest.approx(float(expected), rel=1e-9, abs=1e-9)
            scale = max(1.0, float(np.abs(expected_forces).max()))
            np.testing.assert_allclose(forces, expected_forces, rtol=0, atol=1e-8 * scale)

    def test_plain_force_has_the_energy(self, form: FunctionalForm, parameters: NDArray[np.float64]) -> None:
        """In OpenMM's own force, on its Reference platform in double precision, plus `plain_rest`."""
        from openmm_hybrid.forms.form import PLAIN_FORCES

        if not form.plain_force:
            assert not form.plain_rows(_tensor(parameters))[:1]
            pytest.skip("OpenMM has no force of its own for it")
        assert form.plain_force in PLAIN_FORCES
        rests = form.plain_rest(_tensor(parameters))
        assert rests.shape == (len(parameters),)
        for row, rest in zip(parameters, rests.tolist(), strict=True):
            frame = _chain(form.n_atoms)
            energy, forces = _in_plain_force(form, row, frame)
            expected, expected_forces = _one_term(form, row).predict(frame)
            assert energy + rest == pytest.approx(float(expected), rel=1e-9, abs=1e-9)
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

    from openmm_hybrid.core.units import ANGSTROM_PER_NM, KJ_PER_KCAL

    first, _, rest = form.expression().partition(";")
    lines = [f"{KJ_PER_KCAL!r}*({first})", *filter(None, [rest])]
    for number, coordinate in enumerate(form.coordinates, 1):
        points = ",".join(f"p{index + 1}" for index in coordinate.indices)
        factor = f"{ANGSTROM_PER_NM}*" if coordinate.kind == "distance" else ""
        lines.append(f"q{number}={factor}{coordinate.kind}({points})")
    force = openmm.CustomCompoundBondForce(form.n_atoms, ";".join(lines))
    parameters = form.expression_parameters(_tensor(row[None]))
    for name in parameters:
        force.addPerBondParameter(name)
    force.addBond(list(range(form.n_atoms)), [float(value) for value in parameters.values()])
    return _evaluated(force, frame)


def _in_plain_force(
    form: FunctionalForm, row: NDArray[np.float64], frame: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Energy and forces (n_atoms, 3) of a term in its `plain_force`, in kcal/mol and kcal/mol/Å."""
    import openmm

    from openmm_hybrid.core.units import KJ_PER_KCAL, NM_PER_ANGSTROM
    from openmm_hybrid.systems.force_kinds import KINDS, new_force

    if form.plain_force in KINDS:
        kind = KINDS[form.plain_force]
        (entries,) = form.plain_rows(_tensor(row[None]))
        atoms = tuple(range(form.n_atoms))
        return _evaluated(kind.fill(new_force(kind), [kind.row(atoms, entry) for entry in entries]), frame)
    found = {name: values[0].tolist() for name, values in form.particle_parameters(_tensor(row[None])).items()}
    charges, sigmas, epsilons = (found.get(name, [0.0, 0.0]) for name in ("charge", "sigma", "epsilon"))
    force = openmm.NonbondedForce()
    for charge, sigma, epsilon in zip(charges, sigmas, epsilons, strict=True):
        force.addParticle(charge, sigma * NM_PER_ANGSTROM, epsilon * KJ_PER_KCAL)
    scale, well = float(row[-1]), (epsilons[0] * epsilons[1]) ** 0.5
    by_atoms = (scale * charges[0] * charges[1], 0.5 * sum(sigmas), scale * well)
    ((product, size, depth),) = [by_atoms] if found else form.plain_rows(_tensor(row[None]))[0]
    force.addException(0, 1, product, size * NM_PER_ANGSTROM, depth * KJ_PER_KCAL)
    return _evaluated(force, frame)


def _evaluated(force: openmm.Force, frame: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Energy and forces (n_atoms, 3) of a force on carbon atoms, in kcal/mol and kcal/mol/Å."""
    import openmm
    from openmm import unit

    from openmm_hybrid.core.units import NM_PER_ANGSTROM

    system = openmm.System()
    for _ in frame:
        system.addParticle(12.0)
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
