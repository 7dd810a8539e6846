"""Figure of learning curves: errors against the number of training frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from openmm_hybrid.analysis.error_table import ErrorTable
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures.style import COLOURS, DASHES, SIZE, new_figure

_PANELS = (("force", "force error / kcal/mol/Å"), ("energy", "energy error / kcal/mol"))


def learning_curve_figure(n_train: Sequence[int], tables: Mapping[str, Sequence[ErrorTable]]) -> Figure:
    """Draw MAE and RMSE of forces and energies against the number of training frames, on logarithmic axes.

    Parameters
    ----------
    n_train : (n_points,)
        Numbers of training frames.
    tables : mapping of str to (n_points,) ErrorTable
        Name of the curve → errors at each point. Errors that are NaN or zero are left out; a panel without errors is
        not drawn.

    Raises
    ------
    InputError
        No points or curves, or a curve with another number of points.
    """
    if not len(n_train) or not tables or any(len(curve) != len(n_train) for curve in tables.values()):
        raise InputError("the curves have other points than the axis", expected="one error table for each n_train")
    kinds = [
        (kind, label)
        for kind, label in _PANELS
        if any(_shown(getattr(table, f"{kind}_mae")) for curve in tables.values() for table in curve)
    ]
    figure = new_figure(4.2 * len(kinds), 3.6)
    for axes, (kind, label) in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        for number, (name, curve) in enumerate(tables.items()):
            for measure, dash in zip(("mae", "rmse"), DASHES, strict=False):
                values = [getattr(table, f"{kind}_{measure}") for table in curve]
                points = [(n, value) for n, value in zip(n_train, values, strict=True) if _shown(value)]
                if points:
                    axes.plot(
                        *zip(*points, strict=True), dash, marker="o", markersize=4,
                        color=COLOURS[number % len(COLOURS)], label=f"{name}, {measure.upper()}",
                    )  # fmt: skip
        _scale(axes, n_train)
        axes.set_xlabel("training frames", fontsize=SIZE)
        axes.set_ylabel(label, fontsize=SIZE)
        axes.legend(fontsize=SIZE - 1, frameon=False)
    return figure


def _shown(value: float) -> bool:
    return math.isfinite(value) and value > 0.0


def _scale(axes: Axes, n_train: Sequence[int]) -> None:
    """Make both axes logarithmic, with ticks at the numbers of training frames."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(list(n_train), [str(n) for n in n_train])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
    axes.tick_params(labelsize=SIZE - 1, which="both")
    axes.grid(visible=True, which="major", color="0.9", linewidth=0.6)
