"""A trained correction of aspirin in a file, and its System."""

from tests.docs.preludes.common import aspirin, correction_file

_case = aspirin()
correction_file(_case, "correction.npz")
system, topology = _case.gaff.system, _case.gaff.topology
