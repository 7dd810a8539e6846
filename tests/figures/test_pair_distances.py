"""The pictures of ensembles show the densities that they are given."""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid.analysis import dihedral_density, pair_densities
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures import dihedral_figure, pair_figure

KINDS = {"O0···H1": [(0, 1)], "O0···H2": [(0, 2)]}


def test_a_panel_has_one_kind_of_pairs_and_a_line_per_ensemble() -> None:
    rng = np.random.default_rng(0)
    densities = {
        name: pair_densities(2.0 * np.eye(3) + 0.1 * rng.normal(size=(2, 50, 3, 3)), KINDS, longest=5.0)
        for name in ("cheap", "accurate")
    }
    figure = pair_figure(densities, ["O0···H2", "O0···H1"])
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in shown] == ["O0···H2", "O0···H1"]
    for axes, kind in zip(shown, (1, 0), strict=True):
        for line, density in zip(axes.get_lines(), densities.values(), strict=True):
            np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), density.values[kind])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cheap", "accurate"]
    for wrong in ([], ["O0···H3"]):
        with pytest.raises(InputError, match="cannot be drawn"):
            pair_figure(densities, wrong)


def test_one_dihedral_is_drawn_as_lines() -> None:
    rng = np.random.default_rng(1)
    densities = {name: dihedral_density(rng.vonmises(0.0, 2.0, 50)) for name in ("one", "other")}
    (axes,) = dihedral_figure(densities, "C–C–O–H").axes
    assert [line.get_label() for line in axes.get_lines()] == ["one", "other"]
    for line, density in zip(axes.get_lines(), densities.values(), strict=True):
        np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float)[1:-1], density.values * np.pi / 180.0)
    with pytest.raises(InputError, match="one dihedral"):
        dihedral_figure({"joint": dihedral_density(rng.vonmises(0.0, 2.0, (50, 2)))}, "C–C–O–H")
