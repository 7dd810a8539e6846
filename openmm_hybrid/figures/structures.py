"""Figures of conformations: projections of their structures, and their energy levels in several models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures.style import COLOURS, SIZE, new_figure

Floats = NDArray[np.float64]

_COLUMNS = 4
_COLOUR = {"H": "#FFFFFF", "C": "#606060", "N": "#56B4E9", "O": "#D55E00", "S": "#E69F00", "F": "#009E73"}
_OTHER = "#CC79A7"  # of elements without a colour of their own
_APART = 0.04  # smallest distance between two letters beside the levels, relative to the height of the axes


def structure_figure(
    elements: Sequence[str], bonds: Sequence[tuple[int, int]], structures: Mapping[str, ArrayLike]
) -> Figure:
    """Draw structures in projection along the direction in which the first one is flattest.

    The others are aligned to the first one. Near atoms are larger and cover distant ones.

    Parameters
    ----------
    elements : (n_atoms,)
    bonds : sequence of (int, int)
    structures : mapping of str to (n_atoms, 3), Å
        Title → positions.

    Raises
    ------
    InputError
        There are no structures, or one has another number of atoms.
    """
    frames = {title: np.asarray(positions, dtype=np.float64) for title, positions in structures.items()}
    if not frames or any(positions.shape != (len(elements), 3) for positions in frames.values()):
        raise InputError("these structures cannot be drawn", expected=f"one or more of shape ({len(elements)}, 3)")
    columns = min(_COLUMNS, len(frames))
    rows = -(-len(frames) // columns)
    heavy = [atom for atom, element in enumerate(elements) if element != "H"]
    fitted = heavy if len(heavy) > 2 else list(range(len(elements)))
    first: Floats | None = None
    aligned = []
    for positions in frames.values():
        centred = positions - positions[fitted].mean(axis=0)
        target = _flat(centred) if first is None else first
        rotation = _rotation(centred[fitted], target[fitted])
        aligned.append(centred @ rotation)
        first = aligned[0]
    reach, height = np.max([np.abs(positions[:, :2]).max(axis=0) for positions in aligned], axis=0).tolist()
    reach, height = reach + 0.6, height + 0.6  # room for the atoms
    figure = new_figure(1.5 * columns + 0.2, (1.5 * height / reach + 0.25) * rows + 0.1)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
        axes.set_aspect("equal")
        axes.set(xlim=(-reach, reach), ylim=(-height, height))
    points = 72.0 * 1.4 / (2.0 * reach)  # per Å
    for axes, title, positions in zip(panels, frames, aligned, strict=False):
        axes.set_title(f"({title})", fontsize=SIZE, pad=2.0)
        _draw(axes, elements, bonds, positions, points)
    return figure


def level_figure(levels: Mapping[str, Sequence[float]], labels: Sequence[str]) -> Figure:
    """Draw the energies of conformations as levels, one column per model; lines join the same conformation.

    Parameters
    ----------
    levels : mapping of str to (n_conformations,), kcal/mol
        Name of the model → energies above its lowest one; NaN where it lacks the conformation.
    labels : (n_conformations,)
        Letters of the conformations.

    Raises
    ------
    InputError
        There are no levels, or their number differs from that of the labels.
    """
    arrays = {name: np.asarray(energies, dtype=np.float64) for name, energies in levels.items()}
    if not arrays or any(energies.shape != (len(labels),) for energies in arrays.values()):
        raise InputError("these levels cannot be drawn", expected="one energy, or NaN, for each label")
    figure = new_figure(max(1.45 * len(arrays) + 0.7, 3.0), 3.6)
    axes = figure.subplots()
    top = max(float(np.nanmax(energies)) for energies in arrays.values()) or 1.0
    for column, energies in enumerate(arrays.values()):
        for index, energy in enumerate(energies):
            colour = COLOURS[index % len(COLOURS)]
            axes.plot([column - 0.26, column + 0.2], [energy, energy], color=colour, linewidth=2.2)
        known = np.flatnonzero(np.isfinite(energies))
        heights = _spread(energies[known], _APART * 1.16 * top)
        for index, height in zip(known.tolist(), heights, strict=True):
            colour = COLOURS[index % len(COLOURS)]
            axes.text(column + 0.23, height, labels[index], fontsize=SIZE - 1, va="center", color=colour)
    for (left, first), second in zip(enumerate(arrays.values()), list(arrays.values())[1:], strict=False):
        for index, ends in enumerate(zip(first, second, strict=True)):
            axes.plot(
                [left + 0.36, left + 0.74], ends, color=COLOURS[index % len(COLOURS)], linewidth=0.8, linestyle=":"
            )
    axes.set(xlim=(-0.4, len(arrays) - 0.5), ylim=(-0.06 * top, 1.1 * top), xticks=range(len(arrays)))
    axes.set_xticklabels(list(arrays), fontsize=SIZE - 1)
    axes.tick_params(axis="y", labelsize=SIZE - 1)
    axes.set_ylabel("energy / kcal/mol", fontsize=SIZE)
    return figure


def _draw(
    axes: Axes, elements: Sequence[str], bonds: Sequence[tuple[int, int]], positions: Floats, points: float
) -> None:
    """Bonds and atoms from the most distant to the nearest."""
    nearness = positions[:, 2] / max(float(np.ptp(positions[:, 2])), 3.0)
    for i, j in bonds:
        middle = 0.5 * (positions[i] + positions[j])
        for atom in (i, j):
            (x, y), (u, v) = positions[atom, :2], middle[:2]
            order = 1.99 + float(min(nearness[atom], 0.5 * (nearness[i] + nearness[j])))  # below its own atom
            axes.plot([x, u], [y, v], color="#303030", linewidth=0.2 * points, zorder=order, solid_capstyle="round")
    for atom, element in enumerate(elements):
        radius = (0.27 if element == "H" else 0.42) * (1.0 + 0.25 * float(nearness[atom]))
        axes.plot(
            positions[atom, 0], positions[atom, 1], "o", markersize=2.0 * radius * points,
            color=_COLOUR.get(element, _OTHER), markeredgecolor="#303030", markeredgewidth=0.7,
            zorder=2.01 + float(nearness[atom]),
        )  # fmt: skip
        if element not in ("H", "C"):
            axes.text(
                positions[atom, 0], positions[atom, 1], element, fontsize=min(SIZE, 0.62 * points), ha="center",
                va="center", zorder=2.02 + float(nearness[atom]),
            )  # fmt: skip


def _flat(positions: Floats) -> Floats:
    """The positions with their principal axes along x, y and z, the longest first."""
    _, _, axes = np.linalg.svd(positions - positions.mean(axis=0), full_matrices=False)
    axes[2] *= np.sign(np.linalg.det(axes))
    return np.asarray(positions @ axes.T)


def _rotation(positions: Floats, target: Floats) -> Floats:
    """The rotation matrix that brings positions closest to a target (Kabsch, Acta Cryst. A32, 922 (1976))."""
    u, _, v = np.linalg.svd(positions.T @ target)
    sign = np.sign(np.linalg.det(u @ v))
    return np.asarray(u @ np.diag([1.0, 1.0, sign]) @ v)


def _spread(heights: Floats, apart: float) -> list[float]:
    """Heights of letters near the given ones, at least `apart` from each other."""
    order = np.argsort(heights, kind="stable")
    moved = np.array(heights, dtype=np.float64)
    for _ in range(200):
        gaps = np.diff(moved[order])
        close = np.flatnonzero(gaps < apart - 1e-9)
        if not len(close):
            break
        for gap in close.tolist():
            push = 0.5 * (apart - (moved[order[gap + 1]] - moved[order[gap]]))
            if push > 0.0:
                moved[order[gap]] -= push
                moved[order[gap + 1]] += push
    return moved.tolist()
