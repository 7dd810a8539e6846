"""Figure of vibrational spectra at several temperatures, with harmonic wavenumbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures.style import SEQUENTIAL, SIZE, new_figure

Curves = Mapping[float, tuple[ArrayLike, ArrayLike]]
"""Temperature, K → wavenumbers (n_points,), cm⁻¹, and values (n_points,)."""

_EMPTY = 500.0  # least width of a range without harmonic wavenumbers that the picture leaves out, cm⁻¹
_AROUND = 150.0  # range around the harmonic wavenumbers that is shown, cm⁻¹
_BRIGHTEST = 0.85  # colour of the highest temperature in the colour map, which ends in light yellow
_TICKS = 0.09  # height of the harmonic ticks, relative to the panel


def spectra_figure(
    spectra: Mapping[str, Curves],
    harmonic: Mapping[str, ArrayLike],
    *,
    label: str = "density of states / modes per cm⁻¹",
    markers: Sequence[float] = (),
) -> Figure:
    """Draw the spectra of each model, one row per model; the spectra of higher temperatures are shifted upwards.

    Short lines below the spectra are harmonic wavenumbers, dotted lines are markers. Wide ranges without harmonic
    wavenumbers are left out.

    Parameters
    ----------
    spectra : mapping of str to Curves
        Name of the model → spectra by temperature.
    harmonic : mapping of str to (n_modes,), cm⁻¹
        Harmonic wavenumbers of each model; negative ones are left out.
    label : str
        Label of the vertical axis.
    markers : sequence of float, cm⁻¹
        Wavenumbers of an experiment.

    Raises
    ------
    InputError
        A model has no spectra or no harmonic wavenumbers.
    """
    known = {name: np.asarray(harmonic.get(name, ()), dtype=np.float64) for name in spectra}
    known = {name: values[values > 0] for name, values in known.items()}
    if not spectra or not all(spectra.values()) or not all(len(values) for values in known.values()):
        raise InputError("there is a model without spectra or harmonic wavenumbers", expected="both for each model")
    ranges = _ranges(np.concatenate([*known.values(), np.asarray(markers, dtype=np.float64)]))
    widths = [stop - start for start, stop in ranges]
    figure = new_figure(7.2, 0.7 + 2.6 * len(spectra))
    panels = figure.subplots(len(spectra), len(ranges), squeeze=False, sharex="col", width_ratios=widths)
    colours = matplotlib.colormaps[SEQUENTIAL]
    for row, (name, curves) in zip(panels, spectra.items(), strict=True):
        for axes, (start, stop) in zip(row, ranges, strict=True):
            _panel(axes, curves, colours, (start, stop))
            low, high = axes.get_ylim()
            axes.vlines(known[name], low, low + _TICKS * (high - low), color="#000000", linewidth=0.9)
            axes.vlines(markers, low, high, color="#7F7F7F", linewidth=0.9, linestyle=":")
            axes.set(xlim=(start, stop), ylim=(low, high))
        row[0].set_title(name, fontsize=SIZE, loc="left")
    figure.supxlabel("wavenumber / cm⁻¹", fontsize=SIZE)
    figure.supylabel(label, fontsize=SIZE)
    lines = {line.get_label(): line for line in panels[0][0].get_lines()}
    figure.legend(
        list(lines.values()), list(lines), loc="outside upper center", ncols=len(lines), fontsize=SIZE - 1,
        frameon=False,
    )  # fmt: skip
    return figure


def _ranges(wavenumbers: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Ranges of the horizontal axis."""
    known = np.sort(wavenumbers)
    groups = np.split(known, np.flatnonzero(np.diff(known) > _EMPTY + 2.0 * _AROUND) + 1)
    return [(max(float(group[0]) - _AROUND, 0.0), float(group[-1]) + _AROUND) for group in groups]


def _panel(axes: Axes, curves: Curves, colours: matplotlib.colors.Colormap, limits: tuple[float, float]) -> None:
    """The curves in one range, each above the last one by the same distance."""
    parts = []
    for temperature in sorted(curves):
        x, y = (np.asarray(values, dtype=np.float64) for values in curves[temperature])
        inside = (x >= limits[0]) & (x <= limits[1])
        parts.append((temperature, x[inside], y[inside]))
    highest = max((float(y.max(initial=0.0)) for _, _, y in parts), default=0.0) or 1.0
    distance = 0.45 * highest if len(parts) > 1 else 0.0
    for number, (temperature, x, y) in enumerate(parts):
        colour = colours(_BRIGHTEST * number / max(len(parts) - 1, 1))
        axes.plot(x, y + number * distance, color=colour, linewidth=1.2, label=f"{temperature:g} K")
    top = max(float(y.max(initial=0.0)) + number * distance for number, (_, _, y) in enumerate(parts))
    axes.set_ylim(-1.3 * _TICKS * top, 1.03 * top)
    axes.tick_params(axis="both", labelsize=SIZE - 1)
    axes.grid(alpha=0.3)
