"""The model of a training set for given sigma and lam, by one linear solve."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.sgdml.descriptor import jacobian_times
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.model import SGDMLModel
from openmm_hybrid.sgdml.solve import pick_device, solve
from openmm_hybrid.sgdml.training_set import TrainingSet


@final
@dataclass(frozen=True)
class SolverSettings:
    """Settings of the linear solver; within its accuracy, the solution does not depend on them.

    Parameters
    ----------
    name : str
        Name of the solver, or "auto" for the fastest that fits into memory.
    max_memory : float, optional
        Memory in GB that the solver may use.
    checkpoint : Path, optional
        File in which an iterative solver keeps its state, and from which it resumes.
    device : str
        "auto", "cpu" or "cuda".
    """

    name: str = "auto"
    max_memory: float | None = None
    checkpoint: Path | None = None
    device: str = "auto"


DEFAULT_SOLVER: SolverSettings = SolverSettings()


def fit(
    data: TrainingSet,
    *,
    sigma: float,
    lam: float = 1e-10,
    solver: SolverSettings = DEFAULT_SOLVER,
    start: NDArray[np.float64] | None = None,
    progress: bool = True,
) -> SGDMLModel:
    """Solve (K_Hess + λ1) α = −F/std for a training set (Chmiela et al., Nat. Commun. 9, 3887 (2018)).

    With an energy constraint there is one more equation per geometry,

        (K + λ1) (α, α_E) = (−F, E − Ē)/std,

    where K holds the derivatives of κ: between forces K_Hess, between energies and forces ∂κ/∂r, and between energies κ
    itself (see `openmm_hybrid.sgdml.kernel`). As in sgdml 1.0.3, the mean Ē is the constant, std is the standard
    deviation of all numbers on the right, and an energy error of 1 kcal/mol weighs as much as an error of 1 kcal/mol/Å
    in a force component.

    Without the constraint, the energies' constant is the mean of reference minus model over the training frames, or 0
    without energies. In a model of some atoms of a molecule it includes the mean contribution of the other atoms.

    Parameters
    ----------
    data : TrainingSet
    sigma : float, 1/Å
    lam : float
    solver : SolverSettings
    start : (n_train, n_atoms, 3), optional
        α of another model of the same training set, such as one with another sigma, as an iterative solver's start.
    progress : bool
        Show the progress.

    Raises
    ------
    InputError
        sigma or lam out of range; all forces zero; not enough memory; an energy constraint and a solver that does not
        take it.
    NumericalError
        The linear system was not solved to the accuracy needed.
    """
    check_lengths(sigma, lam)
    frames = data.train
    labels, std = _labels(data)
    kernel = HessianKernel.of(
        frames.positions,
        data.perms,
        sigma,
        with_energies=data.energy_constraint,
        device=pick_device(solver.device),
    )
    solution = solve(
        kernel,
        kernel.reduce(*(torch.tensor(label, device=kernel.x.device) for label in labels)),
        lam=lam,
        solver=solver.name,
        max_memory=solver.max_memory,
        checkpoint=solver.checkpoint,
        start=None if start is None else kernel.reduce(torch.tensor(-start, device=kernel.x.device)),
        progress=progress,
    )
    alphas, energy_alphas = -kernel.expand(solution), kernel.energies(-solution)
    model = SGDMLModel(
        atomic_numbers=frames.atomic_numbers,
        descriptors=kernel.x.cpu().numpy(),
        descriptor_alphas=jacobian_times(kernel.slopes, alphas).cpu().numpy(),
        perms=data.perms,
        sigma=float(sigma),
        c=0.0,
        std=std,
        lam=float(lam),
        name=frames.name,
        theory=frames.theory,
        alphas=alphas.cpu().numpy(),
        alphas_E=None if energy_alphas is None else energy_alphas.cpu().numpy(),
        idxs_train=data.idxs_train,
        md5_train=data.md5,
        use_E=frames.energies is not None,
    )
    if frames.energies is None:
        return model
    missing = frames.energies if data.energy_constraint else frames.energies - model.evaluate(frames.positions)[0]
    return replace(model, c=float(np.mean(missing)))


def _labels(data: TrainingSet) -> tuple[list[NDArray[np.float64]], float]:
    """Forces, and Ē − E for an energy constraint, over the standard deviation of all these numbers; and the latter."""
    frames = data.train
    if frames.forces is None:
        raise InputError(f"the frames of {frames.name!r} have no forces", hint="label them with a reference engine")
    labels = [frames.forces]
    if data.energy_constraint:
        if frames.energies is None:
            raise InputError(f"the frames of {frames.name!r} have no energies", hint="train without energy constraint")
        labels.append(frames.energies.mean() - frames.energies)
    std = float(np.std(np.concatenate([label.ravel() for label in labels])))
    if std == 0.0:
        raise InputError("all training forces are zero", hint="check the data")
    return [label / std for label in labels], std


def check_lengths(sigma: float, lam: float) -> None:
    """Refuse a sigma that is not positive, a negative lam, and numbers that are not finite.

    Raises
    ------
    InputError
    """
    if not 0.0 < sigma < np.inf or not 0.0 <= lam < np.inf:
        raise InputError(f"sigma = {sigma} and lam = {lam}", expected="sigma > 0 and lam ≥ 0")
