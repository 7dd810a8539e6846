"""Ethanol's conformer as positions, and aspirin; RESP charges become Gasteiger's."""

import openmm_hybrid as oh
from tests.docs.preludes.common import limit_charges

limit_charges()
positions = oh.Molecule.from_smiles("CCO").conformers
aspirin = oh.Molecule.from_smiles("CC(=O)Oc1ccccc1C(=O)O", name="aspirin")
