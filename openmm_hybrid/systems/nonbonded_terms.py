"""Replacing charges and Lennard-Jones parameters in a System's NonbondedForce on copies of one molecule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import openmm
import torch
from numpy.typing import NDArray

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.core.units import KJ_PER_KCAL, NM_PER_ANGSTROM
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.systems.bonded_terms import copies_of, inside, irreplaceable
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
_SCALE_TOLERANCE = 1e-4  # tolerance of 1-4 scales, which files hold with five digits


@dataclass(frozen=True)
class Pairs:
    """Calls that write the new parameters, made by `plan_pairs`."""

    force: openmm.NonbondedForce | None = None
    calls: list[Callable[[], object]] = field(default_factory=list)

    def apply(self) -> list[openmm.Force]:
        """Make the calls; returns the changed force, if any, in a list."""
        for call in self.calls:
            call()
        return [self.force] if self.calls and self.force is not None else []


@dataclass(frozen=True, eq=False)
class _Molecule:
    """Non-bonded parameters of one molecule in OpenMM's units; NaN where the force field has none.

    `scales` holds the scales of Coulomb and Lennard-Jones; pairs that are not in it are excluded.
    """

    charge: NDArray[np.float64]
    sigma: NDArray[np.float64]
    epsilon: NDArray[np.float64]
    scales: dict[tuple[int, int], tuple[float, float]]


def plan_pairs(system: openmm.System, placement: Placement, forcefield: ForceField) -> Pairs:
    """Check exclusions and 1-4 scales and prepare the changes, without making them.

    Raises
    ------
    MismatchError
        There is no NonbondedForce, or several; exclusions or scales differ from the force field's; the molecule has
        exceptions with other atoms, or parameters with offsets.
    """
    found = [force for force in system.getForces() if isinstance(force, openmm.NonbondedForce)]
    copy_of = copies_of(placement)
    for force in found:
        _check_exceptions(force, copy_of)
    molecule = _read(forcefield)
    if molecule is None:
        return Pairs()
    for other in system.getForces():
        if isinstance(other, _OTHERS):
            raise irreplaceable(other, "its parameters for the molecule would keep their old values")
    if len(found) != 1:
        raise MismatchError(
            f"the System has {len(found)} forces of the kind NonbondedForce",
            expected="one, for the force field's charges and Lennard-Jones parameters",
            hint="omit these terms with forcefield.only('bonds', 'angles', …)",
        )
    force = found[0]
    _check_offsets(force, copy_of)
    pairs = Pairs(force)
    exceptions = _exceptions(force)
    for atoms in placement.atoms:
        _plan_copy(pairs, force, molecule, atoms, exceptions)
    if placement.periodic:
        pairs.calls.append(lambda: force.setExceptionsUsePeriodicBoundaryConditions(True))
    return pairs


def _read(forcefield: ForceField) -> _Molecule | None:
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
    return _Molecule(found["charge"], found["sigma"] * NM_PER_ANGSTROM, found["epsilon"] * KJ_PER_KCAL, both)


def _plan_copy(
    pairs: Pairs,
    force: openmm.NonbondedForce,
    molecule: _Molecule,
    atoms: NDArray[np.int64],
    exceptions: dict[tuple[int, int], tuple[int, float, float, float]],
) -> None:
    """Prepare the changes of one copy's particles and exceptions."""
    old = np.array([[item._value for item in force.getParticleParameters(atom)] for atom in atoms.tolist()])
    charge, sigma, epsilon = (
        np.where(np.isnan(new), before, new)
        for new, before in zip((molecule.charge, molecule.sigma, molecule.epsilon), old.T, strict=True)
    )
    for k, atom in enumerate(atoms.tolist()):
        _call(pairs, force.setParticleParameters, atom, charge[k], sigma[k], epsilon[k])
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
        index, product, _, well = exception
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
        _call(
            pairs,
            force.setExceptionParameters,
            index,
            one,
            two,
            known[0] * charge[i] * charge[j],
            0.5 * (sigma[i] + sigma[j]),
            known[1] * np.sqrt(epsilon[i] * epsilon[j]),
        )


def _call(pairs: Pairs, method: Callable[..., object], *arguments: float) -> None:
    plain = [argument if isinstance(argument, int) else float(argument) for argument in arguments]
    pairs.calls.append(lambda: method(*plain))


def _differ(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return not np.allclose(first, second, rtol=_SCALE_TOLERANCE, atol=_SCALE_TOLERANCE)


def _exceptions(force: openmm.NonbondedForce) -> dict[tuple[int, int], tuple[int, float, float, float]]:
    """Index, charge product, σ and ε of all exceptions, by their particles in rising order."""
    found = {}
    for index in range(force.getNumExceptions()):
        i, j, product, sigma, epsilon = force.getExceptionParameters(index)
        found[min(i, j), max(i, j)] = (index, product._value, sigma._value, epsilon._value)
    return found


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


def _disagree(one: int, two: int, wanted: tuple[float, ...] | None, found: tuple[float, ...] | None) -> MismatchError:
    def words(scales: tuple[float, ...] | None, none: str) -> str:
        return none if scales is None else "scaled by " + " and ".join(f"{scale:.4g}" for scale in scales)

    return MismatchError(
        f"atoms {one} and {two} are {words(wanted, 'excluded')} in the force field (Coulomb, Lennard-Jones), and "
        f"{words(found, 'without an exception')} in the NonbondedForce",
        expected="the exclusions and 1-4 scales that the force field was read with",
        hint="compare the order of the atoms (atoms=), or read the force field from this System's molecule alone",
    )
