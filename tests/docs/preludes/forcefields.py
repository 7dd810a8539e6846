"""Ethanol's conformer as positions, frames in the same order, and aspirin; RESP charges become Gasteiger's."""

from dataclasses import replace as _replace

import openmm_hybrid as oh
from tests.docs.preludes.common import ethanol, limit_charges, limit_fits

limit_charges()
limit_fits()
positions = oh.Molecule.from_smiles("CCO").conformers
aspirin = oh.Molecule.from_smiles("CC(=O)Oc1ccccc1C(=O)O", name="aspirin")
_given, _order = ethanol().frames(40), [1, 0, 2, 5, 6, 7, 3, 4, 8]  # C(C)O as CCO
frames = _replace(
    _given,
    atomic_numbers=_given.atomic_numbers[_order],
    positions=_given.positions[:, _order],
    forces=_given.labels()[1][:, _order],
)
