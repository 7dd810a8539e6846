"""Fitting by solving: known parameters come back, optima are those of numpy's least squares, constraints hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import openmm_hybrid as oh
from openmm_hybrid.fitting.least_squares import (
    NormalEquations,
    accumulate,
    bounded_step,
    by_pivots,
    cross_validate,
    loss,
    moved,
)
from openmm_hybrid.fitting.residuals import LabelledMolecule
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from tests.helpers.peroxides import changed, frames, peroxide, trioxidane

QUIET = {"progress": False, "md_steps": 0}
EXACT = {**QUIET, "ridge": 1e-13, "restraint": 0.0}
OTHERS = ("bonds/*", "angles/*", "charges/*", "lj/*")


def test_known_parameters_come_back_from_two_molecules_that_share_types() -> None:
    """Labels are a force field's own: its bonded parameters are the only optimum, and the errors vanish."""
    truth = [changed(each, k=1.3, r0=1.02, theta0=0.97, c1=0.6, c2=1.4) for each in (peroxide(), trioxidane())]
    data = [frames(model, 60, seed=number) for number, model in enumerate(truth)]
    pairs = ("charges/*", "lj/*")
    result = oh.fit([peroxide(), trioxidane()], data, n_train=[40, 30], n_test=20, fixed=pairs, **EXACT)
    assert [len(part.split.train) for part in result.molecules] == [40, 30]
    for found, model in zip(result.models, truth, strict=True):
        np.testing.assert_allclose(found.parameters.values, model.parameters.values, rtol=1e-5, atol=1e-6)
    assert [part.test.force_rmse < 1e-4 for part in result.molecules if part.test] == [True, True]
    first, second = (dict(zip(m.parameters.names, m.parameters.values, strict=True)) for m in result.models)
    assert first["bonds/ho-oh/k"] == second["bonds/ho-oh/k"] == result.changes()["bonds/ho-oh/k"][1]


def test_a_linear_model_takes_one_step_to_the_optimum_of_numpy() -> None:
    """Fourier coefficients alone: the same normal equations, columns by differences, which are exact for them."""
    model = trioxidane()
    rng = np.random.default_rng(3)
    clean = frames(changed(model, c1=2.0), 40)
    energies, forces = clean.labels()
    noisy = replace(clean, energies=energies + rng.normal(size=40), forces=forces + 3.0 * rng.normal(size=forces.shape))
    weight = 0.7
    with pytest.warns(UserWarning, match="have a net force"):  # of the noise
        result = oh.fit(model, noisy, n_train=40, n_test=0, fixed=OTHERS, energy_weight=weight, **EXACT)
    free = [k for k, name in enumerate(model.parameters.names) if name[:8] == "propers/" and name[-2:] != "c0"]
    values = model.parameters.values
    start = model.predict(noisy.positions)

    def row(e: np.ndarray, f: np.ndarray) -> np.ndarray:
        return np.concatenate([f.ravel() / f.size**0.5, (weight / len(e)) ** 0.5 * (e - e.mean())])

    columns = []
    for index in free:
        moved = model.with_values(values + np.eye(len(values))[index]).predict(noisy.positions)
        columns.append(row(moved[0] - start[0], moved[1] - start[1]))
    right = row(noisy.energies - start[0], noisy.forces - start[1])
    expected = np.linalg.lstsq(np.array(columns).T, right, rcond=None)[0]
    np.testing.assert_allclose((result.after - values)[free], expected, rtol=1e-7, atol=1e-8)
    assert len(result.losses) == 2  # before and after one step


def test_the_loss_falls_and_total_charges_stay() -> None:
    truth = changed(trioxidane(), k=0.7, r0=0.97, charge1=1.5, sigma1=1.1)
    model = trioxidane()
    result = oh.fit(model, frames(truth, 60), n_train=50, n_test=10, **QUIET)
    assert all(later <= before for before, later in zip(result.losses, result.losses[1:], strict=False))
    assert result.test.force_rmse < 0.2 * result.molecules[0].start.force_rmse
    charges = model.tables.charge_sum()
    assert np.abs(result.after - model.parameters.values)[charges > 0].max() > 1e-3
    assert charges @ result.after == pytest.approx(charges @ model.parameters.values, abs=1e-10)


