"""Fits of inner pairs: known parameters come back in one linear step, bounds hold, and outer parameters stay."""

from __future__ import annotations

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from tests.helpers.classical_ethanol import NUMBERS, forcefield
from tests.helpers.classical_ethanol import frames as distorted
from tests.helpers.forcefield_molecules import read
from tests.helpers.peroxides import changed

EXACT = {"n_train": 60, "n_test": 20, "progress": False, "md_steps": 0, "ridge": 1e-13, "restraint": 0.0}
OTHERS = ("bonds/*", "angles/*", "propers/*")


def labelled(model: oh.ForceField) -> oh.Frames:
    positions = distorted(80)
    return oh.Frames(np.array(NUMBERS), positions, *model.predict(positions), name="ethanol")


def moved(model: oh.ForceField, **by: float) -> oh.ForceField:
    """Another value of each named column, clipped to the bounds: the old one plus `by`."""
    values = model.parameters.values.copy()
    for column, change in by.items():
        values[model.parameters.matching(f"pairs.inner/*/{column}")] += change
    return model.with_values(values)


def test_known_parameters_come_back_in_one_step() -> None:
    start = forcefield(pairs="inner")
    truth = moved(start, charge_product=0.03, repulsion=0.1, dispersion=0.05)
    result = oh.fit(start, labelled(truth), fixed=OTHERS, **EXACT)
    assert len(result.losses) == 2  # before and after one step
    assert result.test is not None
    assert result.test.force_rmse < 1e-5
    assert result.molecules[0].start.force_rmse > 1.0
    changes = {name: after - before for name, (before, after) in result.changes().items()}
    assert {name for name, change in changes.items() if change} <= {n for n in changes if n.startswith("pairs.inner/")}
    products = [change for name, change in changes.items() if name.endswith("charge_product")]
    assert sum(products) > 0.1  # nothing holds the sum


def test_the_outer_parameters_stay() -> None:
    start = forcefield().edit(cross=["angle"], pairs="inner")
    fitted = oh.fit(start, labelled(moved(start, charge_product=0.03)), **EXACT).model
    assert fitted.outer is start.outer
    assert not fitted.tables.charge_atoms()


def test_bounds_keep_the_repulsion() -> None:
    """The labels have next to no repulsion."""
    start = forcefield(pairs="inner")
    repulsion = start.parameters.matching("pairs.inner/*/repulsion")
    values = start.parameters.values.copy()
    values[repulsion] *= 0.01
    fitted = oh.fit(start, labelled(start.with_values(values)), fixed=OTHERS, **EXACT).model
    lower = start.parameters.lower[repulsion]
    assert (lower == 0.25 * start.parameters.values[repulsion]).all()
    assert (fitted.parameters.values[repulsion] >= lower).all()
    assert np.isclose(fitted.parameters.values[repulsion], lower, rtol=1e-9).any()


def test_molecules_share_wells_of_equal_types_and_no_charge_product() -> None:
    models = [read(name).edit(pairs="inner") for name in ("ethanol", "methanol")]
    shared = SharedParameters.of(models)
    first, second = (set(model.parameters.matching("pairs.inner/*").tolist()) for model in models)
    names = [{model.parameters.names[k] for k in pairs} for model, pairs in zip(models, (first, second), strict=True)]
    assert {"pairs.inner/1-4:h1-ho/rho", "pairs.inner/1-4:h1-ho/repulsion"} == names[0] & names[1]
    assert len(shared.parameters) < sum(len(model.parameters) for model in models)


@pytest.mark.parametrize("pairs", ["atoms", "inner"])
def test_molecules_of_one_name_are_told_to_take_two(pairs: str) -> None:
    """Their charges and products of charges have the same names."""
    model = forcefield().edit(pairs=pairs)
    other = changed(model, charge1=0.5, charge_product=0.5)
    with pytest.raises(MismatchError, match=r"charge.* give each molecule a name of its own, .*name='ethanol'"):
        SharedParameters.of([model, other])
