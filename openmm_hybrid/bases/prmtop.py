"""Reading of systems from AMBER prmtop files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openmm
from openmm import app, unit

from openmm_hybrid.bases.system import CONSTRAINTS, BuiltSystem, check_masses, constraint_name, hydrogen_daltons
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import expanded
from openmm_hybrid.core.units import NM_PER_ANGSTROM, positions_to_angstrom, strip


def from_prmtop(
    prmtop: str | Path,
    coordinates: Any,
    *,
    constraints: str | None = None,
    hydrogen_mass: Any = None,
    cutoff: Any = 9.0,
) -> BuiltSystem:
    """The system of an AMBER prmtop file: without a cutoff in vacuum, with PME and rigid water in a periodic box.

    The result has no molecules and no templates. It can be simulated and used as a model, but it cannot be solvated or
    written as residue templates.

    Parameters
    ----------
    prmtop : path
    coordinates : path of an inpcrd or rst7 file, array (n_atoms, 3) in Å, or Quantity
    constraints : {None, "HBonds", "AllBonds"}
    hydrogen_mass : float, Da, or Quantity, optional
        Mass of hydrogen atoms outside rigid water, as in `openmm_hybrid.build`.
    cutoff : float, Å, or Quantity
        Nonbonded cutoff in a periodic box.

    Returns
    -------
    BuiltSystem
        Its `positions` are an OpenMM Quantity.

    Raises
    ------
    InputError
        A file is missing or cannot be read, or a mass of hydrogen leaves another atom lighter than 1 Da.
    MismatchError
        The number of coordinates is not the number of atoms.
    """
    constraints, daltons = constraint_name(constraints), hydrogen_daltons(hydrogen_mass)
    path = _existing(prmtop)
    positions, box = _coordinates(coordinates)
    try:
        amber = app.AmberPrmtopFile(str(path), periodicBoxVectors=box)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise InputError(
            f"{path} cannot be read as a prmtop file ({error})", hint="write it again with tleap"
        ) from None
    topology = amber.topology
    if positions.shape != (topology.getNumAtoms(), 3):
        raise MismatchError(
            f"coordinates have shape {positions.shape}", expected=f"({topology.getNumAtoms()}, 3) for {path.name}"
        )
    periodic = topology.getPeriodicBoxVectors() is not None
    system = amber.createSystem(
        nonbondedMethod=app.PME if periodic else app.NoCutoff,
        nonbondedCutoff=float(strip(cutoff, "length")) * NM_PER_ANGSTROM * unit.nanometer,
        constraints=CONSTRAINTS[constraints],
        rigidWater=periodic,
        hydrogenMass=None if daltons is None else daltons * unit.dalton,
    )
    check_masses(system, topology)
    nonbonded = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    charges = [nonbonded.getParticleParameters(i)[0] for i in range(system.getNumParticles())]
    return BuiltSystem(
        system=system,
        topology=topology,
        positions=positions * NM_PER_ANGSTROM * unit.nanometer,
        molecules=(),
        charges=np.array([charge.value_in_unit(unit.elementary_charge) for charge in charges]),
        atom_types=_atom_types(path),
        constraints=constraints,
        hydrogen_mass=daltons,
    )


def _existing(path: str | Path) -> Path:
    if not expanded(path).is_file():
        raise InputError(f"{path} does not exist")
    return expanded(path)


def _coordinates(source: Any) -> tuple[np.ndarray, Any]:
    """Positions in Å, and the box vectors if the file has them."""
    if not isinstance(source, str | Path):
        return positions_to_angstrom(source), None
    path = _existing(source)
    try:
        inpcrd = app.AmberInpcrdFile(str(path))
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as AMBER coordinates ({error})") from None
    return positions_to_angstrom(inpcrd.positions), inpcrd.boxVectors


def _atom_types(path: Path) -> tuple[str, ...]:
    """Atom types from the section AMBER_ATOM_TYPE, which has columns of four letters."""
    section = path.read_text(encoding="utf-8").partition("%FLAG AMBER_ATOM_TYPE")[2].partition("%FLAG")[0]
    lines = section.splitlines()[2:]  # the rest of the flag's line and its format
    return tuple(line[i : i + 4].strip() for line in lines for i in range(0, len(line), 4))
