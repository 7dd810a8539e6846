"""`oh.fit`: splits, ranges, checks, results, and refused input."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.selection import split
from openmm_hybrid.fitting.ranges import set_ranges
from openmm_hybrid.fitting.sanity_checks import run_checks, sampled_temperature
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.paths import angles, chains
from openmm_hybrid.forcefield.terms import Terms
from openmm_hybrid.forms.fourier import Fourier
from openmm_hybrid.forms.harmonic import Harmonic
from tests.helpers.peroxides import changed, frames, peroxide, trioxidane

QUIET = {"progress": False, "md_steps": 0}


def test_splits_are_disjoint_nested_and_without_copies() -> None:
    data = oh.Frames.concatenate([frames(peroxide(), 30), frames(peroxide(), 30)])  # every geometry twice
    small, large = split(data, 5, 5, 10, seed=1), split(data, 10, 0, 10, seed=1)
    drawn = np.concatenate([small.train, small.valid, small.test])
    assert len(set(drawn % 30)) == 20
    assert set(small.train) < set(large.train)
    assert small.test.tolist() == large.test.tolist()
    assert split(data, 5, 5, 10, seed=2).train.tolist() != small.train.tolist()
    with pytest.raises(InputError, match="30 distinct geometries"):
        split(data, 25, 0, 10, seed=0)


def test_ranges_are_quantiles_over_all_molecules() -> None:
    """Bonds ho-oh of both molecules share their row: its range spans the bonds of both."""
    shared = SharedParameters.of([peroxide().edit(bonds="spline"), trioxidane().edit(bonds="spline")])
    data = [frames(peroxide(), 50), frames(trioxidane(), 50, noise=0.1)]
    values = set_ranges(shared, data).parameters
    lengths = np.concatenate(
        [
            np.linalg.norm(part.positions[:, i] - part.positions[:, i + 1], axis=-1)
            for part, ends in zip(data, ((0, 2), (0, 3)), strict=True)
            for i in ends
        ]
    )
    found = [values.values[values.names.index(f"bonds.spline/ho-oh/{end}")] for end in ("lower", "upper")]
    np.testing.assert_allclose(found, np.quantile(lengths, [0.001, 0.999]), rtol=1e-12)


def fitted_terms(model: oh.ForceField, pattern: str = "*.*/c*") -> oh.ForceField:
    """With random numbers in place of the coefficients of splines and cross terms."""
    chosen = [k for k, name in enumerate(model.parameters.names) if fnmatchcase(name, pattern)]
    values = model.parameters.values.copy()
    values[chosen] = np.random.default_rng(0).normal(size=len(chosen))
    return model.with_values(values)


def test_a_refit_keeps_the_ranges_of_fitted_terms() -> None:
    """Their functions stay, and the fit starts from the given force field; ranges of new terms are set."""
    model = fitted_terms(peroxide().edit(bonds="spline8")).edit(cross=["angle"])
    data = frames(peroxide(), 30, noise=0.02)
    shared = set_ranges(SharedParameters.of([model]), [data])
    names = shared.parameters.names
    moved = {names[k] for k in np.flatnonzero(shared.parameters.values != model.parameters.values)}
    ends = {name for name in names if name.split("/")[2].startswith(("lower", "upper"))}
    assert moved == {name for name in ends if name.startswith("cross.angle/")}
    result = oh.fit(model, data, n_train=20, n_test=10, fixed=("cross.*",), **QUIET)
    np.testing.assert_array_equal(result.before, model.parameters.values)
    np.testing.assert_array_equal(
        [result.after[k] for k, name in enumerate(result.names) if name.startswith("cross.")],
        model.parameters.values[model.parameters.matching("cross.*")],
    )
    own = np.sqrt(np.mean((model.predict(data.positions)[1] - data.forces)[result.molecules[0].split.test] ** 2))
    assert result.molecules[0].start.force_rmse == pytest.approx(own, rel=1e-9)


def test_a_range_that_a_fitted_term_shares_stays() -> None:
    model = fitted_terms(peroxide().edit(bonds="spline8"), "bonds.spline/ho-oh/c*")
    names = list(model.parameters.names)
    ends = [names.index(f"bonds.spline/ho-oh/{end}") for end in ("lower", "upper")]

    def tied(terms: Terms) -> Terms:
        if terms.group != "bonds.spline":
            return terms
        return replace(terms, assignment=np.column_stack([np.tile(ends, (len(terms), 1)), terms.assignment[:, 2:]]))

    model = oh.ForceField(replace(model.tables, terms=tuple(tied(terms) for terms in model.terms)))
    shared = set_ranges(SharedParameters.of([model]), [frames(peroxide(), 30, noise=0.02)])
    np.testing.assert_array_equal(shared.parameters.values, model.parameters.values)
    zero = model.with_values(np.where([".spline/ho-oh/c" in name for name in names], 0.0, model.parameters.values))
    moved = set_ranges(SharedParameters.of([zero]), [frames(peroxide(), 30, noise=0.02)])
    assert np.flatnonzero(moved.parameters.values != zero.parameters.values).tolist() == ends


def test_a_sound_fit_passes_the_checks_and_says_so() -> None:
    data = frames(changed(trioxidane(), k=1.2), 60, noise=0.04)
    result = oh.fit(
        trioxidane().edit(bonds="harmonic", cross=True), data, n_train=50, n_test=10, md_steps=200, progress=False
    )
    assert result.passed
    assert [check.name for check in result.molecules[0].checks] == [
        "labels",
        "walls",
        "minima",
        "stiffness",
        "saturation",
        "dynamics",
        "frames",
    ]
    assert "trioxidane walls: passed" in result.table()
    assert result.ridge_table().count("\n") == len(result.ridge_losses) > 5
    json.dumps(result.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        ({"k": -1.0}, {"walls", "minima", "stiffness", "dynamics"}),
        ({"r0": 1.3}, {"walls", "minima", "dynamics"}),
        ({"k": 1e-3}, {"dynamics"}),
    ],
)
def test_checks_find_faults(fault: dict[str, float], failed: set[str]) -> None:
    model = peroxide()
    checks = run_checks(changed(model, **fault), model, frames(model, 40, noise=0.05), md_steps=300)
    assert {check.name for check in checks if not check.passed} == failed


def test_terms_that_go_on_growing_outside_their_range_are_found() -> None:
    """Cross terms with ranges so wide that nothing is saturated."""
    model = trioxidane().edit(cross=True)
    values = model.parameters.values.copy()
    for number, name in enumerate(model.parameters.names):
        if name.startswith("cross."):
            column = name.rpartition("/")[2]
            values[number] = {"lower": -1e4, "upper": 1e4}.get(column.partition("_")[0], 1.0)
    checks = run_checks(model.with_values(values), model, frames(model, 40), md_steps=0)
    assert [check.name for check in checks if not check.passed] == ["saturation"]


def test_a_slope_that_the_angles_of_one_centre_share_is_no_fault() -> None:
    """The angles of BF₃ have a constant sum to first order: to move all minima changes nothing, to move one does."""
    rng = np.random.default_rng(0)
    turns = 2.0 * np.pi * np.arange(3) / 3.0
    base = np.array([[0.0, 0.0, 0.0], *([1.3 * np.cos(turn), 1.3 * np.sin(turn), 0.0] for turn in turns)])
    positions = base + 0.05 * rng.normal(size=(40, 4, 3))
    bonds = [(0, 1), (0, 2), (0, 3)]

    def planar(*minima: float) -> oh.ForceField:
        builder = Builder([5, 9, 9, 9], bonds, types=["b", "f1", "f2", "f3"])
        builder.add("bonds", Harmonic("distance"), dict.fromkeys(bonds, (700.0, 1.3)))
        rows = zip(angles(np.array(bonds)), minima, strict=True)
        builder.add("angles", Harmonic("angle"), {atoms: (100.0, minimum) for atoms, minimum in rows})
        return oh.ForceField(builder.finish())

    start = planar(2.1, 2.1, 2.1)
    data = oh.Frames(start.atomic_numbers, positions, *start.predict(positions))
    for minima, passed in (((2.7, 2.7, 2.7), True), ((2.1, 2.1, 2.8), False)):
        walls, moved, *_ = run_checks(planar(*minima), start, data, md_steps=0)
        assert (walls.passed, moved.passed) == (passed, passed), minima


def test_the_temperature_is_that_of_equipartition() -> None:
    """Energies with the variance of 3N − 6 = 6 harmonic modes at 300 K: 6 (kT)²/2."""
    data = frames(peroxide(), 400)
    spread = 3.0**0.5 * 0.001987204258640832 * 300.0
    energies = spread * np.tile([1.0, -1.0], 200)
    assert sampled_temperature(replace(data, energies=energies)) == pytest.approx(300.0)


def test_a_failed_check_warns() -> None:
    """Labels of bonds far longer than the start's: the fit follows them, and says so."""
    data = frames(changed(peroxide(), r0=1.25), 40)
    with pytest.warns(UserWarning, match="failed the check"):
        oh.fit(peroxide(), data, n_train=40, n_test=0, restraint=0.0, **QUIET)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"method": "magic"}, InputError, "method = 'magic'"),
        ({"n_train": 1}, InputError, "n_train = 1"),
        ({"n_train": 2.5}, InputError, "n_train = 2.5"),
        ({"n_train": 500}, InputError, "lower n_train"),
        ({"seed": -1}, InputError, "seed = -1"),
        ({"fixed": "charges/*"}, InputError, "sequence of patterns"),
        ({"fixed": ("chrages/*",)}, InputError, "no parameter matches"),
        ({"fixed": ("*",)}, InputError, "no parameter to fit"),
        ({"energy_weight": -1.0}, InputError, "energy_weight = -1.0"),
        ({"ridge": float("nan")}, InputError, "ridge = nan"),
        ({"md_steps": -1}, InputError, "md_steps = -1"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words.replace("*", r"\*")):
        oh.fit(peroxide(), frames(peroxide(), 20), **{"n_train": 10, "n_test": 5, **QUIET, **settings})


