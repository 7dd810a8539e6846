"""Fitting force fields to labelled frames: the public function `fit`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.error_table import ErrorTable, error_table
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded, fingerprint
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.selection import Split, split
from openmm_hybrid.fitting.fit_result import FitResult, MoleculeFit
from openmm_hybrid.fitting.gauss_newton import Solution, SolveSettings, solve
from openmm_hybrid.fitting.gradient import Descent, GradientSettings, descend
from openmm_hybrid.fitting.input_checks import compared_labels, enough_frames, paired, with_energies
from openmm_hybrid.fitting.ranges import set_ranges, set_straight_angles
from openmm_hybrid.fitting.residuals import LabelledMolecule
from openmm_hybrid.fitting.rigid_forces import rigid_errors
from openmm_hybrid.fitting.sanity_checks import SanityCheck, run_checks
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.straight_angles import kept_at_straight_angles
from openmm_hybrid.sgdml.check import assess

METHODS = ("auto", "solve", "gradient")
_HELD_OUT = 10  # one of this many training frames is held out to stop the training of networks
_MOST_HELD_OUT = 300  # most frames that are held out
_FIRST_SOLVE = 300  # frames of the solve that networks start from


def fit(
    forcefield: ForceField | Sequence[ForceField],
    frames: Frames | Sequence[Frames],
    *,
    n_train: int | Sequence[int] | NDArray[np.int64],
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
    """Fit force fields to energies and forces, or to forces alone with energy_weight=0.

    The loss is ⟨(F − F_ref)²⟩ + w ⟨(E − E_ref − c)²⟩ plus penalties on the distance from the start (see
    docs/fitting.md). The first mean is over force components, the second over frames; c is a free constant for each
    molecule. The fit keeps bounds, total charges and the equality of charges. It first sets the ranges of new
    saturated terms, whose coefficients are all zero, from the training frames. Fitted terms keep their ranges.

    Parameters
    ----------
    forcefield : ForceField, or a sequence of them
    frames : Frames, or a sequence of them
        Frames with forces for each force field, and with energies unless energy_weight=0, in the same order. Parameters
        of equal names are one parameter.
    n_train : int, or a sequence of them
        Training frames of each molecule, drawn at random with `seed` and without repeated geometries.
    n_valid : int, optional
        Validation frames. By default there are none; networks then hold out a tenth of the training frames to decide
        when to stop, and the last solve uses all of them.
    n_test : int
        Test frames. They are the same for every n_train.
    seed : int
        Seed of the split, the batches and the dynamics of the checks.
    method : {"auto", "solve", "gradient"}
        "solve" is Gauss-Newton on all parameters except the hidden layers of networks, "gradient" is Adam and L-BFGS on
        all parameters. "auto" solves; where there are networks, it then follows gradients of their weights and solves
        again.
    fixed : sequence of str
        Names, or shell patterns such as "charges/*" and "lj/*", of parameters that keep their values.
    energy_weight : float, 1/Å²
        w; our choice.
    restraint : float, (kcal/mol/Å)²
        Cost of a parameter at a distance of its width from the start: 0.2 e, 0.1 Å, 0.2 rad, half a force constant, …
        (`Column.width` of the forms); our choice.
    ridge : float, optional
        λ on scaled parameters; cross-validation finds it by default.
    gradient : GradientSettings, optional
        Settings of the gradients, except `energy_weight` and `restraint`, which are those above.
    checkpoint : path, optional
        File for the state of the gradients. A fit that was killed resumes from it; one with other settings is refused.
    md_steps : int
        Steps of the dynamics among the checks; 0 omits it.
    progress : bool
        Whether to show progress.

    Raises
    ------
    InputError
        A setting is out of range, there are too few frames, no labels or no free parameters, a pattern matches nothing,
        or the labels cannot be right beside the force field (see `openmm_hybrid.models.label_checks`).
    MismatchError
        Frames and force field have different atoms or orders of atoms, or parameters of equal names different values.
    NumericalError
        The normal equations are singular.

    Warns
    -----
    UserWarning
        Labels are not plausible beside the force field, a check failed, or Ctrl-C stopped the gradients.
    """
    clock = time.monotonic()
    fields, given = paired(forcefield, frames)
    data = with_energies(fields, given, energy_weight)
    if method not in METHODS:
        raise InputError(f"method = {method!r}", expected=" or ".join(map(repr, METHODS)))
    if isinstance(md_steps, bool) or md_steps < 0:
        raise InputError(f"md_steps = {md_steps!r}", expected="a whole number from 0 on")
    shared = SharedParameters.of(fields)
    shared = set_straight_angles(shared, fixed)
    free, networks, hidden = free_parameters(shared, fixed)
    numbers = _of_each(n_train, len(data))
    splits = [split(part, number, n_valid or 0, n_test, seed) for part, number in zip(data, numbers, strict=True)]
    train = [part[chosen.train] for part, chosen in zip(data, splits, strict=True)]
    labels = [compared_labels(*each) for each in zip(fields, given, splits, strict=True)]
    valid = [part[chosen.valid] for part, chosen in zip(data, splits, strict=True)]
    shared = set_ranges(shared, train, fixed)
    search = _Search(
        shared=shared,
        train=train,
        valid=None if n_valid is None else valid,
        free=free,
        networks=networks,
        hidden=hidden,
        solving=SolveSettings(energy_weight, restraint, ridge),
        following=replace(gradient or GradientSettings(), energy_weight=energy_weight, restraint=restraint),
        seed=seed,
        checkpoint=None if checkpoint is None else expanded(checkpoint),
        progress=progress,
    )
    after, solution, descent = search.run(method)
    found = shared.with_values(after)
    assessed = _Assessment(md_steps, seed, len(np.setdiff1d(free, hidden)))
    molecules = tuple(
        assessed(*each) for each in zip(shared.forcefields, found.forcefields, given, data, splits, labels, strict=True)
    )
    return FitResult(
        molecules,
        shared.parameters.names,
        shared.parameters.values,
        after,
        None if solution is None else solution.ridge,
        () if solution is None else solution.ridge_losses,
        () if solution is None else solution.losses,
        0 if descent is None else descent.epochs,
        time.monotonic() - clock,
    )


def _of_each(n_train: int | Sequence[int] | NDArray[np.int64], n_molecules: int) -> list[int]:
    """Training frames of each molecule."""
    given = n_train.tolist() if isinstance(n_train, np.ndarray) else n_train
    numbers = list(given) if isinstance(given, Sequence) else [given] * n_molecules
    if len(numbers) != n_molecules:
        raise InputError(
            f"n_train has {len(numbers)} numbers for {n_molecules} molecules", expected="one for each, or one for all"
        )
    return numbers


@final
@dataclass(frozen=True, eq=False)
class _Search:
    """The search for the parameters of a fit: by solves, by gradients, or by both in turn.

    `free`, `networks` and `hidden` are the indices that `free_parameters` gives. Without `valid`, a part of the
    training frames stops the gradients.
    """

    shared: SharedParameters
    train: list[Frames]
    valid: list[Frames] | None
    free: NDArray[np.int64]
    networks: NDArray[np.int64]
    hidden: NDArray[np.int64]
    solving: SolveSettings
    following: GradientSettings
    seed: int
    checkpoint: Path | None
    progress: bool

    def run(self, method: str) -> tuple[NDArray[np.float64], Solution | None, Descent | None]:
        """The parameters (n_parameters,), and the last solve and descent that led to them."""
        if method == "gradient":
            descent = self._follow(self.shared.parameters.values, self.free)
            return descent.values, None, descent
        if method == "solve" or not len(self.networks):
            solution = self._solve(self.train)
            return solution.values, solution, None
        first = self._solve([part[: min(len(part), _FIRST_SOLVE)] for part in self._parts()[0]])
        descent = self._follow(first.values, self.networks)
        solution = self._solve(self.train, descent.values)
        return solution.values, solution, descent

    def _parts(self) -> tuple[list[Frames], list[Frames]]:
        """Frames that the gradients follow, and frames that stop them."""
        return _held_out(self.train) if self.valid is None else (self.train, self.valid)

    def _solve(self, parts: Sequence[Frames], start: NDArray[np.float64] | None = None) -> Solution:
        molecules = [LabelledMolecule(self.shared, index, part) for index, part in enumerate(parts)]
        outer = np.setdiff1d(self.free, self.hidden)
        return solve(self.shared, molecules, outer, self.solving, start=start, progress=self.progress)

    def _follow(self, values: NDArray[np.float64], weights: NDArray[np.int64]) -> Descent:
        parts, unseen = self._parts()
        return descend(
            self.shared.with_values(values),
            parts,
            unseen,
            weights,
            self.following,
            centre=self.shared.parameters.values,
            seed=self.seed,
            checkpoint=self.checkpoint,
            job=self._solves(),
            progress=self.progress,
        )

    def _solves(self) -> dict[str, Any]:
        """What the solve before the gradients depends on, beside all that `descend` depends on."""
        return {"ridge": self.solving.ridge, "fixed": fingerprint(np.setdiff1d(self.free, self.hidden))}


def free_parameters(
    shared: SharedParameters, fixed: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the free parameters, of the networks' weights among them, and of the weights in hidden layers.

    Confining terms with a spline or a network added to them keep their parameters: the sum can be any function anyway,
    and outside the sampled range the confining term is the wall.

    Raises
    ------
    InputError
        A pattern matches nothing, or nothing is left.
    """
    parameters = shared.parameters
    stays = ~parameters.fitted | parameters.matching_any(fixed)
    for forcefield, indices in zip(shared.forcefields, shared.indices, strict=True):
        stays[indices[kept_at_straight_angles(forcefield.tables)]] = True
    used, weights = np.zeros(len(parameters), dtype=bool), np.zeros(len(parameters), dtype=bool)
    hidden = np.array([column.hidden for column in shared.columns])
    for forcefield, indices in zip(shared.forcefields, shared.indices, strict=True):
        for terms in forcefield.terms:
            used[indices[terms.assignment]] = True
            if hidden[indices[terms.assignment]].any():
                weights[indices[terms.assignment]] = True
            carrier = forcefield.tables.in_slot(terms.slot)
            if terms.form.any_function and carrier is not None and carrier.form.confining:
                added = set(map(tuple, terms.atoms.tolist()))
                rows = [tuple(atoms) in added for atoms in carrier.atoms.tolist()]
                stays[indices[carrier.assignment[rows]]] = True
    free = np.flatnonzero(used & ~stays)
    if not len(free):
        raise InputError("there is no parameter to fit", hint="name fewer parameters in fixed=")
    networks = free[weights[free]]
    return free, networks, networks[hidden[networks]]


