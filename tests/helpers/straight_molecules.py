"""Molecules with straight angles, their force fields, and geometries at and near 180°."""

from __future__ import annotations

from functools import cache

import numpy as np
import openmm
from numpy.typing import NDArray

import openmm_hybrid as oh
from openmm_hybrid import Molecule
from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.charges.equivalent import symmetrized
from openmm_hybrid.core.units import FORCE_KJ_NM, NM_PER_ANGSTROM
from openmm_hybrid.forcefield import ForceField
from tests.helpers.gaff_molecules import gasteiger

SMILES = {
    "acetonitrile": "CC#N",
    "propyne": "CC#C",
    "butyne": "CC#CC",
    "hydrogen cyanide": "C#N",
    "methyl azide": "CN=[N+]=[N-]",
    "diazomethane": "C=[N+]=[N-]",
    "cyanogen": "N#CC#N",
    "allene": "C=C=C",
    "acrylonitrile": "C=CC#N",
}
"""Name → SMILES."""

EDITS = {
    "cross": {"cross": True},
    "harmonic, cross": {"bonds": "harmonic", "cross": True},
    "neural": {"bonds": "neural4", "angles": "neural4", "propers": "neural4"},
    "spline": {"bonds": "spline", "angles": "spline8", "propers": "spline8"},
    "fourier": {"propers": "fourier6"},
}
"""Name → arguments of `ForceField.edit`."""


@cache
def built(name: str) -> BuiltSystem:
    """GAFF 2.2.20 with Gasteiger charges, equal on equivalent atoms."""
    molecule = Molecule.from_smiles(SMILES[name], name=name)
    return oh.build(molecule, base="gaff-2.2.20", charges=symmetrized(gasteiger(molecule), molecule))


def read(name: str) -> ForceField:
    """The force field of a molecule."""
    system = built(name)
    return ForceField.from_system(system.system, system.topology, name=name)


def straightened(forcefield: ForceField) -> ForceField:
    """The force field with every straight angle at 180° and random energies of all added terms."""
    parameters = forcefield.parameters
    values = parameters.values.copy()
    zero = parameters.fitted & (values == 0.0)
    values[zero] = np.random.default_rng(6).normal(scale=0.5, size=int(zero.sum()))
    minima = [k for k, name in enumerate(parameters.names) if name.endswith("/theta0") and values[k] > np.radians(165)]
    values[minima] = np.pi
    return forcefield.with_values(values)


def straight(name: str) -> set[tuple[int, ...]]:
    """Angles (i, j, k), i < k, of 165° and more in the geometry that RDKit embeds."""
    molecule = built(name).molecules[0]
    r, found = molecule.positions, set()
    for j, around in enumerate(molecule.neighbours):
        for i in around:
            for k in around:
                u, v = r[i] - r[j], r[k] - r[j]
                if i < k and u @ v / np.linalg.norm(u) / np.linalg.norm(v) < np.cos(np.radians(165)):
                    found.add((i, j, k))
    return found


def line(name: str) -> list[int]:
    """Atoms of the straight angles, in their order on the line."""
    wide = straight(name)
    r = built(name).molecules[0].positions
    atoms = sorted({atom for angle in wide for atom in angle})
    return sorted(atoms, key=lambda atom: float((r[atom] - r[atoms[0]]) @ (r[atoms[-1]] - r[atoms[0]])))


def exactly_straight(name: str) -> NDArray[np.float64]:
    """The molecule (n_atoms, 3), Å, with its line on the x axis: the angles there are 180° to the last bit."""
    r, atoms = built(name).molecules[0].positions, line(name)
    axis = (r[atoms[-1]] - r[atoms[0]]) / np.linalg.norm(r[atoms[-1]] - r[atoms[0]])
    other = np.cross(axis, [0.3, -0.5, 0.8])
    other /= np.linalg.norm(other)
    turned = (r - r[atoms[0]]) @ np.stack([axis, other, np.cross(axis, other)]).T
    turned[atoms, 1:] = 0.0
    return turned


def bent(name: str, degrees: float) -> NDArray[np.float64]:
    """The same molecule (2, n_atoms, 3), Å, with the last bond of the line turned to both sides, to this angle."""
    r, atoms, near = exactly_straight(name), line(name), built(name).molecules[0].neighbours
    moved = [atoms[-1]]
    for atom in moved:
        moved += [other for other in near[atom] if other not in (*moved, atoms[-2])]
    away, side = np.radians(180.0 - degrees), np.array([0.6, 0.8])
    turned = np.stack([r, r])
    for sign, frame in zip((1.0, -1.0), turned, strict=True):
        arms = r[moved] - r[atoms[-2]]
        across = arms[:, 1:] @ side
        frame[moved, 0] = r[atoms[-2], 0] + np.cos(away) * arms[:, 0] - sign * np.sin(away) * across
        along = sign * np.sin(away) * arms[:, 0] + (np.cos(away) - 1.0) * across
        frame[moved, 1:] = r[moved, 1:] + along[:, None] * side
    return turned


def openmm_forces(system: openmm.System, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Forces (n_frames, n_atoms, 3) of a System on the Reference platform, kcal/mol/Å."""
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    found = []
    for frame in positions:
        context.setPositions(frame * NM_PER_ANGSTROM)
        found.append(context.getState(forces=True).getForces(asNumpy=True)._value / FORCE_KJ_NM)
    return np.array(found)
