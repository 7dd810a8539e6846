"""What all pictures share: colours, sizes and how they are saved."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import replacing

COLOURS = ("#0072B2", "#D55E00", "#000000", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""Of lines; the palette of Okabe and Ito (2008), which the colour-blind can tell apart."""

DASHES = ("-", "--", ":", "-.")
"""Of lines, so that they differ in a grey print too."""

SEQUENTIAL = "cividis"
"""Colour map of densities; even in lightness, and the same to the colour-blind."""

SIZE = 10.0
"""Of the text, points."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches that lays itself out; not known to pyplot."""
    return Figure(figsize=(width, height), layout="constrained")


def degree_axis(axes: Axes, which: str, label: str) -> None:
    """Make one axis ("x" or "y") an angle from −180° to 180°."""
    axes.set(**{f"{which}lim": (-180, 180), f"{which}ticks": range(-180, 181, 90)})
    getattr(axes, f"set_{which}label")(f"{label} / °", fontsize=SIZE)
    axes.tick_params(axis="both", labelsize=SIZE - 1)


def save_figure(figure: Figure, path: str | Path, *, dpi: int = 150) -> Path:
    """Write a PNG or SVG file, by the name's ending; complete or not at all. The same figure gives the same bytes.

    Raises
    ------
    InputError
        Another ending.
    HybridError
        The file cannot be written.
    """
    target = Path(path)
    kind = target.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise InputError(f"no picture can be written as {target.name}", expected="a name ending in .png or .svg")
    # Neither the date nor the version of matplotlib: they would make files differ that show the same.
    metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    with replacing(target) as temporary, matplotlib.rc_context({"svg.hashsalt": "openmm-hybrid"}):
        figure.savefig(temporary, format=kind, dpi=dpi, metadata=metadata)
    return target
