"""Figures of surfaces, structures and levels: what is drawn, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures import level_figure, save_figure, structure_figure, surface_figure

ANGLES = np.linspace(-np.pi, np.pi, 12, endpoint=False)
SURFACE = 2.0 + np.cos(ANGLES)[:, None] + np.cos(3 * ANGLES)[None, :]


def test_surfaces_and_differences(tmp_path: Path) -> None:
    holes = SURFACE.copy()
    holes[3, 4] = np.nan
    surfaces = {"a": holes, "b": SURFACE, "c": 1.5 * SURFACE}
    figure = surface_figure(surfaces, ("x", "y"), reference="b", window=3.0, minima={"b": [(180.0, 60.0)]})
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["b (reference)", "a", "a − reference", "c", "c − reference"]
    for kind in ("png", "svg"):
        assert save_figure(figure, tmp_path / f"surface.{kind}").stat().st_size > 1000
    labels = {axes.get_xlabel() for axes in figure.axes}
    assert {"x / °", "energy / kcal/mol", "difference / kcal/mol"} <= labels


def test_one_surface_alone_and_equal_surfaces(tmp_path: Path) -> None:
    alone = surface_figure({"a": SURFACE}, ("x", "y"), reference="a", window=3.0)
    assert [axes.get_title() for axes in alone.axes if axes.get_title()] == ["a (reference)"]
    same = surface_figure({"a": SURFACE, "b": SURFACE}, ("x", "y"), reference="a", window=3.0)
    save_figure(same, tmp_path / "same.png")


def test_surfaces_that_cannot_be_drawn() -> None:
    with pytest.raises(InputError, match="no surface of the reference c"):
        surface_figure({"a": SURFACE}, ("x", "y"), reference="c", window=3.0)
    with pytest.raises(InputError, match="different grids"):
        surface_figure({"a": SURFACE, "b": SURFACE[:6]}, ("x", "y"), reference="a", window=3.0)


def test_structures(tmp_path: Path) -> None:
    water = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    turn = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    figure = structure_figure(("O", "H", "H"), ((0, 1), (0, 2)), {"a": water, "b": water @ turn + 5.0})
    assert [axes.get_title() for axes in figure.axes] == ["(a)", "(b)"]
    # Both are drawn alike: the second one is aligned to the first.
    points = [[line.get_xydata() for line in axes.lines if len(line.get_xdata()) == 1] for axes in figure.axes]
    np.testing.assert_allclose(points[0], points[1], atol=1e-9)
    # The plane of the atoms is the plane of the picture.
    first, second = (np.linalg.norm(points[0][0] - points[0][k]) for k in (1, 2))
    assert (first, second) == pytest.approx((0.96, np.hypot(0.24, 0.93)))
    save_figure(figure, tmp_path / "structures.svg")
    with pytest.raises(InputError, match="cannot be drawn"):
        structure_figure(("O", "H"), ((0, 1),), {"a": water})


def test_levels() -> None:
    figure = level_figure({"x": [0.0, 0.01, 2.0], "y": [0.5, 0.0, float("nan")]}, ("a", "b", "c"))
    (axes,) = figure.axes
    heights = {(text.get_text(), round(text.get_position()[0])): text.get_position()[1] for text in axes.texts}
    assert len(heights) == 5
    assert heights["b", 0] - heights["a", 0] > 0.08  # letters do not overlap
    assert heights["c", 0] == pytest.approx(2.0)
    with pytest.raises(InputError, match="levels"):
        level_figure({"x": [0.0]}, ("a", "b"))
