"""Derivatives against finite differences: forces, and the derivatives by parameters that a fit uses."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import openmm
import torch
from numpy.typing import NDArray

from openmm_hybrid.core.units import NM_PER_ANGSTROM
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.terms import coordinates_of
from openmm_hybrid.validation.context import Subject, energies, forces
from openmm_hybrid.validation.result import Check

LIMIT = 1e-5
"""Largest deviation over the root mean square of the derivatives; our choice."""
_STEP = 1e-3  # Å
_SWITCH = 0.9  # of the cutoff, where switching begins
_DECAY, _TAIL = 5.0, 1e-7  # erfc(5) = 1.5e-12; error tolerance of Ewald sums
_CONDUCTOR = 1e9  # dielectric constant, with which the force of the reaction field vanishes at the cutoff
_STENCIL = ((-2.0, 1.0 / 12.0), (-1.0, -2.0 / 3.0), (1.0, 2.0 / 3.0), (2.0, -1.0 / 12.0))
"""Five-point formula: places and weights, with an error of the fourth order in the step."""

Energy = Callable[[NDArray[np.float64]], float]
"""Energy (kcal/mol) at positions (n_particles, 3) in Å."""


def force_check(subject: Subject, n_atoms: int, seed: int) -> Check:
    """Forces of Reference, in double precision, on random atoms against differences of the energy.

    At a cutoff, the energy jumps by what is left of it there. See `without_jumps`.
    """
    subject = Subject(without_jumps(subject), subject.positions)
    context = subject.context(openmm.VerletIntegrator(0.001), "Reference")

    def energy(positions: NDArray[np.float64]) -> float:
        context.setPositions(positions * NM_PER_ANGSTROM)
        context.computeVirtualSites()
        return energies(context)[0]

    found, start = forces(context), subject.positions
    massive = [
        index for index in range(len(start)) if subject.system.getParticleMass(index)._value > 0.0
    ]  # virtual sites pass their forces on
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(massive)[:n_atoms]
    return differences_check(energy, found, start, chosen)


def without_jumps(subject: Subject) -> openmm.System:
    """A copy of a System whose energy does not jump where a pair of atoms passes a cutoff.

    Forces with a cutoff switch Lennard-Jones and custom interactions off smoothly. The sum over pairs of Ewald and
    particle-mesh Ewald decays within the cutoff, with the same mesh, and the reaction field is that of a conductor.
    """
    system = openmm.XmlSerializer.clone(subject.system)
    context = subject.context(openmm.VerletIntegrator(0.001), "Reference")
    for force, original in zip(system.getForces(), subject.system.getForces(), strict=True):
        if not isinstance(force, openmm.NonbondedForce | openmm.CustomNonbondedForce):
            continue
        method = force.getNonbondedMethod()
        if method == force.NoCutoff:
            continue
        cutoff = force.getCutoffDistance()
        if not force.getUseSwitchingFunction():
            force.setUseSwitchingFunction(True)
            force.setSwitchingDistance(_SWITCH * cutoff)
        if isinstance(force, openmm.CustomNonbondedForce):
            continue
        force.setReactionFieldDielectric(_CONDUCTOR)
        if method == force.Ewald:
            force.setEwaldErrorTolerance(_TAIL)
        if method in (force.PME, force.LJPME):
            _, *mesh = original.getPMEParametersInContext(context)
            force.setPMEParameters(_DECAY / cutoff, *mesh)
    return system


def differences_check(
    energy: Energy, found: NDArray[np.float64], positions: NDArray[np.float64], atoms: NDArray[np.int64]
) -> Check:
    """Forces `found` (n_particles, 3) on some atoms against five-point differences of the energy."""
    worst = 0.0
    for atom, axis in product(np.asarray(atoms).tolist(), range(3)):
        slope = 0.0
        for place, weight in _STENCIL:
            moved = positions.copy()
            moved[atom, axis] += place * _STEP
            slope += weight * energy(moved) / _STEP
        worst = max(worst, abs(slope + found[atom, axis]))
    size = float(np.sqrt(np.mean(np.square(found)))) or 1.0
    return Check("forces, finite differences", worst / size, LIMIT, "1", "five-point differences, our choice")


def parameter_checks(model: ForceField, positions: NDArray[np.float64]) -> list[Check]:
    """Derivatives of the energies of each group by its fitted parameters against five-point differences.

    They are what fits use (`FunctionalForm.design`), at positions (n_atoms, 3) in Å.
    """
    internal, coordinates = coordinates_of(model.terms, model.n_atoms)
    with torch.inference_mode():
        q, _ = internal(torch.tensor(positions[None]))
    checks = []
    for terms, indices in zip(model.terms, coordinates, strict=True):
        values = torch.tensor(model.parameters.values[terms.assignment])
        columns = [number for number, column in enumerate(terms.form.columns) if column.fitted and not column.hidden]
        if not columns or not len(terms):
            continue
        where = q[:, torch.tensor(indices)]
        with torch.inference_mode():
            found = terms.form.design(where, values, columns)[0][0]
            expected = torch.stack([_by_differences(terms.form, where, values, number) for number in columns], dim=-1)
        sizes = expected.square().mean(0).sqrt().clamp_min(1e-3)
        worst = float(((found - expected).abs().amax(0) / sizes).max())
        checks.append(Check(f"parameters, {terms.group}", worst, LIMIT, "1", "five-point differences, our choice"))
    return checks


def _by_differences(form: torch.nn.Module, q: torch.Tensor, p: torch.Tensor, number: int) -> torch.Tensor:
    """Derivatives of the energies (n_terms,) of one frame by a column."""
    step = 1e-3 * float(p[:, number].abs().mean().clamp_min(0.1))
    total = torch.zeros(len(p), dtype=p.dtype)
    for place, weight in _STENCIL:
        moved = p.clone()
        moved[:, number] += place * step
        total = total + weight * form(q, moved)[0][0] / step
    return total
