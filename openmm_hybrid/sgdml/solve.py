"""The linear system of training: choice of the solver, expected time and memory, and the solution."""

from __future__ import annotations

import difflib
import os
import sys
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.solvers import SOLVERS
from openmm_hybrid.sgdml.solvers.solver import Size, Solver

MEMORY_SHARE = 0.8
"""Share of the free memory that may be used by default."""
_PROBE = 1500  # rows of the matrix product that measures this machine
_ANNOUNCED = 3.0  # seconds of expected time from which the plan is printed
_MEMINFO = Path("/proc/meminfo")
#: Files with the memory limit and the memory in use of a container's control group, of version 2 and 1.
_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


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
    """Solve (K_Hess + λ1) β = y for β (n_rows,).

    Parameters
    ----------
    kernel : HessianKernel
    labels : Tensor (n_rows,)
        y, in the kernel's components (`HessianKernel.reduce`).
    lam : float
        λ ≥ 0.
    solver : str
        "direct", "iterative", the name of another distribution's solver, or "auto" for the fastest that fits into
        memory. If that one fails, or expects to take longer than another, "auto" changes to the other.
    max_memory : float, optional
        Memory in GB that the solver may use; 80 % of the free memory by default.
    checkpoint : Path, optional
        File in which the iterative solver keeps its state; a training that was killed resumes from it.
    start : Tensor (n_rows,), optional
        A guess of β.
    progress : bool
        Print the choice with its expected time and memory, and show the progress.

    Raises
    ------
    InputError
        No solver fits into memory, or a setting is not possible; nothing has been computed then.
    NumericalError
        No solver reaches its accuracy; the message names each with its reason.
    """
    size, device = Size.of(kernel), str(kernel.x.device)
    choices = plans(size, solver=solver, max_memory=max_memory, checkpoint=checkpoint, device=device)
    failures: list[tuple[str, NumericalError]] = []
    for k, chosen in enumerate(choices):
        others = choices[k + 1 :]
        variant = chosen.solver.within(min(other.seconds for other in others)) if others else chosen.solver
        if progress and (failures or chosen.seconds > _ANNOUNCED):
            print(f"{failures[-1][1].problem}; next: {chosen}" if failures else chosen, file=sys.stderr)
        try:
            solution = variant.solve(kernel, labels, lam=lam, start=start, progress=progress)
        except NumericalError as error:
            # Without its traceback, which would keep the solver's arrays.
            failures.append((chosen.solver.name, error.with_traceback(None)))
            continue
        if checkpoint is not None and any(SOLVERS.load(name).keeps_checkpoint for name, _ in failures):
            checkpoint.unlink(missing_ok=True)
        return solution
    raise _all_failed(failures, _too_large(solver, size, choices, checkpoint))


@final
@dataclass(frozen=True)
class Plan:
    """A solver for a linear system, with its expected memory (bytes) and time (s).

    Parameters
    ----------
    solver : Solver
    size : Size
    memory, budget : int
        Expected and permitted memory, bytes.
    seconds : float
        Expected time.
    """

    solver: Solver
    size: Size
    memory: int
    budget: int
    seconds: float

    def __str__(self) -> str:
        duration = timedelta(seconds=max(1, round(self.seconds)))
        return (
            f"{self.solver.name} solver, {self.size.n_rows} equations: about {duration} (h:mm:ss),"
            f" {self.memory / 1e9:.1f} GB of {self.budget / 1e9:.1f} GB"
        )


def plan(
    size: Size, *, solver: str = "auto", max_memory: float | None = None, checkpoint: Path | None = None, device: str
) -> Plan:
    """The first of `plans`: the fastest solver that fits into memory, or the named one."""
    return plans(size, solver=solver, max_memory=max_memory, checkpoint=checkpoint, device=device)[0]


