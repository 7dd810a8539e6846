"""Training: from labelled geometries to an sGDML model, in one call."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.sgdml.check import Consistency, assess, consistency, warn_of_faults
from openmm_hybrid.sgdml.fit import DEFAULT_SOLVER, SolverSettings, check_lengths, fit
from openmm_hybrid.sgdml.model import SGDMLModel
from openmm_hybrid.sgdml.search import Search, search
from openmm_hybrid.sgdml.training_set import TrainingSet, training_set

_QUICK = 50  # frames of the check before a long training: enough to tell signs and units (see `check`)
_LONG = 4  # times as many training frames make a training long: the check is then 1/64 of it
_QUICK_SIGMA = 20.0
_UNSEEN = 100  # frames that tell the force error which the spread of energies is compared with


def train(
    frames: Frames,
    *,
    sigma: float | str,
    lam: float = 1e-10,
    perms: str | ArrayLike | None = "graph",
    molecule: Molecule | None = None,
    atoms: ArrayLike | None = None,
    n_train: int | None = None,
    n_valid: int | None = None,
    indices: ArrayLike | None = None,
    selection: str = "auto",
    seed: int = 0,
    solver: str = "auto",
    max_memory: float | None = None,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    energy_constraint: bool = False,
    progress: bool = True,
) -> SGDMLModel:
    """Train an sGDML model by solving (K_Hess + λ1) α = −F/std (Chmiela et al., Nat. Commun. 9, 3887 (2018)).

    Same geometries, sigma, lam and perms give the model that sgdml 1.0.3 gives.

    Parameters
    ----------
    frames : Frames
        With forces. Where energies are missing, the model's energies have no constant (c = 0).
    sigma : float, 1/Å, or "search"
        Length of the kernel; 10 to 100 for small molecules. "search" takes the one with the smallest force error on
        validation frames (see `search`), and prints what was tried.
    lam : float
        λ, for forces divided by their standard deviation.
    perms : "graph", "data", array (n_perms, n_atoms) or None
        Symmetries: those of the molecular graph (see `graph_permutations`), those that the frames show, whether
        trained on or not (see `data_permutations`), a given group, or none; all of them of the whole molecule.
    molecule : Molecule, optional
        Gives the bonds (and, for "graph", double bonds); else bonds are taken from the distances.
    atoms : (n_chosen,), optional
        Train on these atoms of the molecule only, in this order; the permutations are restricted to them (see
        `restrict_permutations`). The model is one of n_chosen atoms: `OnAtoms` and ``attach(atoms=…)`` put it into the
        molecule. Its constant holds what the other atoms contribute on average. The net force and torque that they
        exert on the chosen ones, which no function of the chosen atoms' distances has, remain as errors.
    n_train : int, optional
        Train on this many frames, drawn with `seed`; a geometry is never drawn twice. All by default.
    n_valid : int, optional
        Keep this many other frames for validation. By default none, or for sigma="search" at most 200 (a fifth of the
        frames if n_train is left open).
    indices : (n_train,), optional
        Train on these frames instead.
    selection : "auto", "stratified" or "random"
        How frames are selected: so that their energies follow the distribution of all energies, or at random; "auto"
        is "stratified" if there are energies.
    seed : int
        Also chooses the frames in which perms="data" seeks permutations.
    solver : str
        How the linear system is solved; "auto" takes the fastest solver that fits into memory.
    max_memory : float, optional
        GB of memory that the solver may use.
    checkpoint : path, optional
        File that an iterative solver keeps its state in: stopped and started again, it goes on.
    device : str
        "auto", "cpu" or "cuda".
    energy_constraint : bool
        Train on the energies too, one equation a geometry, not on the forces alone (see `fit`): for energies closer to
        the reference where the two do not quite belong together. Not with `atoms`.
    progress : bool
        Show the progress.

    Raises
    ------
    InputError
        No forces; a setting out of range; too few frames; a geometry twice; atoms that touch; too many permutations;
        not enough memory.
    MismatchError
        The molecule's atoms are not the frames'.
    NumericalError
        The linear system was not solved to the accuracy needed.

    Warns
    -----
    UserWarning
        Energies and forces contradict each other (see `consistency`); the best sigma is an end of what was tried.
    """
    check_sigma(sigma, lam)
    data = training_set(
        frames,
        n_train=n_train,
        n_valid=n_valid if n_valid is not None or sigma == "search" else 0,
        perms=perms,
        molecule=molecule,
        atoms=atoms,
        indices=indices,
        selection=selection,
        seed=seed,
        energy_constraint=energy_constraint,
    )
    settings = SolverSettings(solver, max_memory, None if checkpoint is None else Path(checkpoint), device)
    return train_on(data, sigma=sigma, lam=lam, solver=settings, progress=progress).model


@final
@dataclass(frozen=True, eq=False)
class Training:
    """A trained model and how it came about.

    Parameters
    ----------
    model : SGDMLModel
    search : Search or None
        What was tried, if sigma was sought.
    consistency : Consistency or None
        Of the training data; None without energies, and for some atoms of a molecule, whose forces alone the energies
        do not follow. With an energy constraint, of the first training frames, by a model of their forces alone.
    """

    model: SGDMLModel
    search: Search | None
    consistency: Consistency | None


def train_on(
    data: TrainingSet,
    *,
    sigma: float | str,
    lam: float = 1e-10,
    solver: SolverSettings = DEFAULT_SOLVER,
    progress: bool = True,
) -> Training:
    """Train on a training set that was made before; settings, errors and warnings as in `train`.

    A model of the first few of many frames costs little and tells a wrong sign or unit before the long solve.
    """
    check_sigma(sigma, lam)
    early = _check_early(data, sigma, lam, solver.device)  # and the only check of data whose energies are trained on
    found = None
    if isinstance(sigma, str):
        found = search(data, lams=(lam,), solver=solver, progress=progress)
        model = found.model
        if progress:
            print(found.table(), file=sys.stderr)
    else:
        model = fit(data, sigma=sigma, lam=lam, solver=solver, progress=progress)
    result = early if data.energy_constraint else _check(data, model)
    if result is not None and (early is None or not early.fault):
        warn_of_faults(result, data.frames.name)
    return Training(model, found, result)


def check_sigma(sigma: float | str, lam: float) -> None:
    """Refuse a sigma that is neither a positive number nor "search", and a negative lam.

    Raises
    ------
    InputError
    """
    if isinstance(sigma, str) and sigma != "search":
        raise InputError(f"sigma = {sigma!r}", expected='a number above 0, in 1/Å, or "search"')
    check_lengths(1.0 if isinstance(sigma, str) else sigma, lam)


def _check_early(data: TrainingSet, sigma: float | str, lam: float, device: str) -> Consistency | None:
    if data.n_train < _LONG * _QUICK and not data.energy_constraint:
        return None
    few = replace(data.first(min(_QUICK, data.n_train)), energy_constraint=False)
    try:
        length = _QUICK_SIGMA if isinstance(sigma, str) else sigma
        model = fit(few, sigma=length, lam=lam, solver=SolverSettings(device=device), progress=False)
    except NumericalError:
        return None
    result = _check(few, model)
    if result is not None:
        warn_of_faults(result, data.frames.name)
    return result


def _check(data: TrainingSet, model: SGDMLModel) -> Consistency | None:
    """The check of `consistency` on the training frames, with the force error on unseen ones where there are any."""
    if data.frames.energies is None or data.atoms is not None:
        return None
    unseen = data.frames[np.concatenate([data.idxs_valid, data.idxs_rest])[:_UNSEEN]]
    return consistency(model, data.train, force_rmse=assess(model, unseen).force_rmse if len(unseen) else None)
