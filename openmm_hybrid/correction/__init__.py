"""Corrections: what a force field misses, learned from a reference and added to it."""

from __future__ import annotations

from openmm_hybrid.correction.recipe import train
from openmm_hybrid.correction.residual import residual

__all__ = ["residual", "train"]
