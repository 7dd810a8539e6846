"""The state of conjugate gradients in a file, from which a killed training resumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.core.same_job import check_same_job
from openmm_hybrid.core.versioned_npz import NpzFormat, reading, write
from openmm_hybrid.sgdml.kernel import HessianKernel

_VECTORS = ("solution", "residual", "direction")


_FORMAT = NpzFormat(
    "openmm-hybrid training checkpoint",
    1,
    "a checkpoint of a training",
    suffix="",
    hint="remove it, or give another name",
)


@final
@dataclass
class State:
    """State of conjugate gradients after some iterations.

    Parameters
    ----------
    iteration : int
        Number of iterations done.
    solution, residual, direction : Tensor (n_rows,)
        x, r = y − A x, and the search direction p.
    slope : float
        r·P⁻¹r.
    """

    iteration: int
    solution: Tensor
    residual: Tensor
    direction: Tensor
    slope: float


def describe_system(kernel: HessianKernel, labels: Tensor, lam: float, pivots: Tensor) -> dict[str, Any]:
    """The description of a linear system and its preconditioner, which a checkpoint must share."""
    arrays = {"positions": kernel.positions, "perms": torch.tensor(kernel.perms), "labels": labels, "pivots": pivots}
    hashes = {name: fingerprint(array.cpu().numpy()) for name, array in arrays.items()}
    return {"sigma": kernel.sigma, "lam": lam, **hashes}


def save_state(path: Path, state: State, job: Mapping[str, Any]) -> None:
    """Write the file, whole or not at all."""
    vectors = {name: getattr(state, name).cpu().numpy() for name in _VECTORS}
    description = {"job": job, "iteration": state.iteration, "slope": float(state.slope)}
    write(path, _FORMAT, description, vectors, compressed=False)


def load_state(path: Path, job: Mapping[str, Any], device: torch.device) -> State | None:
    """The state in the file; None if there is no file.

    Raises
    ------
    InputError
        The file is damaged or is not a checkpoint.
    MismatchError
        It is the checkpoint of another training; the message names what differs.
    """
    if not path.is_file():
        return None
    with reading(path, _FORMAT) as (description, arrays):
        check_same_job(description["job"], job, where=path, what="training", hint=_FORMAT.hint)
        vectors = {name: torch.tensor(arrays[name], device=device) for name in _VECTORS}
        return State(int(description["iteration"]), slope=float(description["slope"]), **vectors)
