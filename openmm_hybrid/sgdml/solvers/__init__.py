"""Solvers of the linear system of training, one a file, behind `solve`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.solvers.choice import plan
from openmm_hybrid.sgdml.solvers.solver import Size

__all__ = ["pick_device", "solve"]

_TELL = 3.0  # seconds of expected work from which the user is told beforehand


def solve(
    kernel: HessianKernel,
    labels: Tensor,
    *,
    lam: float,
    solver: str = "auto",
    max_memory: float | None = None,
    checkpoint: Path | None = None,
    start: Tensor | None = None,
    progress: bool = True,
) -> Tensor:
    """β of (K_Hess + λ1) β = y.

    Parameters
    ----------
    kernel : HessianKernel
    labels : Tensor (n_rows,)
        y, in the kernel's components (`HessianKernel.reduce`).
    lam : float
        λ ≥ 0.
    solver : "auto", "direct" or "iterative"
        "auto" is the fastest that fits into memory.
    max_memory : float, optional
        GB that the solver may use; 80 % of what is free by default.
    checkpoint : Path, optional
        Where the iterative solver keeps its state; a training that was killed goes on from it.
    start : Tensor (n_rows,), optional
        A guess of β.
    progress : bool
        Tell the choice with its expected time and memory, and show the progress.

    Raises
    ------
    InputError
        No solver fits into memory, or a setting is not possible; nothing has been computed then. A kernel with
        energies is for the direct solver alone: conjugate gradients converge slowly on it, or not at all.
    NumericalError
        The solution does not reach the solver's accuracy.
    """
    if kernel.with_energies:
        if solver == "iterative" or checkpoint is not None:
            raise InputError(
                "an energy constraint is for the direct solver, which keeps no checkpoint",
                expected='solver="direct" or "auto", and no checkpoint',
                hint="train on fewer geometries if memory is short, or without the constraint",
            )
        solver = "direct" if solver == "auto" else solver
    chosen = plan(
        Size.of(kernel), solver=solver, max_memory=max_memory, checkpoint=checkpoint, device=str(kernel.x.device)
    )
    if progress and chosen.seconds > _TELL:
        print(chosen, file=sys.stderr)
    return chosen.solver.solve(kernel, labels, lam=lam, start=start, progress=progress)


def pick_device(name: str) -> str:
    """The torch device for "auto" (a GPU if there is one), "cpu" or "cuda".

    Raises
    ------
    InputError
        Another name, or there is no GPU.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"there is no device {name!r}", expected="auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("torch finds no GPU", hint='take device="cpu"')
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
