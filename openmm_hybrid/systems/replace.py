"""Replacing the classical terms of a molecule in a System by a force field."""

from __future__ import annotations

from dataclasses import replace as with_changes
from typing import Any

import openmm
from numpy.typing import ArrayLike
from openmm import app

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.straight_angles import warn_of_straight_dihedrals
from openmm_hybrid.forms.form import PLAIN_FORCES
from openmm_hybrid.models.torchscript import torch_dtype
from openmm_hybrid.systems.bonded_terms import plan_bonded
from openmm_hybrid.systems.nonbonded_terms import plan_pairs
from openmm_hybrid.systems.placement import Placement, locate
from openmm_hybrid.systems.plan import choose_for_terms, plan
from openmm_hybrid.systems.rigid_bonds import plan_rigid


def replace(
    system: openmm.System,
    topology: app.Topology,
    forcefield: ForceField,
    *,
    atoms: ArrayLike | None = None,
    backend: str = "auto",
    force_group: int = 0,
    dtype: str = "float64",
    fitted_nonbonded_outside: bool = False,
    temperature: Any = 300.0,
) -> list[openmm.Force]:
    """Replace the classical terms of a molecule by a force field, such as a fitted one.

    `replace` removes the terms of HarmonicBondForce, HarmonicAngleForce, PeriodicTorsionForce and CustomBondForce
    (Morse) with all atoms in one copy of the molecule. The force field's harmonic, Morse and Fourier terms go into new
    forces of the same kinds; references to the old forces become invalid. Everything else in the System stays, such as
    corrections and restraints. All checks precede the first change.

    Inner pairs of the force field become exceptions of the NonbondedForce, which have no cutoff and no reaction field.
    The atoms keep their charges and Lennard-Jones parameters, which must be the `outer` ones of the force field: the
    molecule then interacts with its surroundings and its periodic images as before. A molecule alone in vacuum gets
    the outer parameters, which have no effect there.

    Without inner pairs, the charges, Lennard-Jones parameters and 1-4 exceptions of the force field go into the
    NonbondedForce. Atoms with excluded pairs only keep theirs, and so do all atoms where the force field has no
    non-bonded terms.

    Constraints inside the molecule may hold bonds, such as those to hydrogen (``constraints="HBonds"``). `replace` sets
    their lengths to the mean lengths of the force field's bonds at `temperature`, and leaves out the terms that they
    make constant. Move the positions onto the constraints afterwards, by a minimisation or
    ``Context.applyConstraints``.

    In a periodic System, bonded forces and exceptions use the nearest images, so that atoms of the molecule may be
    wrapped one by one.

    Parameters
    ----------
    system, topology : openmm.System, openmm.app.Topology
        System and topology of the same particles, in vacuum or in a periodic box.
    forcefield : ForceField
        Force field of one molecule.
    atoms : (n_atoms,) or (n_copies, n_atoms), optional
        Particles (0-based) in the force field's atom order, for each copy of the molecule; None means all
        particles of the System in their order.
    backend : str
        Backend of neural, spline and cross terms: "auto" for OpenMM's own forces ("native" and "spline") where
        possible, or "torchforce" or "pythonforce" for one torch module of the neural and spline terms.
    force_group : int
        Force group of new kinds of forces, 0 to 31. Forces that replace old ones keep their groups.
    dtype : {"float64", "float32"}
        Precision of torch.
    fitted_nonbonded_outside : bool
        Let charges and Lennard-Jones parameters that differ from the System's, as fitted ones do, act on other
        molecules and periodic images. A fit to forces inside one molecule does not determine these interactions.
    temperature : float, K, or Quantity
        Temperature of the mean lengths of constrained bonds. It has no effect without constraints inside the molecule.

    Returns
    -------
    list of openmm.Force
        The forces that hold the force field's terms, which the System now owns.

    Raises
    ------
    InputError
        Atoms are out of range or repeated, backend, dtype or force group are unknown, or the temperature is not
        positive.
    MismatchError
        The molecule is bonded to other atoms, a force on it cannot be replaced (the message names it), a constraint
        holds atoms of the molecule that are not bonded, its copies have different constraints, exclusions or 1-4 scales
        differ from the force field's, the box has other charges or Lennard-Jones parameters than the outer ones, or
        other ones than the force field in a System with other molecules or a periodic box, or System, topology and
        force field do not match.
    NumericalError
        A neural or spline term has no table within the limits, or the lengths of constrained bonds cannot be found.
    MissingDependencyError
        The backend does not work here.

    Warns
    -----
    UserWarning
        A dihedral term of the force field goes through a straight angle.
    """
    torch_dtype(dtype)
    if not isinstance(forcefield, ForceField):
        raise InputError(
            f"a {type(forcefield).__name__} was given as force field",
            expected="a ForceField",
            hint="add other models with oh.attach",
        )
    placement = locate(system, topology, forcefield, atoms=atoms, force_group=force_group)
    rigid = plan_rigid(system, placement, forcefield, temperature)
    flexible = rigid.flexible_part(forcefield)
    bonded = plan_bonded(system, placement, flexible)
    pairs = plan_pairs(system, placement, forcefield, fitted_outside=fitted_nonbonded_outside)
    others = _other_forces(system, flexible, placement, backend, dtype)
    warn_of_straight_dihedrals(forcefield.tables)
    rigid.apply(system)
    made = bonded.apply(system)
    made += pairs.apply()
    for force in others:
        system.addForce(force)
    return [*made, *others]


def _other_forces(
    system: openmm.System, forcefield: ForceField, placement: Placement, backend: str, dtype: str
) -> list[openmm.Force]:
    """Forces of all terms except classical ones and those in the NonbondedForce."""
    groups = [terms.group for terms in forcefield.terms if terms.form.plain_force not in PLAIN_FORCES]
    backends = choose_for_terms(backend)
    if not groups:
        return []
    return [
        force
        for carrier, part in plan(forcefield.only(*groups), backends, system)
        for force in carrier.forces(with_changes(placement, model=part), dtype=dtype)
    ]
