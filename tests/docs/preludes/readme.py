"""Aspirin in a small box of water; the charges, runs, fits and refinements of the page are made cheap."""

import openmm_hybrid as oh
from tests.docs.preludes.common import limit_charges, limit_fits, limit_refinements, limit_samples

limit_charges()
limit_fits()
limit_refinements()
limit_samples()

_box = oh.gaff.build(oh.Molecule.from_smiles("CC(=O)Oc1ccccc1C(=O)O"), charges="resp").solvate(padding=6.0, cutoff=5.5)
system, topology = _box.system, _box.topology
