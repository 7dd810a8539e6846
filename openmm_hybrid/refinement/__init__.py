"""A force field of one's own for one molecule: rounds of dynamics, reference labels, fits and checks."""

from openmm_hybrid.refinement.checks import Checks, HotRun, MinimaCheck
from openmm_hybrid.refinement.refined import Refined, Round
from openmm_hybrid.refinement.rounds import refine
from openmm_hybrid.refinement.settings import RefineSettings
from openmm_hybrid.refinement.torsion_profiles import RotorProfile

__all__ = ["Checks", "HotRun", "MinimaCheck", "RefineSettings", "Refined", "RotorProfile", "Round", "refine"]
