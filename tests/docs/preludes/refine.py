"""A refinement of few labels and one round."""

from dataclasses import replace

import openmm_hybrid as oh
from tests.docs.preludes.common import limit_samples, limited


def _small(settings: oh.RefineSettings | None) -> oh.RefineSettings:
    few = {"n_conformers": 1, "n_first": 40, "n_fresh": 10, "n_more": 0, "rounds": 1, "n_profile": 0, "hot_ps": 0.0}
    return replace(settings or oh.RefineSettings(), **few)


limit_samples()
oh.refine = limited(oh.refine, {"settings": _small})
