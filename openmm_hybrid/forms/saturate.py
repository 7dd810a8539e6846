"""Coordinates that stop growing outside their sampled range, which keeps fitted functions finite there."""

from __future__ import annotations

import torch
from torch import Tensor

from openmm_hybrid.forms.form import Column

MARGIN = 0.25
"""Distance that a saturated coordinate can go beyond the range, in widths of the range; our choice."""

SLOPES = 0.1
"""Weight of squared slopes beside squared curvature in a fitted function's roughness; our choice."""


def range_columns(kind: str, number: int = 0, suffix: str = "") -> tuple[Column, ...]:
    """Ends of the sampled range of a form's coordinate `number`; none for a dihedral, which needs no range.

    Parameters
    ----------
    kind : {"distance", "angle", "dihedral"}
    number : int
        Index of the coordinate in the form.
    suffix : str
        End of the columns' names, for forms with several ranges.
    """
    if kind == "dihedral":
        return ()
    unit = "Å" if kind == "distance" else "rad"
    return tuple(Column(f"{end}{suffix}", unit, fitted=False, range_of=number) for end in ("lower", "upper"))


def saturate(q: Tensor, lower: Tensor, upper: Tensor, margin: float = MARGIN) -> tuple[Tensor, Tensor]:
    """s(q) = c + w tanh((q − c)/w), with c = q clamped to [lower, upper] and w = margin (upper − lower), and ds/dq.

    Inside the range s = q; outside, s stays within w of the range. Two derivatives are continuous.

    Parameters
    ----------
    q : (n_frames, n_terms)
    lower, upper : (n_terms,)
    """
    width = margin * (upper - lower)
    inside = torch.minimum(torch.maximum(q, lower), upper)
    beyond = torch.tanh((q - inside) / width)
    return inside + width * beyond, 1.0 - beyond * beyond


def saturate_expression(q: str, lower: str, upper: str) -> str:
    """s(q) of `saturate` as an OpenMM expression; the arguments are names or expressions."""
    inside = f"min(max({q},{lower}),{upper})"
    width = f"({MARGIN}*({upper}-{lower}))"
    return f"{inside}+{width}*tanh(({q}-{inside})/{width})"


def standardise(q: Tensor, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Saturated coordinate on a scale where the range is [−1, 1], and its derivative by q."""
    s, slope = saturate(q, lower, upper)
    per = 2.0 / (upper - lower)
    return per * (s - lower) - 1.0, per * slope
