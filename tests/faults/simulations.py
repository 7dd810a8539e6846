"""Minimisations and runs that cannot continue, and arguments in the wrong unit, as functions that try them.

See `tests.faults.outcomes` for names and outcomes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from openmm import unit

import openmm_hybrid as oh
from openmm_hybrid import Molecule
from tests.faults.outcomes import attempt
from tests.faults.systems import built
from tests.helpers.gaff_molecules import gasteiger
from tests.helpers.oscillators import topology_of

AM1_BCC = {
    "CP(=O)(O)O": (-0.4374, 1.5662, -0.8674, -0.7875, -0.7875, 0.1193, 0.1193, 0.1193, 0.4779, 0.4779),
    "CS(=O)(=O)O": (-0.4053, 1.6225, -0.6683, -0.6683, -0.7667, 0.1344, 0.1344, 0.1344, 0.4830),
    "COP(=O)(O)OC": (0.1536, -0.5883, 1.6244, -0.7994, -0.7355, -0.5883, 0.1536, *[0.0491] * 3, 0.4859, *[0.0491] * 3),
}
"""AM1-BCC charges (n_atoms,) in e, as `charges="am1-bcc"` gives them."""

SETTINGS: dict[str, Any] = {
    "n_steps": 100, "interval": 20, "equilibration": 0, "progress": False, "platform": "Reference",
}  # fmt: skip


def acid(smiles: str, base: str = "gaff-1.81") -> Any:
    """An acid whose hydrogens have no Lennard-Jones term in GAFF 1.81."""
    charges = np.array(AM1_BCC[smiles])  # rounded, so that their sum is not exactly 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `build` warns of this hydrogen; these cases are about what comes after
        return oh.build(Molecule.from_smiles(smiles), base=base, charges=charges - charges.mean())


def solvated(*smiles: str, water: str = "tip3p", salt: float = 0.0) -> str:
    """Each molecule keeps its charges, and the solvent's hydrogens have the charge of the water model."""
    hydrogen = {"tip3p": 0.417, "opc": 0.679142, "spce": 0.4238}[water]

    def call(_: Path) -> tuple[Any, Any]:
        molecules = [Molecule.from_smiles(text) for text in smiles]
        system = oh.build(molecules, charges=[gasteiger(molecule) for molecule in molecules])
        return system, system.solvate(padding=8.0, cutoff=7.0, water=water, ionic_strength=salt)

    def right(pair: tuple[Any, Any]) -> bool:
        before, after = pair
        force = next(force for force in after.system.getForces() if isinstance(force, openmm.NonbondedForce))
        charges = np.array([force.getParticleParameters(i)[0]._value for i in range(force.getNumParticles())])
        solvent = [residue for residue in after.topology.residues() if residue.name == "HOH"]
        hydrogens = [atom.index for residue in solvent for atom in residue.atoms() if atom.name in ("H1", "H2")]
        kept = np.allclose(charges[: len(before.charges)], before.charges, atol=1e-9)
        return bool(kept and hydrogens and np.allclose(charges[hydrogens], hydrogen, atol=1e-6))

    return attempt(call, right)


def chain(torsion: str) -> tuple[openmm.System, Any, np.ndarray]:
    """Four carbons, the first three in a line, with a dihedral term."""
    system, bonds = openmm.System(), openmm.HarmonicBondForce()
    for i in range(4):
        system.addParticle(12.0)
        if i:
            bonds.addBond(i - 1, i, 0.15, 1e5)
    force: openmm.Force
    if torsion == "periodic":
        force = openmm.PeriodicTorsionForce()
        force.addTorsion(0, 1, 2, 3, 2, 3.14, 10.0)
    elif torsion == "custom":
        force = openmm.CustomTorsionForce("cos(theta)")
        force.addTorsion(0, 1, 2, 3, [])
    else:
        force = openmm.CustomCompoundBondForce(4, "cos(q)*r; q=dihedral(p1,p2,p3,p4); r=distance(p1,p2)")
        force.addBond([0, 1, 2, 3], [])
    system.addForce(bonds)
    system.addForce(force)
    positions = np.array([[0.0, 0.0, 0.0], [1.5, 0.0, 0.0], [3.0, 0.0, 0.0], [3.7, 1.0, 0.0]])
    return system, topology_of(["C"] * 4), positions


