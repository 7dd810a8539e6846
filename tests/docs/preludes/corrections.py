"""Labelled frames of aspirin, a fitted force field without them, and frames of two ensembles."""

from tests.docs.preludes.common import aspirin

_case = aspirin()
molecule, forcefield, frames = _case.molecule, _case.forcefield, _case.frames(30)
atomic_numbers = molecule.atomic_numbers
system, topology, ligand = _case.gaff.system, _case.gaff.topology, range(21)
positions = frames.positions
sampled, reference = _case.run(60), _case.run(60, seed=2)
