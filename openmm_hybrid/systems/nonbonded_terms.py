"""Replacing charges and Lennard-Jones parameters in a System's NonbondedForce on copies of one molecule."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import openmm
import torch
from numpy.typing import NDArray

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.core.units import KJ_PER_KCAL, NM_PER_ANGSTROM
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.systems.bonded_terms import copies_of, inside, irreplaceable
from openmm_hybrid.systems.inner_exceptions import plan_inner
from openmm_hybrid.systems.nonbonded_changes import (
    Changes,
    ExceptionEntry,
    disagree,
    exceptions_of,
    first_difference,
    particles_of,
)
from openmm_hybrid.systems.placement import Placement

#: Forces with parameters for every particle, which would keep their old values.
_OTHERS = (
    openmm.AmoebaMultipoleForce,
    openmm.AmoebaVdwForce,
    openmm.CustomGBForce,
    openmm.CustomNonbondedForce,
    openmm.DrudeForce,
    openmm.GBSAOBCForce,
)
#: Those whose exclusions must be the exceptions of the NonbondedForce, so that new exceptions are impossible.
_SAME_EXCLUSIONS = (openmm.CustomGBForce, openmm.CustomNonbondedForce)
SCALE_TOLERANCE = 1e-4
"""Tolerance of 1-4 scales, which files hold with five digits."""


@dataclass(frozen=True, eq=False)
class Nonbonded:
    """Non-bonded parameters of one molecule in OpenMM's units; NaN where the force field has none.

    `scales` holds the scales of Coulomb and Lennard-Jones; pairs that are not in it are excluded.
    """

    charge: NDArray[np.float64]
    sigma: NDArray[np.float64]
    epsilon: NDArray[np.float64]
    scales: dict[tuple[int, int], tuple[float, float]]


def plan_pairs(
    system: openmm.System, placement: Placement, forcefield: ForceField, *, fitted_outside: bool = False
) -> Changes:
    """Check the non-bonded parameters and plan the changes, without making them.

    `fitted_outside` lets parameters that differ from the System's act on other molecules and periodic images.

    Raises
    ------
    MismatchError
        There is no NonbondedForce, or several; exclusions, scales or outer parameters differ from the force field's;
        fitted parameters would act on other molecules; the molecule has exceptions with other atoms, or parameters
        with offsets.
    """
    found = [force for force in system.getForces() if isinstance(force, openmm.NonbondedForce)]
    copy_of = copies_of(placement)
    for force in found:
        _check_exceptions(force, copy_of)
    outer, molecule = forcefield.outer, read_nonbonded(forcefield)
    if outer is None and molecule is None:
        return Changes()
    if outer is not None and molecule is not None:
        raise MismatchError(
            "the force field has outer parameters and pairs with the parameters of their atoms",
            expected="inner pairs with outer parameters, or pairs with the parameters of their atoms without",
            hint="add pairs with ForceField.edit(pairs=…)",
        )
    for other in system.getForces():
        if outer is None and isinstance(other, _OTHERS):
            raise irreplaceable(other, "its parameters for the molecule would keep their old values")
        if outer is not None and isinstance(other, _SAME_EXCLUSIONS):
            raise irreplaceable(other, "it must exclude the pairs that become exceptions of the NonbondedForce")
    if len(found) != 1:
        raise MismatchError(
            f"the System has {len(found)} forces of the kind NonbondedForce",
            expected="one, for the force field's charges and Lennard-Jones parameters",
            hint="omit these terms with forcefield.only('bonds', 'angles', …)",
        )
    force = found[0]
    _check_offsets(force, copy_of)
    changes = Changes(force)
    alone = not placement.periodic and placement.n_particles == forcefield.n_atoms
    if outer is not None:
        implicit = any(isinstance(other, _OTHERS) for other in system.getForces())
        plan_inner(changes, placement.atoms, forcefield, outer, write=alone and not implicit)
    elif molecule is not None:
        exceptions = exceptions_of(force)
        for atoms in placement.atoms:
            if not alone and not fitted_outside:
                _check_unfitted(force, molecule, atoms)
            _plan_copy(changes, force, molecule, atoms, exceptions)
    if placement.periodic:
        changes.calls.append(lambda: force.setExceptionsUsePeriodicBoundaryConditions(True))
    return changes


def read_nonbonded(forcefield: ForceField) -> Nonbonded | None:
    """Non-bonded parameters of the atoms; None if no term of the force field has any."""
    found = {name: np.full(forcefield.n_atoms, np.nan) for name in ("charge", "sigma", "epsilon")}
    scales: dict[str, dict[tuple[int, int], float]] = {}
    for terms in forcefield.terms:
        values = forcefield.parameters.values[terms.assignment]
        for name, parameter in terms.form.particle_parameters(torch.tensor(values)).items():
            found[name][terms.atoms] = parameter.numpy()
            pairs = [(min(pair), max(pair)) for pair in terms.atoms.tolist()]
            scales[name] = dict(zip(pairs, values[:, -1].tolist(), strict=True))
    if not scales:
        return None
    coulomb, wells = scales.get("charge", {}), scales.get("epsilon", {})
    both = {pair: (coulomb.get(pair, 0.0), wells.get(pair, 0.0)) for pair in {**coulomb, **wells}}
    return Nonbonded(found["charge"], found["sigma"] * NM_PER_ANGSTROM, found["epsilon"] * KJ_PER_KCAL, both)


def _plan_copy(
    changes: Changes,
    force: openmm.NonbondedForce,
    molecule: Nonbonded,
    atoms: NDArray[np.int64],
    exceptions: dict[tuple[int, int], ExceptionEntry],
) -> None:
    """Prepare the changes of one copy's particles and exceptions."""
    old = particles_of(force, atoms.tolist())
    charge, sigma, epsilon = (
        np.where(np.isnan(new), before, new)
        for new, before in zip((molecule.charge, molecule.sigma, molecule.epsilon), old.T, strict=True)
    )
    for k, atom in enumerate(atoms.tolist()):
        changes.add(force.setParticleParameters, atom, charge[k], sigma[k], epsilon[k])
    knows_charge, knows_well = not np.isnan(molecule.charge).all(), not np.isnan(molecule.epsilon).all()
    for i, j in combinations(range(len(atoms)), 2):
        one, two = sorted((int(atoms[i]), int(atoms[j])))
        scales, exception = molecule.scales.get((i, j)), exceptions.get((one, two))
        if exception is None:
            if scales is None or _differ(
                scales, (1.0 if knows_charge else scales[0], 1.0 if knows_well else scales[1])
            ):
                raise _disagree(one, two, scales, None)
            continue
        product, well = exception.product, exception.epsilon
        if scales is None:
            if product or well:
                raise _disagree(one, two, None, (product, well))
            continue
        before = old[i, 0] * old[j, 0], np.sqrt(old[i, 2] * old[j, 2])
        found = tuple(
            now / was if was else scale for now, was, scale in zip((product, well), before, scales, strict=True)
        )
        known = found[0] if not knows_charge else scales[0], found[1] if not knows_well else scales[1]
        if _differ(known, found):
            raise _disagree(one, two, scales, found)
        changes.add(
            force.setExceptionParameters,
            exception.index,
            one,
            two,
            known[0] * charge[i] * charge[j],
            0.5 * (sigma[i] + sigma[j]),
            known[1] * np.sqrt(epsilon[i] * epsilon[j]),
        )