def straight(torsion: str, run: bool = False) -> str:
    system, topology, positions = chain(torsion)

    def call(folder: Path) -> Any:
        if run:
            return oh.sample(system, topology, positions, output=folder / "run", **SETTINGS)
        return oh.minimize(system, positions)

    return attempt(call, says=r"0.*1.*2.* is a straight angle with a dihedral through it")


def same_place() -> str:
    system, force = openmm.System(), openmm.NonbondedForce()
    for _ in range(3):
        system.addParticle(12.0)
        force.addParticle(0.1, 0.3, 0.5)
    system.addForce(force)
    positions = [[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [4.0, 0.0, 0.0]]
    return attempt(
        lambda folder: oh.minimize(system, positions), says=r"atoms 1 \(C\) and 2 \(C\) are at the same place"
    )


def field(energy: str, says: str, atoms: int = 2) -> str:
    """A minimisation of atoms in an external field."""
    system, force = openmm.System(), openmm.CustomExternalForce(energy)
    for i in range(atoms):
        system.addParticle(12.0)
        force.addParticle(i)
    system.addForce(force)
    positions = np.array([[1.0 + 4.0 * i, 0.5, 0.5] for i in range(atoms)])
    return attempt(lambda folder: oh.minimize(system, positions), says=says)


def fuses(smiles: str, how: str, base: str = "gaff-1.81") -> str:
    """A hydrogen without a Lennard-Jones term; with GAFF 2.2.20 nothing happens."""

    def call(folder: Path) -> Any:
        system = acid(smiles, base)
        if how == "minimize":
            return oh.minimize(system.system, system.positions)[1]
        settings = {**SETTINGS, "n_steps": 20000, "minimize": False, "replicas": 3 if how == "replicas" else 1}
        oh.sample(system.system, system.topology, system.positions, output=folder / "run", **settings)
        return 0.0

    return attempt(call, lambda energy: abs(energy) < 1000.0, says="H.* has a charge but no Lennard-Jones")


def breaks(pull: float) -> str:
    """A force that tears the two carbons of ethanol apart."""

    def call(folder: Path) -> Any:
        system = built("CCO")
        force = openmm.CustomBondForce(f"-{pull}*(r-0.1)^2")
        force.addBond(0, 1, [])
        system.system.addForce(force)
        return oh.sample(
            system.system, system.topology, system.positions, output=folder / "run", minimize=False, **SETTINGS
        )

    return attempt(call, says=r"bond of C1 \(atom 0\) and C2 \(atom 1\) broke: it was 1\.5. Å long")


def across_the_box() -> str:
    """Two argon atoms that overlap through a face of the box."""
    system, topology, positions = argon(2, 15.0, 10.0)
    positions[0], positions[1] = [0.1, 5.0, 5.0], [29.9, 5.0, 5.0]
    return attempt(
        lambda folder: oh.sample(system, topology, positions, output=folder / "run", **SETTINGS),
        says="Ar0.*Ar1.* have fused: they are 0.2 Å apart",
    )


def argon(edge: int, spacing: float, cutoff: float, pressure: float = 0.0) -> tuple[openmm.System, Any, np.ndarray]:
    """Argon atoms on a grid in a periodic box, with a barostat if there is a pressure (bar); lengths in Å."""
    system, force = openmm.System(), openmm.NonbondedForce()
    for _ in range(edge**3):
        system.addParticle(39.95)
        force.addParticle(0.0, 0.34, 1.0)
    force.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(0.1 * cutoff)
    system.addForce(force)
    system.setDefaultPeriodicBoxVectors(*(0.1 * edge * spacing * np.eye(3)))
    if pressure:
        barostat = openmm.MonteCarloBarostat(pressure, 300.0, 1)
        barostat.setRandomNumberSeed(1)
        system.addForce(barostat)
    grid = np.stack(np.meshgrid(*3 * [np.arange(edge)], indexing="ij"), axis=-1).reshape(-1, 3)
    return system, topology_of(["Ar"] * edge**3), spacing * (grid + 0.5)


def boxed(spacing: float, cutoff: float, pressure: float, says: str, *, minimize: bool = False) -> str:
    def call(folder: Path) -> Any:
        system, topology, positions = argon(5, spacing, cutoff, pressure)
        if minimize:
            return oh.minimize(system, positions)
        settings = {**SETTINGS, "n_steps": 2000, "temperature": 300.0, "timestep": 2.0, "minimize": False}
        return oh.sample(system, topology, positions, output=folder / "run", **settings)

    return attempt(call, lambda value: spacing * 5 > 2.1 * cutoff, says=says)


def argument(says: str = "(?!)", **change: Any) -> str:
    def call(folder: Path) -> Any:
        system = built("CO")
        settings = {**SETTINGS, "n_steps": 20, **change}
        return oh.sample(system.system, system.topology, system.positions, output=folder / "run", **settings)

    return attempt(call, lambda run: any(map(_quantity, change.values())), says=says)


def _quantity(value: Any) -> bool:
    return isinstance(value, unit.Quantity)


CASES: dict[str, Callable[[], str]] = {
    "9 methylphosphonic acid, minimised": partial(fuses, "CP(=O)(O)O", "minimize"),
    "9 methylphosphonic acid, sampled": partial(fuses, "CP(=O)(O)O", "sample"),
    "9 dimethyl phosphate, replicas": partial(fuses, "COP(=O)(O)OC", "replicas"),
    "9 methanesulfonic acid, minimised": partial(fuses, "CS(=O)(=O)O", "minimize"),
    "9 methanesulfonic acid, replicas": partial(fuses, "CS(=O)(=O)O", "replicas"),
    "9 methylphosphonic acid, minimised with GAFF 2.2.20": partial(fuses, "CP(=O)(O)O", "minimize", "gaff-2.2.20"),
    "9 a force breaks a bond": partial(breaks, 5e5),
    "9 overlap across a face of the box": across_the_box,
    "17 water in water": partial(solvated, "O"),
    "17 ethanol and water in water": partial(solvated, "CCO", "O"),
    "17 water and formate in OPC with salt": partial(solvated, "O", "C(=O)[O-]", water="opc", salt=0.3),
    "17 two waters in SPC/E": partial(solvated, "O", "O", water="spce"),
    "17 hydrogen peroxide in water": partial(solvated, "OO"),
    "17 methanol in OPC": partial(solvated, "CO", water="opc"),
    "18 torsion through a straight angle": partial(straight, "periodic"),
    "18 custom torsion through a straight angle": partial(straight, "custom"),
    "18 compound term through a straight angle": partial(straight, "compound"),
    "18 sampling through a straight angle": partial(straight, "periodic", run=True),
    "18 atoms at the same place": same_place,
    "18 forces not finite at the start": partial(field, "sqrt(x-0.3)", "the forces on 0 .C. are not finite"),
    "18 forces not finite on the way": partial(field, "100*sqrt(x)", "the minimisation met forces that are not finite"),
    "18 energy without a lower bound": partial(field, "1000*x", "falls without end"),
    "23 box below twice the cutoff": partial(boxed, 4.0, 10.5, 1.0, "20 Å wide .* cutoff is 10.5 Å.* 21 Å"),
    "23 the same box, minimised": partial(boxed, 4.0, 10.5, 0.0, "20 Å wide .* 21 Å", minimize=True),
    "23 box just above twice the cutoff": partial(boxed, 4.0, 9.9, 5e3, "20 Å.*9.9 Å"),
    "23 barostat at high pressure": partial(boxed, 4.0, 9.4, 2e4, "began with a width of 20 Å.* cutoff is 9.4 Å"),
    "23 box with a gas": partial(boxed, 8.0, 18.5, 2e4, "holds only 0.13 g/mL"),
    "23 box large enough": partial(boxed, 4.0, 8.0, 100.0, "(?!)"),
    "25 timestep in ps": partial(argument, "0.002 ps is 2 fs", timestep=0.002),
    "25 half a femtosecond in ps": partial(argument, "0.0005 ps is 0.5 fs", timestep=0.0005),
    "25 timestep in as": partial(argument, "500 fs", timestep=500.0),
    "25 4 fs without constraints": partial(argument, r"4 fs is too long for the bond of O1 .* and H4 ", timestep=4.0),
    "25 3 fs without constraints": partial(argument, timestep=3.0),
    "25 a short timestep with its unit": partial(argument, timestep=0.00002 * unit.picosecond),
    "25 temperature in degrees Celsius": partial(argument, temperature=25.0),
    "25 temperature as kT in kJ/mol": partial(argument, temperature=2.494),
    "25 friction in 1/fs": partial(argument, friction=0.001),
    "25 friction in 1/s": partial(argument, friction=1e12),
}
"""Name → function that tries it."""
