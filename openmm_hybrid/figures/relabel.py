"""Figures of models that were trained and tested on two distributions: errors, and distances in the distributions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from openmm_hybrid.analysis.distances import DistanceOverlap
from openmm_hybrid.analysis.frame_errors import FrameErrors
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures.style import COLOURS, DASHES, SIZE, new_figure

_PANELS = (("force_mae", "force MAE / kcal/mol/Å"), ("energy_mae", "energy MAE / kcal/mol"))
_COLUMNS = 3  # most panels of distances in one row
_TAIL = 1e-3  # density at the ends of a panel, relative to the largest one


def transfer_figure(n_train: Sequence[int], errors: Mapping[tuple[str, str], Sequence[FrameErrors]]) -> Figure:
    """Draw MAEs of forces and energies against the number of training frames, on logarithmic axes, with error bars.

    The colour is that of the training set. Lines are solid for tests on the training distribution, and dashed for tests
    on another one.

    Parameters
    ----------
    n_train : (n_points,)
        Numbers of training frames.
    errors : mapping of (str, str) to (n_points,) FrameErrors
        Training set and test set → errors at each point.

    Raises
    ------
    InputError
        No points or curves, or a curve with another number of points.
    """
    if not len(n_train) or not errors or any(len(curve) != len(n_train) for curve in errors.values()):
        raise InputError("the curves have other points than the axis", expected="errors for each n_train")
    figure = new_figure(8.4, 4.0)
    trained = list(dict.fromkeys(train for train, _ in errors))
    panels = figure.subplots(1, len(_PANELS))
    for axes, (attribute, label) in zip(panels, _PANELS, strict=True):
        for (train, test), curve in errors.items():
            values = [getattr(point, attribute) for point in curve]
            axes.errorbar(
                n_train,
                [value.value for value in values],
                yerr=[value.error for value in values],
                linestyle=DASHES[int(train != test)],
                color=COLOURS[trained.index(train) % len(COLOURS)],
                marker="o" if train == test else "s",
                markerfacecolor=None if train == test else "white",
                markersize=5,
                capsize=3,
                label=f"{train} → {test}",
            )
        axes.set(xscale="log", yscale="log")
        axes.set_xticks(list(n_train), [str(n) for n in n_train])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_locator(LogLocator(subs=(2.0, 3.0, 4.0, 5.0, 7.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
        axes.tick_params(labelsize=SIZE - 1, which="both")
        axes.grid(visible=True, which="major", color="0.9", linewidth=0.6)
        axes.set_xlabel("training frames", fontsize=SIZE)
        axes.set_ylabel(label, fontsize=SIZE)
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(
        lines, names, title="trained on → tested on", title_fontsize=SIZE - 1, loc="outside upper center",
        ncols=2, fontsize=SIZE - 1, frameon=False,
    )  # fmt: skip
    return figure


def distance_figure(overlap: DistanceOverlap, labels: tuple[str, str]) -> Figure:
    """Draw the densities of interatomic distances of two ensembles, one panel per type of pairs.

    Parameters
    ----------
    overlap : DistanceOverlap
    labels : (str, str)
        Names of the two ensembles.
    """
    n_columns = min(_COLUMNS, len(overlap.types))
    n_rows = math.ceil(len(overlap.types) / n_columns)
    figure = new_figure(2.8 * max(n_columns, 2), 0.6 + 2.2 * n_rows)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, part in zip(panels, overlap.types, strict=False):
        for number, (label, density) in enumerate(zip(labels, (part.first, part.second), strict=True)):
            axes.plot(
                part.grid, density, DASHES[number], color=COLOURS[number], linewidth=1.2,
                label=label, zorder=2 - number,
            )  # fmt: skip
        highest = max(part.first.max(), part.second.max())
        shown = part.grid[(part.first > _TAIL * highest) | (part.second > _TAIL * highest)]
        axes.set(xlim=(shown[0], shown[-1]), ylim=(0.0, 1.05 * highest))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_title(f"{part.name}  ({part.divergence:.2g} bit)", fontsize=SIZE, loc="left")
        axes.tick_params(labelsize=SIZE - 1)
        axes.grid(alpha=0.3)
    for axes in panels[len(overlap.types) :]:
        axes.set_axis_off()
    figure.supxlabel("distance / Å", fontsize=SIZE)
    figure.supylabel("density / 1/Å", fontsize=SIZE)
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside upper center", ncols=2, fontsize=SIZE - 1, frameon=False)
    return figure
