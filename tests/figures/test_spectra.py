"""The picture of spectra shows the numbers that it is given."""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures import spectra_figure

AXIS = np.linspace(0.0, 4000.0, 2001)
HARMONIC = np.array([-30.0, 300.0, 1000.0, 1500.0, 3650.0])


def curve(shift: float) -> np.ndarray:
    return np.sum([np.exp(-0.5 * ((AXIS - x - shift) / 10.0) ** 2) for x in HARMONIC if x > 0], axis=0)


def test_curves_are_the_numbers_and_empty_ranges_are_left_out() -> None:
    curves = {100.0: (AXIS, curve(0.0)), 400.0: (AXIS, curve(-20.0))}
    figure = spectra_figure({"gaff": curves, "sgdml": curves}, {"gaff": HARMONIC, "sgdml": HARMONIC}, markers=(3600.0,))
    assert len(figure.axes) == 4  # two models, and two ranges of wavenumbers
    low, high = figure.axes[:2]
    assert low.get_xlim() == (150.0, 1650.0)
    assert high.get_xlim() == (3450.0, 3800.0)
    cold, hot = low.get_lines()
    np.testing.assert_allclose(cold.get_ydata(), curve(0.0)[75:826])
    offset = np.asarray(hot.get_ydata()) - curve(-20.0)[75:826]
    assert offset.min() == pytest.approx(offset.max())
    assert offset.min() > 0.1
    ticks, markers = high.collections
    np.testing.assert_allclose([segment[0, 0] for segment in ticks.get_segments()], HARMONIC[1:])
    np.testing.assert_allclose([segment[0, 0] for segment in markers.get_segments()], [3600.0])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["100 K", "400 K"]


def test_missing_spectra_are_refused() -> None:
    for spectra, harmonic in (({}, {}), ({"a": {}}, {"a": HARMONIC}), ({"a": {1.0: (AXIS, AXIS)}}, {"a": [-1.0]})):
        with pytest.raises(InputError, match="without spectra"):
            spectra_figure(spectra, harmonic)
