"""The door: from force fields and frames to fitted force fields with their errors."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_hybrid.analysis.error_table import ErrorTable, error_table
from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.selection import Split, split
from openmm_hybrid.fitting.fit_result import FitResult, MoleculeFit
from openmm_hybrid.fitting.gauss_newton import Solution, SolveSettings, solve
from openmm_hybrid.fitting.gradient import Descent, GradientSettings, descend
from openmm_hybrid.fitting.ranges import set_ranges
from openmm_hybrid.fitting.residuals import LabelledMolecule
from openmm_hybrid.fitting.sanity_checks import run_checks
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from openmm_hybrid.forcefield import ForceField

METHODS = ("auto", "solve", "gradient")
_LONG = 1.4  # of its equilibrium length; no bond of a molecule at 1000 K is so long on average
_HELD_OUT = 10  # of how many training frames one is held out to stop the training of networks
_MOST_HELD_OUT = 300
_FIRST_SOLVE = 300  # frames whose solution networks start at


def fit(
    forcefield: ForceField | Sequence[ForceField],
    frames: Frames | Sequence[Frames],
    *,
    n_train: int,
    n_valid: int | None = None,
    n_test: int = 1000,
    seed: int = 0,
    method: str = "auto",
    fixed: Sequence[str] = (),
    energy_weight: float = 0.3,
    restraint: float = 0.01,
    ridge: float | None = None,
    gradient: GradientSettings | None = None,
    checkpoint: str | Path | None = None,
    md_steps: int = 2000,
    progress: bool = True,
) -> FitResult:
    """Fit force fields to energies and forces.

    The loss is ⟨(F − F_ref)²⟩ + w ⟨(E − E_ref − c)²⟩, the first mean over force components, the second over frames,
    with a free constant c for each molecule, plus penalties on the way from the start (see docs/fitting.md). Bounds and
    total charges are kept; equal charges stay equal. Ranges of saturated terms are set from the training frames first.

    Parameters
    ----------
    forcefield : ForceField, or a sequence of them
    frames : Frames, or as many of them
        Of each force field's molecule, with energies and forces. Parameters of equal names are one parameter.
    n_train : int
        Frames of each molecule to train on, drawn at random with `seed`; no geometry twice.
    n_valid : int, optional
        Further frames to validate on. By default none; networks then hold back a tenth of the training frames to see
        when to stop, and are solved anew with all of them.
    n_test : int
        Frames to test on; the same for every n_train.
    seed : int
    method : {"auto", "solve", "gradient"}
        "solve" is Gauss-Newton on everything but the hidden layers of networks, "gradient" Adam and L-BFGS on
        everything; "auto" solves, and where there are networks follows gradients of their weights and solves again.
    fixed : sequence of str
        Shell patterns of names that stay, such as "charges/*" or "lj/*".
    energy_weight : float, 1/Å²
        w. 0.3 gives energies and forces that are both near their optimum for MD17; our choice.
    restraint : float, (kcal/mol/Å)²
        Cost of a parameter that goes its width from the start: 0.2 e, 0.1 Å, 0.2 rad, half a force constant, …
        (`Column.width` of the forms). 0.01 costs MD17's molecules no accuracy and keeps charges near their start.
    ridge : float, optional
        λ on scaled parameters; sought by cross-validation by default.
    gradient : GradientSettings, optional
        Of the gradients; `energy_weight` and `restraint` are taken from here.
    checkpoint : path, optional
        File that the gradients' state is kept in: killed and started again, the fit goes on.
    md_steps : int
        Steps of the dynamics among the guards; 0 leaves it out.
    progress : bool
        Show the progress.

    Raises
    ------
    InputError
        A setting out of range, too few frames, no labels, nothing to fit, or a pattern that matches nothing.
    MismatchError
        Frames of other atoms than the force field or of another order, or equal names with different values.
    NumericalError
        The normal equations are singular.

    Warns
    -----
    UserWarning
        A check failed, or the gradients were stopped by Ctrl-C.
    """
    clock = time.monotonic()
    fields, data = _paired(forcefield, frames)
    if method not in METHODS:
        raise InputError(f"method = {method!r}", expected=" or ".join(map(repr, METHODS)))
    if isinstance(md_steps, bool) or md_steps < 0:
        raise InputError(f"md_steps = {md_steps!r}", expected="a whole number from 0 on")
    solving = SolveSettings(energy_weight, restraint, ridge)
    following = replace(gradient or GradientSettings(), energy_weight=energy_weight, restraint=restraint)
    joint = SharedParameters.of(fields)
    free, networks, hidden = free_parameters(joint, fixed)
    splits = [split(part, n_train, n_valid or 0, n_test, seed) for part in data]
    train = [part[each.train] for part, each in zip(data, splits, strict=True)]
    valid = [part[each.valid] for part, each in zip(data, splits, strict=True)]
    joint = set_ranges(joint, train)
    path = None if checkpoint is None else Path(checkpoint)

    def solved(parts: Sequence[Frames], start: NDArray[np.float64] | None = None) -> Solution:
        held = np.setdiff1d(free, hidden)
        molecules = [LabelledMolecule(joint, number, part) for number, part in enumerate(parts)]
        return solve(joint, molecules, held, solving, start=start, progress=progress)

    def followed(values: NDArray[np.float64], places: NDArray[np.int64]) -> Descent:
        parts, seen = (train, valid) if n_valid is not None else _held_out(train)
        centre = joint.parameters.values
        start = joint.with_values(values)
        return descend(
            start, parts, seen, places, following, centre=centre, seed=seed, checkpoint=path, progress=progress
        )

    solution: Solution | None = None
    descent: Descent | None = None
    if method == "gradient":
        descent = followed(joint.parameters.values, free)
        after = descent.values
    elif method == "solve" or not len(networks):
        solution = solved(train)
        after = solution.values
    else:
        parts = train if n_valid is not None else _held_out(train)[0]
        first = solved([part[: min(len(part), _FIRST_SOLVE)] for part in parts])
        descent = followed(first.values, networks)
        solution = solved(train, descent.values)
        after = solution.values
    found = joint.with_values(after)
    molecules = tuple(
        _assessed(old, new, part, each, md_steps, seed)
        for old, new, part, each in zip(joint.forcefields, found.forcefields, data, splits, strict=True)
    )
    return FitResult(
        molecules,
        joint.parameters.names,
        joint.parameters.values,
        after,
        None if solution is None else solution.ridge,
        () if solution is None else solution.trials,
        () if solution is None else solution.losses,
        0 if descent is None else descent.epochs,
        time.monotonic() - clock,
    )


def free_parameters(
    joint: SharedParameters, fixed: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Places of what is fitted, of the networks' weights among it, and of those in their hidden layers.

    Harmonic terms that carry a spline or a network stay: together they are any function, and alone they are the wall
    outside the sampled range.

    Raises
    ------
    InputError
        A pattern matches nothing, or nothing is left.
    """
    parameters = joint.parameters
    if isinstance(fixed, str):
        raise InputError(f"fixed = {fixed!r}", expected="a sequence of patterns", hint=f"write ({fixed!r},)")
    stays = ~parameters.fitted
    for pattern in fixed:
        stays[parameters.matching(pattern)] = True
    used, weights = np.zeros(len(parameters), dtype=bool), np.zeros(len(parameters), dtype=bool)
    hidden = np.array([column.hidden for column in joint.columns])
    for forcefield, places in zip(joint.forcefields, joint.places, strict=True):
        for terms in forcefield.terms:
            used[places[terms.assignment]] = True
            if hidden[places[terms.assignment]].any():
                weights[places[terms.assignment]] = True
            carrier = forcefield.tables.in_slot(terms.group.partition(".")[0])
            if terms.form.any_function and carrier is not None and carrier.form.confining:
                stays[places[carrier.assignment]] = True
    free = np.flatnonzero(used & ~stays)
    if not len(free):
        raise InputError("there is no parameter to fit", hint="leave out fewer of them with fixed=")
    networks = free[weights[free]]
    return free, networks, networks[hidden[networks]]


