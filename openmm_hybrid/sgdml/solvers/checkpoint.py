"""The state of conjugate gradients in a file: a killed training goes on from it."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import replacing
from openmm_hybrid.sgdml.kernel import HessianKernel

_VECTORS = ("solution", "residual", "direction")


@final
@dataclass
class State:
    """Of conjugate gradients after some iterations.

    Parameters
    ----------
    iteration : int
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


def fingerprint(kernel: HessianKernel, labels: Tensor, lam: float, pivots: Tensor) -> str:
    """What a checkpoint must agree with: the linear system and the preconditioner."""
    digest = hashlib.sha256(repr((kernel.sigma, lam)).encode())
    for array in (kernel.positions, torch.tensor(kernel.perms), labels, pivots):
        digest.update(array.cpu().numpy().tobytes())
    return digest.hexdigest()


def save_state(path: Path, state: State, system: str) -> None:
    """Write the file whole or not at all."""
    vectors = {name: getattr(state, name).cpu().numpy() for name in _VECTORS}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, system=system, iteration=state.iteration, slope=state.slope, **vectors)


def load_state(path: Path, system: str, device: torch.device) -> State | None:
    """The state in the file; None where there is no file.

    Raises
    ------
    InputError
        The file is no checkpoint, or one of another training.
    """
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            found = str(file["system"])
            solution, residual, direction = (torch.tensor(file[name], device=device) for name in _VECTORS)
            state = State(int(file["iteration"]), solution, residual, direction, slope=float(file["slope"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} is no checkpoint of a training ({error})", hint="remove it, or name another"
        ) from error
    if found != system:
        raise InputError(
            f"{path} is the checkpoint of another training",
            expected="the same frames, sigma, lam, permutations and memory as when it was written",
            hint="remove it, or name another",
        )
    return state
