"""Placements: the particles of a System that a model acts on, and the bonds that make its molecules whole."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import openmm
from numpy.typing import ArrayLike, NDArray
from openmm import app, unit
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.systems.atom_order import in_order, system_bonds

#: Variables that CustomBondForce, CustomAngleForce, CustomTorsionForce and CustomCompoundBondForce define.
_OPENMM_VARIABLE = re.compile(r"r|theta|[xyzp]\d+")


@dataclass(frozen=True, eq=False)
class BondPaths:
    """Paths along bonds from the first atom of each copy to its other atoms.

    Parameters
    ----------
    edges : (n_copies, n_edges, 2)
        Particles at the two ends of each bond, the nearer end first. Copies with fewer bonds are padded with bonds of
        their first particle to itself.
    on_path : (n_copies, n_atoms, n_edges)
        1 if the bond lies on the path to the atom, otherwise 0.
    """

    edges: NDArray[np.int64]
    on_path: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Placement:
    """A model located on particles of a System; `locate` makes it.

    Parameters
    ----------
    model : EnergyModel
    n_particles : int
        Number of particles in the System.
    atoms : (n_copies, n_atoms)
        Particle of each model atom.
    paths : BondPaths, optional
        Paths along which the copies are made whole; None if the System is not periodic.
    scale : str
        Name of the global parameter that multiplies the model's energy; empty for none.
    force_group : int
    """

    model: EnergyModel
    n_particles: int
    atoms: NDArray[np.int64]
    paths: BondPaths | None
    scale: str
    force_group: int

    @property
    def periodic(self) -> bool:
        """Whether the System is periodic."""
        return self.paths is not None

    def localised(self) -> tuple[NDArray[np.int64], Placement]:
        """The particles that the model needs, in ascending order, and the placement with indices into that list."""
        used = [self.atoms.ravel()] if self.paths is None else [self.atoms.ravel(), self.paths.edges.ravel()]
        particles = np.unique(np.concatenate(used))
        paths = self.paths and replace(self.paths, edges=np.searchsorted(particles, self.paths.edges))
        atoms = np.searchsorted(particles, self.atoms)
        return particles, replace(self, n_particles=len(particles), atoms=atoms, paths=paths)


def locate(
    system: openmm.System,
    topology: app.Topology,
    model: EnergyModel | Correction,
    *,
    atoms: ArrayLike | None = None,
    scale: str | None = None,
    force_group: int = 0,
) -> Placement:
    """Locate a model on particles of a System; check everything and change nothing.

    Parameters
    ----------
    system, topology : openmm.System, openmm.app.Topology
        A System and the topology of its particles.
    model : EnergyModel or Correction
    atoms : (n_atoms,) or (n_copies, n_atoms), optional
        Particles (0-based) in the model's atom order, one row for each copy of the molecule; for a Correction, the
        particles of the whole molecule. None means all particles of the System in their order.
    scale : str, optional
        Name of a new global parameter that multiplies energy and forces; its default value is 1.
    force_group : int
        Force group, 0 to 31.

    Returns
    -------
    Placement

    Raises
    ------
    InputError
        Atoms out of range or given twice, a bad force group, a scale that is not an identifier or already in use.
    MismatchError
        Topology, System and model do not belong together, or the atoms of a periodic System are not connected by
        bonds.
    """
    if not isinstance(model, EnergyModel | Correction):
        raise InputError(f"a {type(model).__name__} was given as model", expected="an EnergyModel or a Correction")
    if topology.getNumAtoms() != system.getNumParticles():
        raise MismatchError(
            f"the topology has {topology.getNumAtoms()} atoms, the System {system.getNumParticles()} particles",
            expected="the topology that the System was made from",
        )
    if isinstance(force_group, bool) or force_group not in range(32):
        raise InputError(f"force group {force_group!r}", expected="a whole number from 0 to 31")
    _check_scale(system, scale)
    copies = _copies(system.getNumParticles(), model, atoms)
    copies = in_order(system, topology, model, copies)
    if isinstance(model, Correction):
        copies, model = model.on(copies), model.model
    periodic = system.usesPeriodicBoundaryConditions()
    return Placement(
        model=model,
        n_particles=system.getNumParticles(),
        atoms=copies,
        paths=_paths(system, topology, copies) if periodic else None,
        scale=scale or "",
        force_group=int(force_group),
    )


def whole_copies(
    system: openmm.System, topology: app.Topology, positions: NDArray[np.float64], atoms: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Copies of a molecule in frames, made whole along bonds as an attached model sees them.

    The box is that of the System. A run with a barostat changes it, but such a run needs whole molecules in its start,
    and keeps them whole.

    Parameters
    ----------
    system, topology : openmm.System, openmm.app.Topology
    positions : (n_frames, n_particles, 3), Å
    atoms : (n_copies, n_atoms)
        Particles of each copy.

    Returns
    -------
    (n_frames, n_copies, n_atoms, 3), Å

    Raises
    ------
    MismatchError
        The atoms of a periodic System are not connected by bonds.
    """
    chosen = positions[:, atoms]
    if not system.usesPeriodicBoundaryConditions():
        return chosen
    paths = _paths(system, topology, atoms)
    vectors = [vector.value_in_unit(unit.angstrom) for vector in system.getDefaultPeriodicBoxVectors()]
    box = np.array(vectors, dtype=np.float64)
    bonds = positions[:, paths.edges[..., 1]] - positions[:, paths.edges[..., 0]]
    crossed = np.round(bonds @ np.linalg.inv(box))
    return np.asarray(chosen - paths.on_path @ crossed @ box)