def test_frames_must_belong_to_the_force_fields() -> None:
    data = frames(peroxide(), 20)
    with pytest.raises(MismatchError, match="other atoms"):
        oh.fit(trioxidane(), data, n_train=10, n_test=0, **QUIET)
    with pytest.raises(MismatchError, match="1 force fields and 2 sets"):
        oh.fit(peroxide(), [data, data], n_train=10, n_test=0, **QUIET)
    with pytest.raises(InputError, match="2 numbers for 1 molecules"):
        oh.fit(peroxide(), data, n_train=[10, 10], n_test=0, **QUIET)
    with pytest.raises(InputError, match="2 numbers for 1 molecules"):
        oh.fit(peroxide(), data, n_train=np.array([10, 10]), n_test=0, **QUIET)
    with pytest.raises(InputError, match="no forces"):
        oh.fit(peroxide(), replace(data, forces=None), n_train=10, n_test=0, **QUIET)
    with pytest.raises(MismatchError, match="bonds/ho-oh/k is 900"):
        oh.fit([peroxide(), changed(trioxidane(), k=2.0)], [data, frames(trioxidane(), 20)], n_train=10, n_test=0)


def test_values_that_differ_by_rounding_are_equal() -> None:
    """Scale factors are quotients of products in a System, so that 0.5 may be 0.49999999999999994."""
    first, second = peroxide(), trioxidane()
    nearly = second.with_values(second.parameters.values * (1.0 - 1e-15))
    assert not np.array_equal(nearly.parameters.values, second.parameters.values)
    shared = SharedParameters.of([first, nearly])
    assert len(shared.parameters) == len(SharedParameters.of([first, second]).parameters)
    with pytest.raises(MismatchError, match=r"scale is 0\.8333.*rename the types"):
        SharedParameters.of([first, changed(second, scale=1.0 + 1e-6)])


