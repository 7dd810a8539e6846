"""Which solver takes a linear system, and what it will cost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import final

import torch

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.sgdml.solvers.direct import DirectSolver
from openmm_hybrid.sgdml.solvers.iterative import IterativeSolver
from openmm_hybrid.sgdml.solvers.memory import available_memory
from openmm_hybrid.sgdml.solvers.solver import Size, Solver

SOLVERS = ("auto", "direct", "iterative")
SHARE = 0.8
"""Of the free memory, what is used unless the user says otherwise."""
_PER_RANK = 14  # rows for each rank of the preconditioner: iterations fall as 1/rank, and its making costs rank²
_LEAST_RANK = 256
_EXACTNESS = 2.0  # times as long as the iterative solver the direct one may take, for its digits
_PROBE = 1500  # rows of the matrix product that measures this machine


@final
@dataclass(frozen=True)
class Plan:
    """A solver for a linear system, with the memory (bytes) and time (s) that it is expected to take."""

    solver: Solver
    size: Size
    memory: int
    budget: int
    seconds: float

    def __str__(self) -> str:
        took = timedelta(seconds=max(1, round(self.seconds)))
        return (
            f"{self.solver.name} solver, {self.size.n_rows} equations: about {took} (h:mm:ss),"
            f" {self.memory / 1e9:.1f} GB of {self.budget / 1e9:.1f} GB"
        )


def plan(
    size: Size, *, solver: str = "auto", max_memory: float | None = None, checkpoint: Path | None = None, device: str
) -> Plan:
    """The fastest solver that fits into memory, or the one that is named.

    Raises
    ------
    InputError
        An unknown solver; a limit that is not positive; none fits: the message says how many geometries would.
    """
    if solver not in SOLVERS:
        raise InputError(f"there is no solver {solver!r}", expected=f"one of {', '.join(SOLVERS)}")
    if max_memory is not None and not max_memory > 0.0:
        raise InputError(f"max_memory = {max_memory}", expected="GB, more than 0")
    free = available_memory(device)
    budget = int(SHARE * free) if max_memory is None else int(max_memory * 1e9)
    found = _fitting(size, solver, budget, checkpoint)
    if not found:
        raise _does_not_fit(size, solver, budget, checkpoint)
    speed = _speed(device)
    plans = [Plan(each, size, each.memory(size), budget, each.operations(size) / speed) for each in found]
    return min(plans, key=lambda each: each.seconds / (_EXACTNESS if isinstance(each.solver, DirectSolver) else 1.0))


def _fitting(size: Size, name: str, budget: int, checkpoint: Path | None) -> list[Solver]:
    """The solvers that fit; of the iterative ones, the strongest."""
    direct = [DirectSolver()] if name in ("auto", "direct") else []
    wanted = min(size.n_rows, max(_LEAST_RANK, size.n_rows // _PER_RANK))
    ranks = [wanted, wanted // 2, wanted // 4] if name in ("auto", "iterative") else []
    iterative = [IterativeSolver(max(1, rank), keep, checkpoint) for rank in ranks for keep in (True, False)]
    fitting = next(([each] for each in iterative if each.memory(size) <= budget), [])
    return [*(each for each in direct if each.memory(size) <= budget), *fitting]


def _does_not_fit(size: Size, name: str, budget: int, checkpoint: Path | None) -> InputError:
    fitting, too_many = 0, size.n_points
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        smaller = Size(middle, size.block_size, size.n_pairs, size.n_perms)
        if _fitting(smaller, name, budget, checkpoint):
            fitting = middle
        else:
            too_many = middle
    least = DirectSolver() if name == "direct" else IterativeSolver(max(1, size.n_rows // (4 * _PER_RANK)), keep=False)
    return InputError(
        f"training on {size.n_points} geometries needs {least.memory(size) / 1e9:.1f} GB of memory"
        f" with the {least.name} solver, {budget / 1e9:.1f} GB may be used",
        hint=(f"train on at most {fitting} geometries (n_train={fitting}), or " if fitting else "")
        + "raise max_memory, or take a machine with more memory",
    )


def _speed(device: str) -> float:
    """Operations a second of a matrix product in float64, measured."""
    matrix = torch.ones(_PROBE, _PROBE, dtype=torch.float64, device=device)
    float((matrix @ matrix)[0, 0])
    start = time.perf_counter()
    float((matrix @ matrix)[0, 0])
    return 2.0 * _PROBE**3 / (time.perf_counter() - start)
