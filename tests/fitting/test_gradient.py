"""Fitting by gradients: the same gradient as through the positions; killed, stopped and repeated fits."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.fitting import GradientSettings, gradient
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from tests.helpers.peroxides import changed, frames, peroxide, trioxidane

QUICK = GradientSettings(adam=6, lbfgs=4, batch=10)
QUIET = {"progress": False, "md_steps": 0}


def networks() -> oh.ForceField:
    """Trioxidane with networks of width 4 on bonds and angles."""
    return trioxidane().edit(bonds="neural4", angles="neural4")


def run(checkpoint: Path | None = None, seed: int = 0) -> gradient.Descent:
    shared = SharedParameters.of([networks()])
    data = frames(changed(trioxidane(), k=1.2, r0=1.01), 40)
    free = np.flatnonzero(shared.parameters.fitted)
    return gradient.descend(
        shared, [data[:30]], [data[30:]], free, QUICK, seed=seed, checkpoint=checkpoint, progress=False
    )


def test_the_gradient_is_that_through_the_positions() -> None:
    """Forces by autograd of the energy, the loss of them differentiated again, in float64."""
    shared = SharedParameters.of([networks()])
    start = shared.parameters.values + 0.1 * np.random.default_rng(0).normal(size=len(shared.parameters)) * (
        ["/w3" in name for name in shared.parameters.names]
    )
    shared = shared.with_values(start)
    data = frames(trioxidane(), 10, seed=5)
    free = np.flatnonzero(shared.parameters.fitted)
    settings = GradientSettings(energy_weight=0.4, restraint=0.0, decay=0.0)
    ours = gradient._Run(shared, [data], [], free, settings, start, 0)
    z = torch.zeros(len(free), dtype=torch.float64, requires_grad=True)
    ours.loss(ours.train, z, lambda part: None).backward()

    other = torch.zeros(len(free), dtype=torch.float64, requires_grad=True)
    theta = ours.theta(other)
    module = shared.forcefields[0].module()
    positions = torch.tensor(data.positions, requires_grad=True)
    energies = module.slopes(module.internal(positions)[0], theta)[0]
    (slope,) = torch.autograd.grad(energies.sum(), positions, create_graph=True)
    reference, forces = (torch.tensor(labels) for labels in data.labels())
    error = reference - energies
    value = ((forces + slope) ** 2).mean() + 0.4 * ((error - error.mean()) ** 2).mean()
    value.backward()
    assert other.grad is not None
    assert float(other.grad.abs().max()) > 1.0
    torch.testing.assert_close(z.grad, other.grad, rtol=1e-3, atol=1e-3 * float(other.grad.abs().max()))


def test_a_killed_fit_goes_on_to_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run()
    assert whole.valid[-1] < whole.valid[0]
    monkeypatch.setattr(gradient, "_SAVE_EVERY", 0.0)
    path = tmp_path / "fit.pt"
    for killed_after in (3, 5):  # in Adam, and five epochs later in L-BFGS
        left = iter(range(killed_after))
        step = gradient._Run.epoch

        def epoch(self: gradient._Run, state: object, left: object = left, step: object = step) -> object:
            if next(left, None) is None:
                raise RuntimeError("killed")
            return step(self, state)

        with monkeypatch.context() as patch:
            patch.setattr(gradient._Run, "epoch", epoch)
            with pytest.raises(RuntimeError, match="killed"):
                run(path)
    resumed = run(path)
    np.testing.assert_array_equal(resumed.values, whole.values)
    assert resumed.valid == whole.valid
    assert not path.exists()


def test_a_checkpoint_of_another_fit_or_a_damaged_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradient, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
    path = tmp_path / "fit.pt"
    run(path)
    with pytest.raises(MismatchError, match="another fit: seed 0 there, 1 now"):
        run(path, seed=1)
    whole = path.read_bytes()
    with np.load(path) as opened:
        content = dict(opened)

    def changed_to(**entries: object) -> bytes:
        with path.open("wb") as file:  # by its name it would get the ending npz
            np.savez(file, **{**content, **entries})
        return path.read_bytes()

    def described(**changes: object) -> bytes:
        return changed_to(description=np.array(json.dumps(description | changes)))

    description = json.loads(content["description"].item())
    states = (3, [["epoch", 0]], [["epoch", 0], ["z", {}], ["best", 0]], [["z", {"array": 99}]])
    damaged = [described(state=state) for state in states] + [described(job=3), described(version="one")]
    damaged += [changed_to(array0=np.zeros(3)), changed_to(description=1.0), changed_to(description=np.array("[[1"))]
    middle = len(whole) // 2
    damaged += [b"no checkpoint", b"", whole[:middle], whole[: middle - 2] + b"junk" + whole[middle + 2 :]]
    for kind in damaged:
        path.write_bytes(kind)
        with pytest.raises(
            InputError, match=r"a checkpoint of a fit|it has .* parameters|is missing|version one of the format"
        ):
            run(path)
    path.write_bytes(described(job=description["job"] | {"frames": "other"}))
    with pytest.raises(MismatchError, match="another fit: frames differs"):
        run(path)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"ridge": 1e-6}, "ridge 0.01 there, 1e-06 now"),
        ({"fixed": ("propers/*",)}, "fixed differs"),
        ({"n_valid": 6}, r"n_train \[18\] there, \[20\] now, n_valid \[2\] there, \[6\] now"),
    ],
)
def test_a_fit_with_another_solve_before_the_gradients_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, object], words: str
) -> None:
    monkeypatch.setattr(gradient, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
    data = frames(changed(trioxidane(), k=1.2), 30)
    settings = {"n_train": 20, "n_test": 4, "ridge": 0.01, "gradient": QUICK, "checkpoint": tmp_path / "fit", **QUIET}
    first = oh.fit(networks(), data, **settings)
    assert oh.fit(networks(), data, **settings).epochs == first.epochs
    with pytest.raises(MismatchError, match=words):
        oh.fit(networks(), data, **settings | other)


def test_ctrl_c_keeps_the_best_point(monkeypatch: pytest.MonkeyPatch) -> None:
    step = gradient._Run.epoch

    def epoch(self: gradient._Run, state: gradient.State) -> gradient.State:
        if state.epoch == 4:
            raise KeyboardInterrupt
        return step(self, state)

    monkeypatch.setattr(gradient._Run, "epoch", epoch)
    with pytest.warns(UserWarning, match="stopped after 4 epochs"):
        found = run()
    assert found.epochs == 4
    assert np.abs(found.values - SharedParameters.of([networks()]).parameters.values).max() > 1e-4


def test_seeds_reproduce() -> None:
    first, again, other = run(), run(), run(seed=1)
    np.testing.assert_array_equal(first.values, again.values)
    assert np.abs(first.values - other.values).max() > 1e-6


def test_networks_learn_what_harmonic_terms_cannot() -> None:
    """Labels of Morse bonds: the automatic way, solve, gradients, solve, comes under the harmonic optimum."""
    data = frames(peroxide().edit(bonds="morse"), 70)
    settings = {"n_train": 50, "n_test": 20, "fixed": ("charges/*", "lj/*"), **QUIET}
    harmonic = oh.fit(peroxide(), data, **settings)
    result = oh.fit(peroxide().edit(bonds="neural6"), data, gradient=QUICK, **settings)
    assert result.test.force_rmse < 0.4 * harmonic.test.force_rmse
    assert result.epochs > 0
    assert result.passed, result.table()


def test_total_charges_stay() -> None:
    model = trioxidane()
    data = frames(changed(model, charge1=1.5), 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = oh.fit(model, data, n_train=30, n_valid=10, n_test=0, method="gradient", gradient=QUICK, **QUIET)
    charges = model.tables.charge_sum()
    assert np.abs(result.after - model.parameters.values)[charges > 0].max() > 1e-4
    assert charges @ result.after == pytest.approx(charges @ model.parameters.values, abs=1e-10)
    assert result.valid is not None
