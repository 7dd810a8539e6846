"""Labelled frames of ethanol and GAFF's System; fits use a few of them."""

import openmm_hybrid as oh
from tests.docs.preludes.common import ethanol, limit_fits

limit_fits()
_case = ethanol()
gs, frames = _case.gaff, _case.frames(40)
start = oh.ForceField.from_system(gs.system, gs.topology)
