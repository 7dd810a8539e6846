"""A coordinate that stops growing outside a range: what keeps fitted functions finite where nothing was sampled."""

from __future__ import annotations

import torch
from torch import Tensor

from openmm_hybrid.forms.form import Column

MARGIN = 0.25
"""How far a saturated coordinate goes beyond the range, in widths of the range; our choice."""

SLOPES = 0.1
"""Weight of squared slopes beside squared curvature in a fitted function's roughness; our choice."""


def range_columns(unit: str) -> tuple[Column, Column]:
    """The ends of the sampled range, which a fit sets from its frames and then keeps."""
    return Column("lower", unit, fitted=False), Column("upper", unit, fitted=False)


def saturate(q: Tensor, lower: Tensor, upper: Tensor, margin: float = MARGIN) -> tuple[Tensor, Tensor]:
    """s(q) = c + w tanh((q − c)/w) with c = q clamped to [lower, upper] and w = margin (upper − lower), and ds/dq.

    s = q inside the range; outside, s stays within w of it. Two derivatives are continuous.

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
    """The same s(q) as an OpenMM expression of these names, which may be expressions themselves."""
    inside = f"min(max({q},{lower}),{upper})"
    width = f"({MARGIN}*({upper}-{lower}))"
    return f"{inside}+{width}*tanh(({q}-{inside})/{width})"


def standardise(q: Tensor, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """The saturated coordinate on a scale where the range is [−1, 1], and its derivative by q."""
    s, slope = saturate(q, lower, upper)
    per = 2.0 / (upper - lower)
    return per * (s - lower) - 1.0, per * slope
