"""Systems for tests of attach and replace: ethanol molecules in vacuum or in a box of water, wrapped atom by atom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit
from scipy.spatial.transform import Rotation

RECTANGULAR = np.diag([20.0, 21.0, 22.0])
TRICLINIC = np.array([[21.0, 0.0, 0.0], [7.0, 20.0, 0.0], [-8.0, 9.5, 19.5]])
"""Box vectors as rows, Å, in the reduced form that OpenMM requires."""

NUMBERS = (6, 6, 8, 1, 1, 1, 1, 1, 1)
BONDS = ((0, 1), (1, 2), (0, 3), (0, 4), (0, 5), (1, 6), (1, 7), (2, 8))
ETHANOL = np.array(
    [
        [-0.89, -0.14, 0.02],
        [0.46, 0.55, -0.05],
        [1.44, -0.33, 0.48],
        [-0.88, -1.04, -0.61],
        [-1.68, 0.54, -0.32],
        [-1.12, -0.47, 1.04],
        [0.70, 0.83, -1.08],
        [0.43, 1.47, 0.54],
        [2.30, 0.10, 0.43],
    ]
)
"""A rough geometry of ethanol, CH3-CH2-OH, Å."""


@dataclass(frozen=True, eq=False)
class Case:
    """A System that contains ethanols, with its positions.

    `atoms` (n_copies, 9) are the particles of each ethanol in the order of NUMBERS. The positions `whole`
    (n_particles, 3), Å, have whole molecules; in `wrapped` each atom is wrapped into the box by itself.
    """

    system: openmm.System
    topology: app.Topology
    atoms: NDArray[np.int64]
    whole: NDArray[np.float64]
    wrapped: NDArray[np.float64]

    def labels(self, model: object) -> tuple[float, NDArray[np.float64]]:
        """The model's energy (kcal/mol) and forces (n_particles, 3) (kcal/mol/Å) for the whole molecules."""
        energies, chosen = model.predict(self.whole[self.atoms])  # type: ignore[attr-defined]
        forces = np.zeros_like(self.whole)
        forces[self.atoms] = chosen
        return float(energies.sum()), forces


def make(*, box: NDArray[np.float64] | None = None, n_copies: int = 1, n_waters: int = 0, seed: int = 0) -> Case:
    """Ethanols with permuted atoms between waters. In a box the first ethanol lies across a corner, the others across
    faces."""
    rng = np.random.default_rng(seed)
    topology, system = app.Topology(), openmm.System()
    chain = topology.addChain()
    positions: list[NDArray[np.float64]] = []
    atoms = np.zeros((n_copies, 9), dtype=np.int64)
    waters = _grid(box, n_waters)
    for copy in range(n_copies):
        for water in waters[copy::n_copies][: n_waters // (2 * n_copies)]:
            _add_water(topology, system, chain, water, positions)
        order = rng.permutation(9)
        residue = topology.addResidue("ETH", chain)
        shift = 0.0 if box is None else (np.array([0.0, 0.0, 0.0]) if copy == 0 else np.array([0.5, 0.0, 0.3])) @ box
        rotated = Rotation.random(rng=rng).apply(ETHANOL) + rng.normal(scale=0.05, size=(9, 3)) + shift
        members = {}
        for k in order:
            atoms[copy, k] = system.addParticle(12.0)
            members[k] = topology.addAtom(f"A{k}", app.Element.getByAtomicNumber(NUMBERS[k]), residue)
            positions.append(rotated[k])
        for i, j in BONDS:
            topology.addBond(members[i], members[j])
        for water in waters[copy::n_copies][n_waters // (2 * n_copies) :]:
            _add_water(topology, system, chain, water, positions)
    whole = np.array(positions)
    wrapped = whole
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*(box / 10))
        wrapped = (whole @ np.linalg.inv(box)) % 1.0 @ box
    system.addForce(_solvent_force(topology, periodic=box is not None))
    return Case(system=system, topology=topology, atoms=atoms, whole=whole, wrapped=wrapped)


def evaluate(
    system: openmm.System,
    positions: NDArray[np.float64],
    platform: str,
    *,
    group: int,
    scale: tuple[str, float] = ("", 1.0),
) -> tuple[float, NDArray[np.float64]]:
    """Energy (kcal/mol) and forces (kcal/mol/Å) of one force group."""
    state = _context(system, positions, platform, scale).getState(energy=True, forces=True, groups={group})
    energy = state.getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole)
    return energy, state.getForces(asNumpy=True).value_in_unit(unit.kilocalorie_per_mole / unit.angstrom)


def derivative(system: openmm.System, positions: NDArray[np.float64], platform: str, scale: tuple[str, float]) -> float:
    """dE/dλ, kcal/mol."""
    state = _context(system, positions, platform, scale).getState(parameterDerivatives=True)
    return state.getEnergyParameterDerivatives()[scale[0]] / 4.184


def _context(
    system: openmm.System, positions: NDArray[np.float64], platform: str, scale: tuple[str, float]
) -> openmm.Context:
    chosen = openmm.Platform.getPlatformByName(platform)
    context = openmm.Context(system, openmm.VerletIntegrator(0.0005), chosen)
    context.setPositions(positions / 10)
    if scale[0]:
        context.setParameter(*scale)
    return context


def _grid(box: NDArray[np.float64] | None, n_waters: int) -> NDArray[np.float64]:
    """Oxygen positions on a lattice inside the box, away from the ethanols."""
    if box is None or not n_waters:
        return np.zeros((0, 3))
    fractions = np.stack(np.meshgrid(*[(np.arange(6) + 0.5) / 6] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    middle = np.argsort(np.abs(fractions - [0.5, 0.5, 0.65]).max(axis=1), kind="stable")
    return fractions[middle[:n_waters]] @ box


def _add_water(
    topology: app.Topology,
    system: openmm.System,
    chain: app.topology.Chain,
    oxygen: NDArray[np.float64],
    positions: list[NDArray[np.float64]],
) -> None:
    residue = topology.addResidue("HOH", chain)
    members = [topology.addAtom(name, app.Element.getBySymbol(name[0]), residue) for name in ("O", "H1", "H2")]
    indices = [system.addParticle(atom.element.mass) for atom in members]
    for k, length in ((1, 0.09572), (2, 0.09572)):
        topology.addBond(members[0], members[k])
        system.addConstraint(indices[0], indices[k], length)
    system.addConstraint(indices[1], indices[2], 0.15139)
    positions.extend(oxygen + offset for offset in ([0, 0, 0], [0.757, 0.586, 0], [-0.757, 0.586, 0]))


def _solvent_force(topology: app.Topology, *, periodic: bool) -> openmm.NonbondedForce:
    """TIP3P charges and Lennard-Jones parameters on the waters, zeros on the ethanols."""
    force = openmm.NonbondedForce()
    if periodic:
        force.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
        force.setCutoffDistance(0.8)
    charges = {"O": -0.834, "H1": 0.417, "H2": 0.417}
    for atom in topology.atoms():
        water = atom.residue.name == "HOH"
        force.addParticle(charges[atom.name] if water else 0.0, 0.315, 0.636 if atom.name == "O" else 0.0)
    force.createExceptionsFromBonds([(a.index, b.index) for a, b in topology.bonds()], 1.0, 1.0)
    return force