def _held_out(train: Sequence[Frames]) -> tuple[list[Frames], list[Frames]]:
    """Training frames without their last tenth, and that tenth."""
    sizes = [min(max(len(part) // _HELD_OUT, 1), _MOST_HELD_OUT) for part in train]
    return (
        [part[: len(part) - size] for part, size in zip(train, sizes, strict=True)],
        [part[len(part) - size :] for part, size in zip(train, sizes, strict=True)],
    )


@final
@dataclass(frozen=True)
class _Assessment:
    """Errors and checks of each molecule of a fit."""

    md_steps: int
    seed: int
    n_parameters: int

    def __call__(
        self,
        before: ForceField,
        after: ForceField,
        frames: Frames,
        complete: Frames,
        chosen: Split,
        labels: SanityCheck,
    ) -> MoleculeFit:
        """Errors on `frames`, and checks on `complete`, the same frames with energies."""
        start = _errors(before, frames[chosen.test if len(chosen.test) else chosen.train])
        test = _errors(after, frames[chosen.test]) if len(chosen.test) else None
        checks = (
            *run_checks(after, before, complete[chosen.train], md_steps=self.md_steps, seed=self.seed),
            enough_frames(after, len(chosen.train), self.n_parameters, start, test),
        )
        for check in checks:
            if not check.passed:
                warnings.warn(
                    f"the fit of {after.name!r} failed the check {check.name!r}: {check.found}; inspect it before use",
                    stacklevel=4,
                )
        train = _errors(after, frames[chosen.train])
        valid = _errors(after, frames[chosen.valid]) if len(chosen.valid) else None
        rigid = rigid_errors(after, frames[chosen.test]) if len(chosen.test) else None
        return MoleculeFit(after, chosen, start, train, valid, test, rigid, (labels, *checks))


def _errors(forcefield: ForceField, frames: Frames) -> ErrorTable:
    if frames.energies is None:
        return assess(forcefield, frames)
    return error_table(frames, forcefield.predict(frames.positions))
