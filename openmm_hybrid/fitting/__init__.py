"""Fitting force fields to energies and forces of labelled frames."""

from openmm_hybrid.fitting.fit import fit
from openmm_hybrid.fitting.fit_result import FitResult, MoleculeFit
from openmm_hybrid.fitting.gradient import GradientSettings
from openmm_hybrid.fitting.prune import prunable_terms
from openmm_hybrid.fitting.sanity_checks import SanityCheck

__all__ = ["FitResult", "GradientSettings", "MoleculeFit", "SanityCheck", "fit", "prunable_terms"]
