"""Training of an sGDML model from labelled geometries, in one call."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.core.files import expanded
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.residual import RESIDUAL
from openmm_hybrid.sgdml.check import Consistency, assess, consistency, warn_of_faults
from openmm_hybrid.sgdml.fit import DEFAULT_SOLVER, SolverSettings, check_lengths, fit
from openmm_hybrid.sgdml.model import SGDMLModel
from openmm_hybrid.sgdml.search import Search, search
from openmm_hybrid.sgdml.training_set import TrainingSet, training_set

_QUICK = 50  # frames of the check before a long training: enough to recognise signs and units (see `check`)
_LONG = 4  # factor between these and the frames of a long training, which takes at least 64 times as long
_QUICK_SIGMA = 20.0  # 1/Å; sigma of the check if sigma is searched
_UNSEEN = 100  # frames for the force error, with which the spread of the energies is compared


def train(
    frames: Frames,
    *,
    sigma: float | str,
    lam: float = 1e-10,
    perms: str | ArrayLike | None = "auto",
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

    For the same geometries, sigma, lam and perms the model is that of sgdml 1.0.3.

    Parameters
    ----------
    frames : Frames
        Frames with forces. Without energies, the model's energies have no constant (c = 0).
    sigma : float, 1/Å, or "search"
        Length of the kernel; 10 to 100 for small molecules. "search" finds the sigma with the smallest force error on
        validation frames (see `search`), and prints a table of the trials.
    lam : float
        λ, for forces divided by their standard deviation.
    perms : "auto", "graph", "data", array (n_perms, n_atoms) or None
        Permutations of the whole molecule: symmetries of the molecular graph (see `graph_permutations`), permutations
        that all the frames show (see `data_permutations`), a given group, or none. "auto" is "graph", or "data" if the
        graph has too many symmetries.
    molecule : Molecule, optional
        Molecule with the bonds (and the double bonds, for the symmetries of the graph); by default, bonds are derived
        from the distances.
    atoms : (n_chosen,), optional
        Train on these atoms of the molecule only, in this order; the permutations are restricted to them (see
        `restrict_permutations`). The model has n_chosen atoms: `OnAtoms` and ``attach(atoms=…)`` put it into the
        molecule. Its constant includes the mean contribution of the other atoms. The net force and torque that the
        other atoms exert on the chosen ones remain as errors, since no function of the chosen atoms' distances has any.
    n_train : int, optional
        Number of training frames, selected with `seed`, no geometry twice. All by default.
    n_valid : int, optional
        Number of other frames for validation. By default none, or for sigma="search" at most 200 (a fifth of the frames
        if n_train is not given).
    indices : (n_train,), optional
        Indices of the training frames, instead of n_train.
    selection : "auto", "stratified" or "random"
        How frames are selected: so that their energies follow the distribution of all energies, or at random; "auto"
        is "stratified" if there are energies.
    seed : int
        Seed of the selection, and of the frames in which perms="data" finds permutations.
    solver : str
        Name of the solver of the linear system; "auto" chooses the fastest that fits into memory, and another one if
        that fails or falls behind.
    max_memory : float, optional
        Memory in GB that the solver may use.
    checkpoint : path, optional
        File in which an iterative solver keeps its state; a training that was stopped resumes from it.
    device : str
        "auto", "cpu" or "cuda".
    energy_constraint : bool
        Train on the energies too, with one equation per geometry (see `fit`): for energies closer to the reference if
        energies and forces do not quite belong together. Not with `atoms`.
    progress : bool
        Show the progress.

    Raises
    ------
    InputError
        No forces; a setting out of range; too few frames; a geometry twice; atoms that touch; too many permutations;
        not enough memory.
    MismatchError
        The molecule has other atoms than the frames, or another order of atoms.
    NumericalError
        The linear system was not solved to the accuracy needed.

    Warns
    -----
    UserWarning
        Energies and forces contradict each other (see `consistency`); the best sigma is the smallest or largest tried;
        the graph has too many symmetries for perms="auto".
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
    settings = SolverSettings(solver, max_memory, None if checkpoint is None else expanded(checkpoint), device)
    return train_on(data, sigma=sigma, lam=lam, solver=settings, progress=progress).model


@final
@dataclass(frozen=True, eq=False)
class Training:
    """A trained model with its search and check.

    Parameters
    ----------
    model : SGDMLModel
    search : Search or None
        The search of sigma, if there was one.
    consistency : Consistency or None
        Check of the training data; None without energies, and for some atoms of a molecule, whose energies are not
        known. With an energy constraint, it is a check of the first training frames by a model of their forces alone.
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
    """Train on a training set; settings, errors and warnings as in `train`.

    If there are many frames, a model of the first few finds a wrong sign or unit before the long solve.
    """
    check_sigma(sigma, lam)
    early = _check_early(data, sigma, lam, solver.device)  # the only check with an energy constraint
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
    """Check of the training frames, with the force error on unseen frames if there are any."""
    if data.frames.energies is None or data.atoms is not None:
        return None
    unseen = data.frames[np.concatenate([data.idxs_valid, data.idxs_rest])[:_UNSEEN]]
    if len(unseen):
        return consistency(model, data.train, force_rmse=assess(model, unseen).force_rmse)
    # Nobody knows how well the model describes a residual, which may be rough.
    return consistency(model, data.train, force_rmse=math.inf if data.frames.theory.endswith(RESIDUAL) else None)
