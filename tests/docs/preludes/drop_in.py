"""Aspirin in vacuum."""

from tests.docs.preludes.common import aspirin

_case = aspirin()
system, topology, ligand = _case.gaff.system, _case.gaff.topology, range(21)
