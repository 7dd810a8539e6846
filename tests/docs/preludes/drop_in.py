"""Aspirin in vacuum, a force field of ethanol with inner pairs, and ethanol in a Modeller."""

from openmm import app

import openmm_hybrid as oh
from tests.docs.preludes.common import aspirin, ethanol

_case = aspirin()
system, topology, ligand = _case.gaff.system, _case.gaff.topology, range(21)
_ethanol = ethanol()
molecule, charges = _ethanol.molecule, _ethanol.gaff.charges
_built = oh.build(molecule, charges=charges)
fitted = oh.ForceField.from_system(_built.system, _built.topology).edit(pairs="inner")
modeller = app.Modeller(_built.topology, _built.positions)
