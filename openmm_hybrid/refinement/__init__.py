"""A force field of one's own for one molecule: rounds of dynamics, reference labels, fits and checks."""

from openmm_hybrid.refinement.refined import Refined, Round
from openmm_hybrid.refinement.rounds import refine
from openmm_hybrid.refinement.settings import RefineSettings

__all__ = ["RefineSettings", "Refined", "Round", "refine"]
