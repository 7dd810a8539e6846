"""Labelled frames of ethanol, and ethanol in a small box of water."""

import openmm_hybrid as oh
from tests.docs.preludes.common import ethanol, limit_fits

limit_fits()
_case = ethanol()
forcefield, frames = oh.ForceField.from_system(_case.gaff.system, _case.gaff.topology), _case.frames(40)
_box = _case.gaff.solvate(padding=6.0, cutoff=5.5)
system, topology = _box.system, _box.topology
ligand = range(9)
