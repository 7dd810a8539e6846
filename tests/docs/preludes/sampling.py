"""Aspirin with a small correction; every run is short."""

import openmm_hybrid as oh
from tests.docs.preludes.common import SAMPLE, aspirin, correction_file, limit_samples, limited

limit_samples()
oh.correction_free_energy = limited(
    oh.correction_free_energy, {name: SAMPLE[name] for name in ("duration", "interval", "equilibration", "platform")}
)
_case = aspirin()
correction = correction_file(_case, "correction.npz")
system, topology, positions = _case.gaff.system, _case.gaff.topology, _case.molecule.conformers[0]