@pytest.mark.parametrize("number", [np.array([10]), np.array(10), np.int64(10)])
def test_arrays_of_training_frames_are_lists_of_them(number: Any) -> None:
    result = oh.fit(peroxide(), frames(peroxide(), 20), n_train=number, n_test=5, ridge=1e-3, **QUIET)
    assert len(result.molecules[0].split.train) == 10


def test_ethanol_reaches_the_papers_error(reference_data: Callable[[str], Path]) -> None:
    """Sauceda et al., J. Chem. Phys. 153, 124109 (2020), table II: GAFF-Morse ethanol, 100 frames: 15.38 kcal/mol/Å.

    Here from made-up parameters by types: harmonic bonds and angles and cosines on every chain, no charges.
    """
    data = oh.Frames.load(reference_data("md17_ethanol.npz"))[::10]
    bonds = [(0, 1), (0, 2), (2, 8), (0, 3), (0, 4), (1, 5), (1, 6), (1, 7)]
    builder = Builder(data.atomic_numbers, bonds, name="ethanol")
    lengths = {bond: float(np.linalg.norm(data.positions[0, bond[0]] - data.positions[0, bond[1]])) for bond in bonds}
    rounded = {bond: 1.0 if length < 1.05 else 1.1 if length < 1.25 else 1.45 for bond, length in lengths.items()}
    builder.add("bonds", Harmonic("distance"), {bond: (600.0, length) for bond, length in rounded.items()})
    builder.add("angles", Harmonic("angle"), dict.fromkeys(angles(np.array(bonds)), (100.0, 1.91)))
    builder.add("propers", Fourier(3), dict.fromkeys(chains(np.array(bonds)), (0.0, 0.0, 0.0, 0.1)))
    result = oh.fit(oh.ForceField(builder.finish()), data, n_train=60, n_test=100, progress=False, md_steps=0)
    assert result.test.force_rmse < 8.0
    assert result.test.force_rmse < 0.6 * result.molecules[0].start.force_rmse


def test_refuses_the_same_elements_in_another_order() -> None:
    """Hydrogen peroxide with its hydrogens exchanged has the same list of elements and other bonds."""
    data = frames(peroxide(), 40)
    exchanged = replace(data, positions=data.positions[:, [3, 1, 2, 0]], forces=data.forces[:, [3, 1, 2, 0]])
    with pytest.raises(MismatchError, match="the bond 0-1 of the force field 'peroxide' is"):
        oh.fit(peroxide(), exchanged, n_train=20, n_test=10, progress=False)