@pytest.mark.parametrize("method", ["solve", "gradient"])
def test_bounds_hold(method: str) -> None:
    """The optimum of k is 1.5 times the start, a bound is at 1.1 times."""
    model = peroxide()
    parameters = model.parameters
    upper = np.where([name.endswith("/k") for name in parameters.names], 1.1 * parameters.values, parameters.upper)
    bounded = oh.ForceField(replace(model.tables, parameters=replace(parameters, upper=upper)))
    settings = oh.fitting.GradientSettings(adam=30, lbfgs=5, learning_rate=0.05)
    data = frames(changed(model, k=1.5), 30)
    result = oh.fit(bounded, data, n_train=30, n_test=0, method=method, gradient=settings, ridge=1e-9, **QUIET)
    assert (result.after <= upper).all()
    assert result.after[parameters.names.index("bonds/oh-oh/k")] == pytest.approx(550.0, rel=1e-3)


def test_moments_are_the_loss_to_second_order() -> None:
    """c − 2b·δ + δᵀAδ against the loss itself along a linear parameter, for two molecules with their own origins."""
    shared = SharedParameters.of([peroxide(), trioxidane()])
    molecules = [
        LabelledMolecule(shared, k, frames(changed(ff, c2=1.5), 12)) for k, ff in enumerate(shared.forcefields)
    ]
    folds = [[torch.arange(k, 12, 2)] * 2 for k in range(2)]
    free = torch.tensor([shared.parameters.names.index(f"propers/ho-oh-oh-{end}/c2") for end in ("ho", "oh")])
    theta = torch.tensor(shared.parameters.values)
    a, b, c = NormalEquations.total(accumulate(molecules, folds, theta, free, 0.5)).normal()
    step = torch.tensor([0.3, -0.8], dtype=torch.float64)
    moved = theta.index_add(0, free, step)
    assert float(c) == pytest.approx(loss(molecules, folds, theta, 0.5), rel=1e-9)
    assert float(c - 2 * b @ step + step @ a @ step) == pytest.approx(loss(molecules, folds, moved, 0.5), rel=1e-9)


def test_equations_that_moved_are_those_of_the_new_parameters() -> None:
    """Two molecules that share types, with terms that are linear in their parameters and others; one chunk and more."""
    fields = [oh.ForceField.edit(each, cross=True) for each in (peroxide(), trioxidane())]
    shared = SharedParameters.of(fields)
    molecules = [LabelledMolecule(shared, k, frames(changed(ff, c1=1.5), 12)) for k, ff in enumerate(fields)]
    folds = [[torch.arange(k, 12, 2)] * 2 for k in range(2)]
    free = torch.tensor(np.flatnonzero(shared.parameters.fitted))
    mask = torch.stack([molecule.nonlinear(free, len(shared.parameters)) for molecule in molecules]).any(0)
    names = {shared.parameters.names[k].partition("/")[0] for k in free[mask].tolist()}
    assert names == {"bonds.morse", "angles", "charges", "lj"}
    theta = torch.tensor(shared.parameters.values)
    rng = np.random.default_rng(5)
    there = theta.index_add(0, free, 0.02 * torch.tensor(rng.normal(size=len(free))))
    first = accumulate(molecules, folds, theta, free, 0.5)
    found = moved(first, molecules, folds, there, free, torch.nonzero(mask).flatten(), 0.5)
    for part, expected in zip(found, accumulate(molecules, folds, there, free, 0.5), strict=True):
        for here, right in zip(part.normal(), expected.normal(), strict=True):
            torch.testing.assert_close(here, right, rtol=1e-9, atol=1e-9 * float(right.abs().max()))


