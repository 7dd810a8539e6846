"""Figure of the densities of interatomic distances in several ensembles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from openmm_hybrid.analysis.pair_overlap import PairDensities
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures.style import COLOURS, DASHES, SIZE, new_figure

_COLUMNS = 3  # most panels in one row
_TAIL = 1e-3  # density at the ends of a panel, relative to the largest one


def pair_figure(densities: Mapping[str, PairDensities], names: Sequence[str]) -> Figure:
    """Draw the densities of some kinds of pairs, one panel per kind with one line per ensemble.

    Parameters
    ----------
    densities : mapping of str to PairDensities
        Name of the ensemble → its densities; at most 8, of the same kinds of pairs.
    names : sequence of str
        Kinds of pairs to draw, one or more.

    Raises
    ------
    InputError
        There is nothing to draw, there are more than 8 ensembles, or an ensemble lacks a kind.
    """
    known = [set(one.names) for one in densities.values()]
    if not names or not 0 < len(densities) <= len(COLOURS) or not all(set(names) <= some for some in known):
        raise InputError(
            "these densities cannot be drawn", expected=f"one or more kinds of pairs of 1 to {len(COLOURS)} ensembles"
        )
    n_columns = min(_COLUMNS, len(names))
    n_rows = math.ceil(len(names) / n_columns)
    figure = new_figure(2.9 * max(n_columns, 2), 0.7 + 2.2 * n_rows)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        lines = {label: (one.grid, one.values[one.names.index(name)]) for label, one in densities.items()}
        highest = max(float(values.max()) for _, values in lines.values())
        ends = []
        for number, (label, (grid, values)) in enumerate(lines.items()):
            axes.plot(
                grid, values, DASHES[number % len(DASHES)], color=COLOURS[number], linewidth=1.4, label=label,
            )  # fmt: skip
            ends.append(grid[values > _TAIL * highest][[0, -1]])
        axes.set(xlim=(np.min(ends), np.max(ends)), ylim=(0.0, 1.05 * highest))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_title(name, fontsize=SIZE, loc="left")
        axes.tick_params(labelsize=SIZE - 1)
        axes.grid(alpha=0.3)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    figure.supxlabel("distance / Å", fontsize=SIZE)
    figure.supylabel("density / 1/Å", fontsize=SIZE)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=SIZE - 1, frameon=False
    )
    return figure
