"""A trained correction of aspirin in a file, its System, and its TorchScript for OpenMM."""

import openmm_hybrid as oh
from openmm_hybrid.systems.backends.native import NativeBackend
from tests.docs.preludes.common import aspirin, correction_file

_case = aspirin()
_correction = correction_file(_case, "correction.npz")
system, topology = _case.gaff.system, _case.gaff.topology
oh.export_torchforce("force.pt", system, topology, _correction, scale="lambda")

MyBackend, a_model_that_it_takes = NativeBackend, _case.forcefield.only("bonds")
