"""Corrections: what a force field misses, learned from a reference and added to it."""

from __future__ import annotations

from openmm_hybrid.correction.all_atoms import train
from openmm_hybrid.correction.distill import distill
from openmm_hybrid.correction.local import LAMS, train_local
from openmm_hybrid.correction.populations import match_populations
from openmm_hybrid.diagnose.contrast import ContrastRow, contrast
from openmm_hybrid.diagnose.rank import Ranking, RankRow, rank
from openmm_hybrid.models.residual import residual
from openmm_hybrid.models_io.any_model import load_correction as load
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.sgdml.gate import Gated, GateReport, gate, gate_report

__all__ = [
    "LAMS",
    "ContrastRow",
    "Correction",
    "GateReport",
    "Gated",
    "RankRow",
    "Ranking",
    "contrast",
    "distill",
    "gate",
    "gate_report",
    "load",
    "match_populations",
    "rank",
    "residual",
    "train",
    "train_local",
]
