"""Aspirin: a force field, frames labelled by a better one, and unlabelled frames of two simulations."""

from tests.docs.preludes.common import aspirin

_case = aspirin()
molecule, forcefield, frames = _case.molecule, _case.forcefield, _case.frames(30)
atomic_numbers = molecule.atomic_numbers
system, topology, ligand = _case.gaff.system, _case.gaff.topology, range(21)
positions = frames.positions
sampled, reference = _case.run(60), _case.run(60, seed=2)