def plans(
    size: Size, *, solver: str = "auto", max_memory: float | None = None, checkpoint: Path | None = None, device: str
) -> list[Plan]:
    """The solvers that fit into memory, the fastest first, or the named one; see `solve` for the settings.

    A solver's time is divided by its `Solver.preference` before the times are compared.

    Raises
    ------
    InputError
        An unknown solver; a limit that is not positive; a solver that does not take energies or keeps no checkpoint;
        none fits into memory: the message says how many geometries would.
    """
    if solver not in (names := ("auto", *SOLVERS.names())):
        near = difflib.get_close_matches(solver, names, n=1)
        raise InputError(
            f"unknown solver {solver!r}",
            expected=f"one of {', '.join(names)}",
            hint=f"did you mean {near[0]}?" if near else "",
        )
    if max_memory is not None and not max_memory > 0.0:
        raise InputError(f"max_memory = {max_memory}", expected="GB, more than 0")
    kinds = _suitable(solver, size, checkpoint)
    budget = int(MEMORY_SHARE * available_memory(device)) if max_memory is None else int(max_memory * 1e9)
    found = _fitting(kinds, size, budget, checkpoint)
    if not found:
        raise _does_not_fit(kinds, size, budget, checkpoint)
    speed = _speed(device)
    options = [Plan(variant, size, variant.memory(size), budget, variant.operations(size) / speed) for variant in found]
    return sorted(options, key=lambda option: option.seconds / option.solver.preference)


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
        raise InputError("torch finds no GPU", hint='use device="cpu"')
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def available_memory(device: str = "cpu") -> int:
    """Free memory in bytes for this process: of the GPU, or of the machine within the limit of its container."""
    if device != "cpu":
        return torch.cuda.mem_get_info(torch.device(device))[0]
    free = [_free_in(limit, used) for limit, used in _CGROUPS if limit.is_file() and used.is_file()]
    lines = _MEMINFO.read_text().splitlines() if _MEMINFO.is_file() else []
    free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    known = [number for number in free if number is not None]
    return min(known) if known else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _free_in(limit: Path, used: Path) -> int | None:
    """Free bytes in a control group; None if it has no limit ("max")."""
    text = limit.read_text().strip()
    return max(int(text) - int(used.read_text()), 0) if text.isdecimal() else None


def _suitable(name: str, size: Size, checkpoint: Path | None) -> list[type[Solver]]:
    """The named solver, or all of them for "auto", without those that cannot take the system."""
    kinds: list[type[Solver]] = [SOLVERS.load(key) for key in (SOLVERS.names() if name == "auto" else (name,))]
    able = [kind for kind in kinds if kind.takes_energies or not size.with_energies]
    if able and (checkpoint is None or any(kind.keeps_checkpoint for kind in able)):
        return able
    known: list[type[Solver]] = [SOLVERS.load(key) for key in SOLVERS.names()]
    if size.with_energies:
        fit = [kind.name for kind in known if kind.takes_energies]
        raise InputError(
            f"an energy constraint is for the {' or '.join(fit)} solver{', which keeps no checkpoint' if able else ''}",
            expected=f"{_options(fit)}, and no checkpoint",
            hint="train on fewer geometries if memory is short, or without the constraint",
        )
    raise InputError(
        f"the {name} solver keeps no checkpoint",
        expected=_options([kind.name for kind in known if kind.keeps_checkpoint]),
        hint="train without a checkpoint",
    )


def _options(names: list[str]) -> str:
    return " or ".join(f'solver="{name}"' for name in [*names, "auto"])


def _fitting(kinds: list[type[Solver]], size: Size, budget: int, checkpoint: Path | None) -> list[Solver]:
    """The best variant of each solver that fits into memory."""
    best = (next((v for v in kind.candidates(size, checkpoint) if v.memory(size) <= budget), None) for kind in kinds)
    return [variant for variant in best if variant is not None]


def _does_not_fit(kinds: list[type[Solver]], size: Size, budget: int, checkpoint: Path | None) -> InputError:
    fitting, too_many = 0, size.n_points
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        if _fitting(kinds, replace(size, n_points=middle), budget, checkpoint):
            fitting = middle
        else:
            too_many = middle
    least = min((v for kind in kinds for v in kind.candidates(size, checkpoint)), key=lambda v: v.memory(size))
    return InputError(
        f"training on {size.n_points} geometries needs {least.memory(size) / 1e9:.1f} GB of memory"
        f" with the {least.name} solver, {budget / 1e9:.1f} GB may be used",
        hint=(f"train on at most {fitting} geometries (n_train={fitting}), or " if fitting else "")
        + "raise max_memory, or use a machine with more memory",
    )


def _too_large(name: str, size: Size, choices: list[Plan], checkpoint: Path | None) -> str:
    """Hint with the memory of the solvers that "auto" could not try."""
    tried = {choice.solver.name for choice in choices}
    options = [
        f"max_memory={least / 1e9:.1f} or more, for the {kind.name} solver"
        for kind in _suitable(name, size, checkpoint)
        if kind.name not in tried
        for least in [min(variant.memory(size) for variant in kind.candidates(size, checkpoint))]
    ]
    return " or ".join(options)


def _all_failed(failures: list[tuple[str, NumericalError]], memory: str) -> NumericalError:
    """The error of the only solver, or one error for all of them."""
    if len(failures) == 1 and not memory:
        return failures[0][1]
    general = "raise lam tenfold or more, lower sigma, or drop almost equal geometries"
    return NumericalError(
        "; ".join(f"{name} solver: {error.problem}" for name, error in failures),
        hint=f"give {memory}; or {general}" if memory else general,
    )


def _speed(device: str) -> float:
    """Floating-point operations per second of a float64 matrix product, measured."""
    matrix = torch.ones(_PROBE, _PROBE, dtype=torch.float64, device=device)
    float((matrix @ matrix)[0, 0])
    start = time.perf_counter()
    float((matrix @ matrix)[0, 0])
    return 2.0 * _PROBE**3 / (time.perf_counter() - start)
