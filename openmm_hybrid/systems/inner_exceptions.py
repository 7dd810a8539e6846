"""Pairs inside a molecule with parameters of their own, as exceptions of a System's NonbondedForce."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.core.units import KJ_PER_KCAL, NM_PER_ANGSTROM
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.tables import Outer
from openmm_hybrid.systems.nonbonded_changes import (
    Changes,
    ExceptionEntry,
    disagree,
    exceptions_of,
    first_difference,
    particles_of,
)

Row = tuple[float, float, float]
"""Charge product (e²), σ (nm) and ε (kJ/mol) of an exception."""


def plan_inner(
    changes: Changes, copies: NDArray[np.int64], forcefield: ForceField, outer: Outer, *, write: bool
) -> None:
    """Plan the exceptions of all inner pairs; the particles keep their parameters, which must be the outer ones.

    A pair that the NonbondedForce treats like any other gets an exception. It then has neither a cutoff nor a reaction
    field, as exceptions do in OpenMM. Its interaction with periodic images remains that of the particles.

    Parameters
    ----------
    changes : Changes
    copies : (n_copies, n_atoms)
        Particles of each copy of the molecule.
    forcefield : ForceField
    outer : Outer
        Its outer parameters.
    write : bool
        Whether the particles get the outer parameters, as for a molecule alone in vacuum, where these have no effect.

    Raises
    ------
    MismatchError
        A particle has other parameters than `outer`, or a pair is excluded on one side only.
    """
    force = changes.force
    if force is None:
        return
    wanted = np.column_stack([outer.charges, outer.sigmas * NM_PER_ANGSTROM, outer.epsilons * KJ_PER_KCAL])
    rows, exceptions = _rows(forcefield), exceptions_of(force)
    for atoms in copies.tolist():
        found = particles_of(force, atoms)
        difference = first_difference(wanted, found)
        if difference is not None and not write:
            raise _other_outside(atoms[difference[0]], difference[1])
        if write:
            for atom, row in zip(atoms, wanted.tolist(), strict=True):
                changes.add(force.setParticleParameters, atom, *row)
        for i, j in combinations(range(len(atoms)), 2):
            one, two = sorted((atoms[i], atoms[j]))
            exception, row = exceptions.get((one, two)), rows.get((i, j))
            _check_excluded(one, two, row, exception, found[[i, j]])
            if row is not None and exception is None:
                changes.add(force.addException, one, two, *row)
            elif row is not None and exception is not None:
                changes.add(force.setExceptionParameters, exception.index, one, two, *row)


def _rows(forcefield: ForceField) -> Mapping[tuple[int, int], Row]:
    """The exception of each pair. Pairs whose energy another force holds get one without an interaction."""
    rows: dict[tuple[int, int], Row] = {}
    for terms in forcefield.terms:
        if terms.slot != "pairs":
            continue
        entries: list[list[tuple[float, ...]]] = [[(0.0, 1.0, 0.0)]] * len(terms)
        if terms.form.plain_force == "NonbondedForce":
            entries = terms.form.plain_rows(torch.tensor(forcefield.tables.values(terms)))
        for (i, j), ((product, sigma, epsilon),) in zip(terms.atoms.tolist(), entries, strict=True):
            rows[min(i, j), max(i, j)] = product, sigma * NM_PER_ANGSTROM, epsilon * KJ_PER_KCAL
    return rows


def _check_excluded(
    one: int, two: int, row: Row | None, exception: ExceptionEntry | None, particles: NDArray[np.float64]
) -> None:
    """Refuse a pair that is excluded on one side only."""
    silent = exception is not None and not exception.product and not exception.epsilon
    if row is None and not silent:
        raise disagree(one, two, "excluded", "not excluded")
    (charge, _, well), (other_charge, _, other_well) = particles
    if row is not None and (row[0] or row[2]) and silent and (charge * other_charge or well * other_well):
        raise disagree(one, two, "an inner pair", "excluded")


def _other_outside(particle: int, difference: str) -> MismatchError:
    return MismatchError(
        f"atom {particle} {difference}",
        expected="the charges and Lennard-Jones parameters of the base force field, which act on other molecules",
        hint="build the System with the charges of the fit, oh.build(molecule, charges=forcefield.outer.charges), or "
        "fit again from this System's base force field and charges (RESP and AM1-BCC differ)",
    )
