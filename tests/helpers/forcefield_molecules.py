"""Molecules with GAFF and quick charges for the tests of force fields, and small Systems by hand."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

from openmm_hybrid import Molecule, gaff
from openmm_hybrid.gaff.system import GaffSystem
from tests.helpers.gaff_molecules import gasteiger

SMILES = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "ethanol": "CCO",
    "methanol": "CO",
    "acetate": "CC(=O)[O-]",
    "methylimidazolium": "C[n+]1cc[nH]c1",
    "glycine methylamide": "NCC(=O)NC",
}
"""Name → SMILES."""


@cache
def built(name: str) -> GaffSystem:
    """GAFF 1.81 with Gasteiger charges, equal on equivalent atoms."""
    molecule = Molecule.from_smiles(SMILES[name], name=name)
    charges = gasteiger(molecule)
    for kind in set(molecule.symmetry_classes):
        same = molecule.symmetry_classes == kind
        charges[same] = charges[same].mean()
    return gaff.build(molecule, charges=charges)


def shaken(system: GaffSystem, n_frames: int = 4, by: float = 0.08) -> NDArray[np.float64]:
    """Distorted geometries (n_frames, n_atoms, 3), Å."""
    (molecule,) = system.molecules
    return molecule.positions + np.random.default_rng(0).normal(scale=by, size=(n_frames, molecule.n_atoms, 3))


def chain(n_atoms: int = 5) -> tuple[openmm.System, app.Topology, NDArray[np.float64]]:
    """Carbons in a row without a force: System, topology with bonds, frames (3, n_atoms, 3) in Å."""
    system, topology = openmm.System(), app.Topology()
    residue = topology.addResidue("CHN", topology.addChain())
    atoms = [topology.addAtom(f"C{n}", app.element.carbon, residue) for n in range(n_atoms)]
    for first, second in pairwise(atoms):
        topology.addBond(first, second)
    for _ in atoms:
        system.addParticle(12.0)
    steps = np.arange(n_atoms)
    helix = np.stack([0.9 * np.cos(1.9 * steps), 0.9 * np.sin(1.9 * steps), 0.55 * steps], axis=1)
    return system, topology, helix + np.random.default_rng(1).normal(scale=0.06, size=(3, n_atoms, 3))
