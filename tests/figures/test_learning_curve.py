"""The picture of a learning curve shows the numbers that it is given."""

from __future__ import annotations

import math

import numpy as np
import pytest

from openmm_hybrid.analysis import ErrorTable
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures import learning_curve_figure

SIZES = (100, 200, 400)


def table(force: float, energy: float) -> ErrorTable:
    return ErrorTable(10, 0.0, energy, 1.5 * energy, 9.0, force, 1.5 * force, 9.0)


def test_curves_are_the_numbers() -> None:
    figure = learning_curve_figure(SIZES, {"test": [table(8.0 / k, 4.0 / k) for k in (1, 2, 4)]})
    forces, energies = figure.axes
    np.testing.assert_array_equal(forces.lines[0].get_xdata(), SIZES)
    np.testing.assert_array_equal(forces.lines[0].get_ydata(), [8.0, 4.0, 2.0])
    np.testing.assert_array_equal(energies.lines[1].get_ydata(), [6.0, 3.0, 1.5])
    assert {forces.get_xscale(), forces.get_yscale(), energies.get_yscale()} == {"log"}
    assert [label.get_text() for label in forces.get_xticklabels()] == ["100", "200", "400"]
    assert "kcal/mol/Å" in forces.get_ylabel()


def test_unknown_energies_have_no_panel() -> None:
    figure = learning_curve_figure(SIZES, {"a": [table(1.0, math.nan)] * 3, "b": [table(0.0, math.nan)] * 3})
    assert len(figure.axes) == 1
    assert len(figure.axes[0].lines) == 2  # errors of zero have no place on a logarithmic axis


def test_curves_that_do_not_fit_are_refused() -> None:
    for sizes, curves in (((), {"a": []}), (SIZES, {}), (SIZES, {"a": [table(1.0, 1.0)]})):
        with pytest.raises(InputError, match="one error table"):
            learning_curve_figure(sizes, curves)