def test_pivots_are_the_largest_columns_that_are_left() -> None:
    """Against projections of the columns; the last column is the sum of two others."""
    x = np.random.default_rng(2).normal(size=(20, 6)) * [1.0, 5.0, 0.2, 3.0, 2.0, 0.0]
    x[:, 5] = x[:, 0] + x[:, 2]
    order, left = by_pivots(torch.tensor(x.T @ x))
    rest = x.copy()
    for column, size in zip(order.tolist()[:5], left.tolist(), strict=False):
        sizes = (rest**2).sum(0)
        assert sizes[column] == pytest.approx(sizes.max(), rel=1e-9)
        assert size == pytest.approx(sizes[column], rel=1e-9)
        unit = rest[:, column] / np.linalg.norm(rest[:, column])
        rest = rest - np.outer(unit, unit @ rest)
    assert sorted(order.tolist()) == list(range(6))
    assert float(left[5]) < 1e-9


def test_columns_that_others_explain_are_left_out_of_large_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that counts as large has nearly the error of the full one, and parameters that stay at the start."""
    truth = changed(trioxidane(), k=1.2, r0=1.02, c1=1.3)
    model, data = trioxidane().edit(cross=True), frames(truth, 60)
    full = oh.fit(model, data, n_train=40, n_test=20, **QUIET)
    monkeypatch.setattr("openmm_hybrid.fitting.gauss_newton._MANY", 0)
    small = oh.fit(model, data, n_train=40, n_test=20, **QUIET)
    stays = small.after == model.parameters.values
    assert stays.sum() > (full.after == model.parameters.values).sum()
    assert small.test.force_rmse < 1.05 * full.test.force_rmse
    assert {entry.ridge for entry in small.ridge_losses} >= {1e-2, 1e-4}


def test_cross_validation_is_that_of_refits() -> None:
    """With a sum kept, against refits by Lagrange multipliers."""
    rng = np.random.default_rng(0)
    x, y = torch.tensor(rng.normal(size=(30, 5))), torch.tensor(rng.normal(size=30))
    nothing = torch.zeros(1, 5, dtype=torch.float64)
    folds = [
        NormalEquations(
            p.t() @ p / 30, p.t() @ r / 30, r @ r / 30, nothing, nothing[0, :1], nothing[0, :1] + 10.0, nothing, 0.0
        )
        for p, r in zip(x.split(10), y.split(10), strict=True)
    ]
    scale = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)
    prior, away = torch.full((5,), 0.1, dtype=torch.float64), torch.tensor(rng.normal(size=5))
    rows = torch.tensor([[1.0, 2.0, 0.0, 0.0, -1.0]], dtype=torch.float64)
    ridges = (1e-3, 0.3)
    losses = cross_validate(NormalEquations.total(folds), folds, scale, prior, away, rows, ridges)
    for ridge, found in zip(ridges, losses, strict=True):
        expected = 0.0
        for k in range(3):
            kept = torch.arange(30) // 10 != k
            a, b = x[kept].t() @ x[kept] / 20, x[kept].t() @ y[kept] / 20
            stiff = (
                scale[:, None] * a * scale + torch.diag(scale**2 * prior) + ridge * torch.eye(5, dtype=torch.float64)
            )
            slope = scale * (b - prior * away) - ridge * away / scale
            kkt = torch.cat([torch.cat([stiff, rows.t()], 1), torch.cat([rows, torch.zeros(1, 1)], 1)])
            u = torch.linalg.solve(kkt.double(), torch.cat([slope, torch.zeros(1)]))[:5]
            expected += float(((y[~kept] - x[~kept] @ (scale * u)) ** 2).sum()) / 30
        assert found == pytest.approx(expected, rel=1e-9)


def test_a_bounded_step_meets_the_conditions_of_optimality() -> None:
    rng = np.random.default_rng(1)
    root = torch.tensor(rng.normal(size=(12, 6)))
    matrix, slope = root.t() @ root, 5.0 * torch.tensor(rng.normal(size=6))
    rows = torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    free = bounded_step(matrix, slope, rows, torch.full((6,), -1e9), torch.full((6,), 1e9))
    pull = slope - matrix @ free
    torch.testing.assert_close(pull, rows[0] * pull[0])  # only along the sum that is kept
    end = 0.5 * free.abs().max()
    u = bounded_step(matrix, slope, rows, -end.expand(6), end.expand(6))
    assert (u.abs() <= end).all()
    assert (u.abs() == end).any()
    assert float(u[:3].sum()) == pytest.approx(0.0, abs=1e-10)