def _paired(
    forcefield: ForceField | Sequence[ForceField], frames: Frames | Sequence[Frames]
) -> tuple[list[ForceField], list[Frames]]:
    fields = [forcefield] if isinstance(forcefield, ForceField) else list(forcefield)
    data = [frames] if isinstance(frames, Frames) else list(frames)
    if len(fields) != len(data) or not fields:
        raise MismatchError(
            f"{len(fields)} force fields and {len(data)} sets of frames were given", expected="one set for each"
        )
    for each, part in zip(fields, data, strict=True):
        if not np.array_equal(each.atomic_numbers, part.atomic_numbers):
            raise MismatchError(
                f"the frames of {part.name!r} have other atoms than the force field {each.name!r}",
                expected=f"the atomic numbers {each.atomic_numbers.tolist()}, in this order",
            )
        _check_bonds(each, part)
    return fields, data


def _check_bonds(forcefield: ForceField, frames: Frames) -> None:
    """Equal elements in another order are another molecule: its bonds are then far too long."""
    for terms in forcefield.terms:
        stiff = terms.form.harmonic(torch.tensor(forcefield.tables.values(terms)))
        if stiff is None or terms.form.n_atoms != 2:
            continue
        lengths, expected = np.median(geometry.distance(frames.positions, terms.atoms), axis=0), stiff[1].numpy()
        worst = int(np.argmax(lengths / expected))
        if lengths[worst] > _LONG * expected[worst]:
            i, j = terms.atoms[worst].tolist()
            raise MismatchError(
                f"the bond {i}-{j} of {forcefield.name!r} is {lengths[worst]:.2f} Å long in the frames {frames.name!r}",
                expected=f"about {expected[worst]:.2f} Å",
                hint="build the force field in the frames' order of atoms: Molecule.from_geometry, Molecule.reordered",
            )


def _held_out(train: Sequence[Frames]) -> tuple[list[Frames], list[Frames]]:
    """Training frames without the last tenth, and that."""
    sizes = [min(max(len(part) // _HELD_OUT, 1), _MOST_HELD_OUT) for part in train]
    return (
        [part[: len(part) - size] for part, size in zip(train, sizes, strict=True)],
        [part[len(part) - size :] for part, size in zip(train, sizes, strict=True)],
    )


def _assessed(
    before: ForceField, after: ForceField, frames: Frames, chosen: Split, md_steps: int, seed: int
) -> MoleculeFit:
    def errors(forcefield: ForceField, indices: NDArray[np.int64]) -> ErrorTable:
        part = frames[indices]
        return error_table(part, forcefield.predict(part.positions))

    checks = run_checks(after, before, frames[chosen.train], md_steps=md_steps, seed=seed)
    for check in checks:
        if not check.passed:
            warnings.warn(
                f"the fit of {after.name!r} failed the check {check.name!r}: {check.found}; look at it before using it",
                stacklevel=3,
            )
    return MoleculeFit(
        after,
        chosen,
        errors(before, chosen.test if len(chosen.test) else chosen.train),
        errors(after, chosen.train),
        errors(after, chosen.valid) if len(chosen.valid) else None,
        errors(after, chosen.test) if len(chosen.test) else None,
        checks,
    )
