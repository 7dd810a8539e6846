"""Common style of the figures, and their saving."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded, replacing

COLOURS = ("#0072B2", "#D55E00", "#000000", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""Colours of lines: the palette of Okabe and Ito (2008), which colour-blind readers can distinguish."""

DASHES = ("-", "--", ":", "-.")
"""Dash patterns of lines, which differ in greyscale too."""

SEQUENTIAL = "cividis"
"""Colour map of densities, perceptually uniform also for colour-blind readers."""

SIZE = 10.0
"""Font size of the text, points."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches with automatic layout, not registered with pyplot."""
    return Figure(figsize=(width, height), layout="constrained")


def degree_axis(axes: Axes, which: str, label: str) -> None:
    """Turn one axis ("x" or "y") into an angle from −180° to 180°."""
    axes.set(**{f"{which}lim": (-180, 180), f"{which}ticks": range(-180, 181, 90)})
    getattr(axes, f"set_{which}label")(f"{label} / °", fontsize=SIZE)
    axes.tick_params(axis="both", labelsize=SIZE - 1)


def save_figure(figure: Figure, path: str | Path, *, dpi: int = 150) -> Path:
    """Write a figure to a PNG or SVG file, chosen by the ending of the name.

    The file is written completely or not at all, and the same figure always has the same bytes.

    Raises
    ------
    InputError
        The ending is not .png or .svg.
    HybridError
        The file cannot be written.
    """
    target = expanded(path)
    kind = target.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise InputError(f"a figure cannot be saved as {target.name}", expected="a name ending in .png or .svg")
    # Without date and version of matplotlib, equal figures have equal files.
    metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    with replacing(target) as temporary, matplotlib.rc_context({"svg.hashsalt": "openmm-hybrid"}):
        figure.savefig(temporary, format=kind, dpi=dpi, metadata=metadata)
    return target
