"""Figures of the densities of one or two dihedrals in several ensembles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure, SubFigure

from openmm_hybrid.analysis.distributions import Density
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures.style import COLOURS, DASHES, SEQUENTIAL, SIZE, degree_axis, new_figure

_PER_DEGREE = np.pi / 180.0


def density_figure(
    densities: Mapping[str, Density],
    labels: tuple[str, str],
    *,
    notes: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the joint densities of several ensembles, and below them the density of each dihedral.

    The joint densities share one colour scale, which follows their square root to show rare conformations as well. The
    lower panels have one line per ensemble.

    Parameters
    ----------
    densities : mapping of str to Density
        Name of the ensemble ("GAFF", "hybrid", "GFN2-xTB") → 2-D density; at most 8.
    labels : (str, str)
        Labels of the first and the second dihedral, such as "C–C–O–H".
    notes : mapping of str to str, optional
        Name of the ensemble → text under it, such as its divergence from the reference.

    Raises
    ------
    InputError
        No densities, more than 8, a 1-D density, or a note on an unknown ensemble.
    """
    if not 0 < len(densities) <= len(COLOURS) or any(density.values.ndim != 2 for density in densities.values()):
        raise InputError("these densities cannot be drawn", expected=f"1 to {len(COLOURS)} densities of two dihedrals")
    unknown = set(notes or {}) - set(densities)
    if unknown:
        raise InputError(f"there are notes on {', '.join(sorted(unknown))}, but no densities of these names")
    figure = new_figure(max(3.0 * len(densities) + 1.0, 6.5), 6.4)
    grid = figure.add_gridspec(2, 1, height_ratios=[3.4, 2.6])
    top, bottom = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    _joint(top, densities, labels, notes or {})
    _marginals(bottom, densities, labels)
    return figure


def _joint(
    figure: SubFigure, densities: Mapping[str, Density], labels: tuple[str, str], notes: Mapping[str, str]
) -> None:
    highest = max(float(density.values.max()) for density in densities.values()) * _PER_DEGREE**2
    norm = PowerNorm(0.5, vmin=0.0, vmax=highest)
    all_axes = figure.subplots(1, len(densities), sharex=True, sharey=True, squeeze=False)[0]
    for number, (axes, (name, density)) in enumerate(zip(all_axes, densities.items(), strict=True)):
        image = axes.imshow(
            density.values.T * _PER_DEGREE**2,
            origin="lower",
            extent=(-180, 180, -180, 180),
            cmap=SEQUENTIAL,
            norm=norm,
            interpolation="nearest",
        )
        degree_axis(axes, "x", labels[0])
        degree_axis(axes, "y", labels[1])
        axes.label_outer()
        axes.set_title(f"{name}\n{notes[name]}" if name in notes else name, fontsize=SIZE + 1)
        if number == len(densities) - 1:
            bar = figure.colorbar(image, ax=all_axes, shrink=0.9, pad=0.02)
            bar.set_label("density / degree⁻²", fontsize=SIZE)
            bar.ax.ticklabel_format(style="sci", scilimits=(0, 0))
            bar.ax.tick_params(labelsize=SIZE - 1)


def dihedral_figure(densities: Mapping[str, Density], label: str) -> Figure:
    """Draw the densities of one dihedral in several ensembles, with one line per ensemble.

    Parameters
    ----------
    densities : mapping of str to Density
        Name of the ensemble → 1-D density; at most 8.
    label : str
        Label of the dihedral, such as "C–C–O–H".

    Raises
    ------
    InputError
        No densities, more than 8, or a 2-D density.
    """
    if not 0 < len(densities) <= len(COLOURS) or any(density.values.ndim != 1 for density in densities.values()):
        raise InputError("these densities cannot be drawn", expected=f"1 to {len(COLOURS)} densities of one dihedral")
    figure = new_figure(6.5, 3.2)
    axes = figure.subplots()
    _lines(axes, densities, label)
    _finish(figure, axes)
    return figure


def _marginals(figure: SubFigure, densities: Mapping[str, Density], labels: tuple[str, str]) -> None:
    for axis, axes in enumerate(figure.subplots(1, 2, sharey=True)):
        _lines(axes, {name: density.marginal(axis) for name, density in densities.items()}, labels[axis])
    # The panels share this axis: a limit set before the second panel is drawn would ignore its curves.
    _finish(figure, axes)


def _lines(axes: Axes, densities: Mapping[str, Density], label: str) -> None:
    for number, (name, density) in enumerate(densities.items()):
        grid = np.concatenate([density.grid[-1:] - 2 * np.pi, density.grid, density.grid[:1] + 2 * np.pi])
        axes.plot(
            np.degrees(grid),
            np.pad(density.values, 1, mode="wrap") * _PER_DEGREE,
            label=name,
            color=COLOURS[number],
            linestyle=DASHES[number % len(DASHES)],
            linewidth=1.8,
        )
    degree_axis(axes, "x", label)
    axes.grid(alpha=0.3)


def _finish(figure: Figure | SubFigure, axes: Axes) -> None:
    axes.set_ylim(bottom=0.0)
    figure.axes[0].set_ylabel("density / degree⁻¹", fontsize=SIZE)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=SIZE, frameon=False)
