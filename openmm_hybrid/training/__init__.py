"""Fitting force fields to energies and forces of labelled frames."""

from openmm_hybrid.training.fit import fit
from openmm_hybrid.training.gradient import GradientSettings
from openmm_hybrid.training.guards import Guard
from openmm_hybrid.training.idle import idle
from openmm_hybrid.training.result import FitResult, MoleculeFit

__all__ = ["FitResult", "GradientSettings", "Guard", "MoleculeFit", "fit", "idle"]
