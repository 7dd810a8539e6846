"""Put a force field in the place of the classical terms of a molecule in any System."""

from __future__ import annotations

from dataclasses import replace as with_changes

import openmm
from numpy.typing import ArrayLike
from openmm import app

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.models.torchscript import torch_dtype
from openmm_hybrid.systems.attach import warn_of_constraints
from openmm_hybrid.systems.bonded_terms import plan_bonded
from openmm_hybrid.systems.force_kinds import is_bonded
from openmm_hybrid.systems.nonbonded_terms import plan_pairs
from openmm_hybrid.systems.placement import Placement, locate
from openmm_hybrid.systems.plan import choose_for_terms, plan


def replace(
    system: openmm.System,
    topology: app.Topology,
    forcefield: ForceField,
    *,
    atoms: ArrayLike | None = None,
    backend: str = "auto",
    force_group: int = 0,
    dtype: str = "float64",
) -> list[openmm.Force]:
    """Put a force field, such as a refitted one, in the place of the classical terms of its molecule.

    Taken out are the terms of HarmonicBondForce, HarmonicAngleForce, PeriodicTorsionForce and CustomBondForce (Morse)
    whose atoms all lie in one copy of the molecule; the force field's harmonic, Morse and Fourier terms go into the
    same forces, which are made anew (hold no references to the old ones). Charges, Lennard-Jones parameters and 1-4
    exceptions are written into the NonbondedForce; atoms all of whose pairs are excluded keep theirs, and so does every
    atom where the force field has no non-bonded terms. All else in the System stays, such as corrections and
    restraints. Everything is checked before anything is changed.

    In a periodic System the bonded forces and the exceptions use the nearest images, so that the molecule may be
    wrapped atom by atom.

    Parameters
    ----------
    system, topology : openmm.System, openmm.app.Topology
        Of the same particles, in vacuum or in a periodic box.
    forcefield : ForceField
        Of one molecule.
    atoms : (n_atoms,) or (n_copies, n_atoms), optional
        Particles (0-based) in the force field's atom order, for each copy of the molecule; None stands for all
        particles of the System in their order.
    backend : str
        What carries neural, spline and cross terms: "auto" for OpenMM's own forces ("native" and "spline") where they
        can, or "torchforce" or "pythonforce" for one torch module of the neural and spline terms.
    force_group : int
        Of the forces that are added, 0 to 31. Forces that were there keep theirs.
    dtype : {"float64", "float32"}
        In which torch computes.

    Returns
    -------
    list of openmm.Force
        The forces that hold the force field's terms, which the System now owns.

    Raises
    ------
    InputError
        Atoms out of range or given twice, unknown backend or dtype, a bad force group.
    MismatchError
        The molecule is bonded to other atoms, a force on it cannot be replaced (it is named), exclusions or 1-4 scales
        are not those of the force field, or System, topology and force field do not belong together.
    NumericalError
        A neural or spline term cannot be tabulated within the limits.
    MissingDependencyError
        The backend does not work here.

    Warns
    -----
    UserWarning
        Constraints lie inside the molecule: its fitted bonds are rigid there.
    """
    torch_dtype(dtype)
    if not isinstance(forcefield, ForceField):
        raise InputError(
            f"a {type(forcefield).__name__} was given as force field",
            expected="a ForceField",
            hint="add other models with oh.attach",
        )
    placement = locate(system, topology, forcefield, atoms=atoms, force_group=force_group)
    bonded = plan_bonded(system, placement, forcefield)
    pairs = plan_pairs(system, placement, forcefield)
    others = _other_forces(forcefield, placement, backend, dtype)
    warn_of_constraints(system, placement)
    made = bonded.apply(system)
    made += pairs.apply()
    for force in others:
        system.addForce(force)
    return [*made, *others]


def _other_forces(forcefield: ForceField, placement: Placement, backend: str, dtype: str) -> list[openmm.Force]:
    """Forces of what is neither a classical term nor a non-bonded pair."""
    groups = [
        terms.group for terms in forcefield.terms if not is_bonded(terms.form) and "pairs" not in terms.form.slots
    ]
    backends = choose_for_terms(backend)
    if not groups:
        return []
    return [
        force
        for carrier, part in plan(forcefield.only(*groups), backends)
        for force in carrier.forces(with_changes(placement, model=part), dtype=dtype)
    ]
