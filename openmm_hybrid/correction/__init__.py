"""Corrections: what a force field misses, learned from a reference and added to it."""

from __future__ import annotations

from openmm_hybrid.correction.all_atoms import train
from openmm_hybrid.correction.distill import Distilled, distill
from openmm_hybrid.correction.local import LAMS, LocalCorrection, train_local
from openmm_hybrid.correction.populations import Matched, match_populations
from openmm_hybrid.diagnose.contrast import ContrastRow, contrast
from openmm_hybrid.diagnose.rank import Ranking, RankRow, rank
from openmm_hybrid.models.residual import residual
from openmm_hybrid.models_io.correction import Stored, load, save
from openmm_hybrid.sgdml.gate import Gated, GateReport, gate, gate_report

__all__ = [
    "LAMS",
    "ContrastRow",
    "Distilled",
    "GateReport",
    "Gated",
    "LocalCorrection",
    "Matched",
    "RankRow",
    "Ranking",
    "Stored",
    "contrast",
    "distill",
    "gate",
    "gate_report",
    "load",
    "match_populations",
    "rank",
    "residual",
    "save",
    "train",
    "train_local",
]