def _differ(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return not np.allclose(first, second, rtol=SCALE_TOLERANCE, atol=SCALE_TOLERANCE)


def _check_exceptions(force: openmm.NonbondedForce, copy_of: NDArray[np.int64]) -> None:
    for index in range(force.getNumExceptions()):
        inside(copy_of, force.getExceptionParameters(index)[:2], "the non-bonded exception")


def _check_offsets(force: openmm.NonbondedForce, copy_of: NDArray[np.int64]) -> None:
    owners = [force.getParticleParameterOffset(k)[1] for k in range(force.getNumParticleParameterOffsets())]
    for k in range(force.getNumExceptionParameterOffsets()):
        owners += force.getExceptionParameters(force.getExceptionParameterOffset(k)[1])[:2]
    for owner in owners:
        if copy_of[owner] >= 0:
            raise MismatchError(
                f"the NonbondedForce has parameter offsets for atom {owner}",
                expected="charges and Lennard-Jones parameters without offsets",
                hint="call oh.replace first and add the offsets afterwards",
            )


def _words(scales: tuple[float, ...] | None, none: str) -> str:
    return none if scales is None else "scaled by " + " and ".join(f"{scale:.4g}" for scale in scales)


def _disagree(one: int, two: int, wanted: tuple[float, ...] | None, found: tuple[float, ...] | None) -> MismatchError:
    return disagree(one, two, _words(wanted, "excluded"), _words(found, "without an exception"))


def _check_unfitted(force: openmm.NonbondedForce, molecule: Nonbonded, atoms: NDArray[np.int64]) -> None:
    """Refuse parameters that differ from the System's in a System with other molecules or periodic images."""
    wanted = np.column_stack([molecule.charge, molecule.sigma, molecule.epsilon])
    difference = first_difference(wanted, particles_of(force, atoms.tolist()))
    if difference is not None:
        raise MismatchError(
            f"atom {atoms[difference[0]]} {difference[1]}, and it would act on other molecules or periodic images",
            expected="the charges and Lennard-Jones parameters of the base force field outside the molecule: a fit to "
            "forces inside one molecule says nothing about its surroundings",
            hint="fit with inner pairs, forcefield.edit(pairs='inner'), or pass fitted_nonbonded_outside=True",
        )
