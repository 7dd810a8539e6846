"""The pictures of relabelling show the numbers that they are given."""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid.analysis import FrameErrors, distance_overlap, frame_errors
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures import distance_figure, transfer_figure


def errors(size: float) -> FrameErrors:
    rng = np.random.default_rng(0)
    predicted = size * rng.normal(size=20), size * rng.normal(size=(20, 3, 3))
    return frame_errors((np.zeros(20), np.zeros((20, 3, 3))), [predicted], np.arange(20))


def test_curves_are_the_errors() -> None:
    sizes = {("a", "a"): (0.4, 0.2), ("a", "b"): (0.8, 0.5), ("b", "a"): (0.9, 0.6), ("b", "b"): (0.5, 0.3)}
    figure = transfer_figure([100, 200], {key: [errors(size) for size in pair] for key, pair in sizes.items()})
    forces, energies = figure.axes
    for axes, attribute in ((forces, "force_mae"), (energies, "energy_mae")):
        for container, pair in zip(axes.containers, sizes.values(), strict=True):
            line = container.lines[0]
            expected = [getattr(errors(size), attribute).value for size in pair]
            np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), expected)
            np.testing.assert_allclose(np.asarray(line.get_xdata(), dtype=float), [100, 200])
    lines = [container.lines[0] for container in forces.containers]
    assert [line.get_linestyle() for line in lines] == ["-", "--", "--", "-"]
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color() == lines[3].get_color()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a → a", "a → b", "b → a", "b → b"]
    with pytest.raises(InputError, match="other points"):
        transfer_figure([100], {("a", "a"): []})


def test_densities_are_those_of_the_overlap() -> None:
    rng = np.random.default_rng(1)
    frames = 2.0 * np.eye(4, 3) + 0.1 * rng.normal(size=(2, 50, 4, 3))
    overlap = distance_overlap(*frames, [8, 1, 6, 1])
    figure = distance_figure(overlap, ("cheap", "accurate"))
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == len(overlap.types) == 4
    for axes, part in zip(shown, overlap.types, strict=True):
        first, second = axes.get_lines()
        np.testing.assert_allclose(first.get_ydata(), part.first)
        np.testing.assert_allclose(second.get_ydata(), part.second)
        assert axes.get_title(loc="left").startswith(part.name)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cheap", "accurate"]
