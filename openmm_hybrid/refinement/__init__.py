"""A force field of one's own for one molecule: rounds of dynamics, reference labels, fits and checks.

`openmm_hybrid.refine` is in `rounds`, which loads many other modules; a result can be read without them.
"""

from openmm_hybrid.refinement.batch_result import BatchMolecule
from openmm_hybrid.refinement.check_results import Checks, FrequencyCheck, HotRun, MinimaCheck, RotorProfile
from openmm_hybrid.refinement.refined import CorrectionErrors, Refined, Round

__all__ = [
    "BatchMolecule",
    "Checks",
    "CorrectionErrors",
    "FrequencyCheck",
    "HotRun",
    "MinimaCheck",
    "Refined",
    "RotorProfile",
    "Round",
]
