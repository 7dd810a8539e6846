"""Molecules and force fields from GAFF with quick charges, and a small System without forces."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

from openmm_hybrid import Molecule, gaff
from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.system import SystemModel
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
def built(name: str) -> BuiltSystem:
    """GAFF 1.81 with Gasteiger charges, equal on equivalent atoms."""
    molecule = Molecule.from_smiles(SMILES[name], name=name)
    charges = gasteiger(molecule)
    for kind in set(molecule.symmetry_classes):
        same = molecule.symmetry_classes == kind
        charges[same] = charges[same].mean()
    return gaff.build(molecule, charges=charges)


def shaken(system: BuiltSystem, n_frames: int = 4, by: float = 0.08) -> NDArray[np.float64]:
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


def read(name: str) -> ForceField:
    """The force field of a molecule, typed by GAFF."""
    system = built(name)
    return ForceField.from_system(system.system, system.topology, types=system.atom_types, name=name)


def refitted(model: ForceField) -> ForceField:
    """The same terms with other values of all fitted parameters, the net charge as it was."""
    parameters = model.parameters
    rng = np.random.default_rng(8)
    values = parameters.values.copy()
    values[parameters.fitted] *= rng.uniform(0.8, 1.2, int(parameters.fitted.sum()))
    cosines = parameters.matching("propers/*/c*")[1:]
    values[cosines] += parameters.fitted[cosines] * rng.normal(scale=0.3, size=len(cosines))
    counts = model.tables.charge_sum()
    values -= counts * ((values - parameters.values) @ counts) / (counts @ counts)
    return model.with_values(np.clip(values, parameters.lower, parameters.upper))


def from_file(path: Path, name: str) -> SystemModel:
    """OpenMM's energies by the written file alone."""
    topology = built(name).topology
    return SystemModel(app.ForceField(str(path)).createSystem(topology), topology)


def ethanol() -> ForceField:
    """Ethanol's force field."""
    return read("ethanol")


def disturbed(forcefield: ForceField) -> ForceField:
    """The same terms with every fitted parameter that is zero, such as those of added terms, away from it."""
    values = forcefield.parameters.values.copy()
    zero = forcefield.parameters.fitted & (values == 0.0)
    values[zero] = np.random.default_rng(6).normal(scale=0.2, size=int(zero.sum()))
    return forcefield.with_values(np.clip(values, forcefield.parameters.lower, forcefield.parameters.upper))


#: Name → one force field of ethanol per family of forms.
EDITS = {
    "gaff": ethanol,
    "morse, fourier6": lambda: ethanol().edit(bonds="morse", propers="fourier6"),
    "spline": lambda: ethanol().edit(bonds="spline", angles="spline8", propers="spline"),
    "neural": lambda: ethanol().edit(bonds="neural4", angles="neural4", propers="neural4"),
    "cross": lambda: ethanol().edit(cross=True, pairs="atoms"),
    "inner": lambda: ethanol().edit(pairs="inner"),
}
