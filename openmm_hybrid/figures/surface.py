"""Figure of energy surfaces over two dihedrals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures.style import SEQUENTIAL, SIZE, degree_axis, new_figure

Floats = NDArray[np.float64]

_DIVERGING = "PuOr"  # orange below and purple above: colour-blind readers can distinguish them
_LEVELS = 20
_PANEL = (2.45, 2.2)  # inches


def surface_figure(
    surfaces: Mapping[str, ArrayLike],
    labels: tuple[str, str],
    *,
    reference: str,
    window: float,
    minima: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> Figure:
    """Draw energy surfaces on one colour scale, and beside each its difference from the reference.

    The reference comes first. The text is legible at a width of 8 cm.

    Parameters
    ----------
    surfaces : mapping of str to (n, n), kcal/mol
        Name of the model → energies above its minimum at angles from −180° on; NaN leaves a gap.
    labels : (str, str)
        Names of the first and the second dihedral.
    reference : str
        Name of one of the surfaces.
    window : float, kcal/mol
        Largest energy of the colour scale, which ends before it if no surface is as high. Differences are drawn where
        the reference is below it, on a scale that ends there too.
    minima : mapping of str to sequence of (angle, angle), degrees, optional
        Points to mark in a surface.

    Raises
    ------
    InputError
        The reference is not among the surfaces, or the grids differ.
    """
    arrays = {name: np.asarray(energies, dtype=np.float64) for name, energies in surfaces.items()}
    if reference not in arrays:
        raise InputError(f"there is no surface of the reference {reference}", expected=f"one of {', '.join(arrays)}")
    truth = arrays[reference]
    if any(array.shape != truth.shape or array.ndim != 2 for array in arrays.values()):
        raise InputError("the surfaces have different grids", expected="energies (n, n) of each")
    others = [name for name in arrays if name != reference]
    columns = 2 if others else 1
    figure = new_figure(_PANEL[0] * columns, _PANEL[1] * len(arrays) + 0.8)
    axes = figure.subplots(len(arrays), columns, squeeze=False, sharex=True, sharey=True)
    marks = minima or {}
    end = min(window, max(1.0, *(float(np.ceil(np.nanmax(array, initial=0.0))) for array in arrays.values())))
    for row, name in enumerate([reference, *others]):
        image = _filled(axes[row, 0], arrays[name], np.linspace(0.0, end, _LEVELS + 1), SEQUENTIAL, "max")
        _lines(axes[row, 0], arrays[name], end)
        for first, second in marks.get(name, ()):
            axes[row, 0].plot(
                first, second, "o", color="white", markeredgecolor="black", markersize=5.5, clip_on=False, zorder=5
            )
        axes[row, 0].set_title(name if row else f"{name} (reference)", fontsize=SIZE)
    _bar(figure, image, axes[:, 0], "energy / kcal/mol")
    if others:
        compared = truth <= window
        differences = {name: np.where(compared, arrays[name] - truth, np.nan) for name in others}
        largest = min(window, max(float(np.nanmax(np.abs(part), initial=0.0)) for part in differences.values()))
        scale = np.linspace(-1.0, 1.0, _LEVELS + 1) * (largest or 1.0)
        axes[0, 1].set_axis_off()
        for row, name in enumerate(others, 1):
            image = _filled(axes[row, 1], differences[name], scale, _DIVERGING, "both")
            axes[row, 1].set_title(f"{name} − reference", fontsize=SIZE)
        _bar(figure, image, axes[:, 1], "difference / kcal/mol")
    for panel in axes.flat:
        degree_axis(panel, "x", labels[0])
        degree_axis(panel, "y", labels[1])
        panel.label_outer()
    return figure


def _filled(axes: Axes, values: Floats, levels: Floats, colours: str, extend: str) -> ContourSet:
    degrees, closed = _closed(values)
    masked = np.ma.masked_invalid(closed.T)
    axes.set_facecolor("0.85")
    return axes.contourf(degrees, degrees, masked, levels=levels, cmap=colours, extend=extend)


def _lines(axes: Axes, values: Floats, end: float) -> None:
    """Contour lines at whole numbers, at most about ten."""
    degrees, closed = _closed(values)
    step = max(1.0, np.ceil(end / 10.0))
    levels = np.arange(step, end + 0.5 * step, step)
    axes.contour(degrees, degrees, np.ma.masked_invalid(closed.T), levels=levels, colors="white", linewidths=0.5)


def _bar(figure: Figure, image: ContourSet, axes: NDArray[np.object_], label: str) -> None:
    levels = np.asarray(image.levels, dtype=np.float64)
    low, high = float(levels[0]), float(levels[-1])
    bar = figure.colorbar(image, ax=list(axes), location="bottom", pad=0.02, fraction=0.05)
    bar.set_label(label, fontsize=SIZE)
    ticks = [low, 0.5 * (low + high), high]
    bar.set_ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    bar.ax.tick_params(labelsize=SIZE - 1)


def _closed(values: Floats) -> tuple[Floats, Floats]:
    """Angles from −180° to 180°, degrees, and the values with the first row and column repeated at the end."""
    return np.linspace(-180.0, 180.0, len(values) + 1), np.pad(values, ((0, 1), (0, 1)), mode="wrap")