def _check_scale(system: openmm.System, scale: str | None) -> None:
    if scale is None:
        return
    if not isinstance(scale, str) or not scale.isidentifier():
        raise InputError(
            f"{scale!r} cannot name a global parameter", expected="letters, digits and _, such as 'lambda'"
        )
    if _OPENMM_VARIABLE.fullmatch(scale):
        raise InputError(
            f"{scale!r} is a coordinate in OpenMM's expressions", hint="choose another name, such as 'lambda'"
        )
    for force in system.getForces():
        if scale in _parameters_of(force):
            raise InputError(
                f"the global parameter {scale!r} is in use by {type(force).__name__}", hint="choose another name"
            )


def global_parameters(system: openmm.System) -> set[str]:
    """Names of the global parameters of all forces."""
    return {name for force in system.getForces() for name in _parameters_of(force)}


def _parameters_of(force: openmm.Force) -> tuple[str, ...]:
    if hasattr(force, "getNumGlobalParameters"):
        return tuple(force.getGlobalParameterName(k) for k in range(force.getNumGlobalParameters()))
    if hasattr(force, "getGlobalParameters"):
        return tuple(force.getGlobalParameters())
    return ()


def _copies(n_particles: int, model: EnergyModel | Correction, atoms: ArrayLike | None) -> NDArray[np.int64]:
    """Check the particles and return them with shape (n_copies, n_atoms)."""
    if atoms is None and n_particles != model.n_atoms:
        raise MismatchError(
            f"the System has {n_particles} particles, the model {model.n_atoms} atoms",
            hint="name the model's atoms: atoms=[…], in its order",
        )
    array = np.arange(n_particles) if atoms is None else np.asarray(atoms)
    if array.ndim == 1 and not array.size:
        raise InputError(
            "there are no atoms", expected=f"{model.n_atoms}, the model's", hint="check the residue's name"
        )
    if not np.issubdtype(array.dtype, np.integer) or array.ndim not in (1, 2):
        raise InputError(
            f"atoms are {array.dtype} of shape {array.shape}",
            expected=f"integers of shape ({model.n_atoms},) or (n_copies, {model.n_atoms})",
        )
    if array.shape[-1] != model.n_atoms:
        copies, rest = divmod(array.shape[-1], model.n_atoms)
        raise MismatchError(
            f"{array.shape[-1]} atoms were given",
            expected=f"{model.n_atoms}, the model's number",
            hint="" if rest else f"for {copies} molecules give one list for each: shape ({copies}, {model.n_atoms})",
        )
    outside = array[(array < 0) | (array >= n_particles)]
    if outside.size:
        raise InputError(f"atom {outside[0]} is out of range", expected=f"0 to {n_particles - 1} (0-based)")
    values, counts = np.unique(array, return_counts=True)
    if counts.max() > 1:
        raise InputError(f"atom {values[counts.argmax()]} is given twice", expected="every atom once at most")
    return array.reshape(-1, model.n_atoms).astype(np.int64)


def _paths(system: openmm.System, topology: app.Topology, copies: NDArray[np.int64]) -> BondPaths:
    """Paths along the topology's bonds, and along the System's bonds too if those do not connect the atoms."""
    n_particles = system.getNumParticles()
    bonds = {(first.index, second.index) for first, second in topology.bonds()}
    found = _bond_paths(n_particles, bonds, copies)
    if not isinstance(found, BondPaths):
        found = _bond_paths(n_particles, bonds.union(system_bonds(system)), copies)
    if isinstance(found, BondPaths):
        return found
    raise MismatchError(
        f"atoms {found[0]} and {found[1]} are not connected by bonds, and the System is periodic",
        expected="bonds along which the molecule can be made whole",
        hint="add them to the topology (topology.addBond); atoms of several molecules need a model each",
    )


def _bond_paths(
    n_particles: int, bonds: set[tuple[int, int]], copies: NDArray[np.int64]
) -> BondPaths | tuple[int, int]:
    """Shortest paths from the first atom of each copy to the others, or two atoms that no path connects."""
    first, second = np.array(list(bonds), dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(n_particles, n_particles)).tocsr()
    trees: list[tuple[list[tuple[int, int]], list[list[int]]]] = []
    for atoms in copies.tolist():
        _, previous = breadth_first_order(graph, atoms[0], directed=False, return_predecessors=True)
        edge_index: dict[int, int] = {}  # particle at the far end of a bond → index of that bond
        paths = []
        for atom in atoms:
            path, here = [], atom
            while here != atoms[0]:
                if previous[here] < 0:
                    return atoms[0], atom
                path.append(edge_index.setdefault(here, len(edge_index)))
                here = int(previous[here])
            paths.append(path)
        trees.append(([(int(previous[far]), far) for far in edge_index], paths))
    n_edges = max(1, *(len(edges) for edges, _ in trees))
    # The padding, a bond of the first atom to itself, never crosses a face of the box.
    all_edges = np.repeat(copies[:, :1, None], n_edges, axis=1).repeat(2, axis=2)
    on_path = np.zeros((*copies.shape, n_edges))
    for copy, (edges, paths) in enumerate(trees):
        if edges:
            all_edges[copy, : len(edges)] = edges
        for k, path in enumerate(paths):
            on_path[copy, k, path] = 1.0
    return BondPaths(edges=all_edges, on_path=on_path)
