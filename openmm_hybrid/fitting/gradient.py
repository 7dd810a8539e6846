"""Fitting by gradients, for networks and any other parameters, on cached coordinates and Jacobians.

An epoch evaluates networks at knots and other terms at all frames, and multiplies by the cached ∂q/∂R. No derivative
passes through the geometry.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.fitting.cached_frames import CachedFrames
from openmm_hybrid.fitting.checkpoint import State, describe_fit, load_state, save_state
from openmm_hybrid.fitting.shared_parameters import SharedParameters

_SAVE_EVERY = 20.0  # seconds between checkpoints


@final
@dataclass(frozen=True)
class GradientSettings:
    """Settings of the gradients: Adam on batches, then L-BFGS on all frames from the best point of Adam.

    Parameters
    ----------
    energy_weight, restraint : float
        As in `SolveSettings`.
    adam, lbfgs : int
        Largest numbers of epochs.
    batch : int
        Frames of each molecule in one step of Adam.
    learning_rate : float
        First learning rate of Adam, in units of each parameter's scale; it decreases to 1 % along a cosine.
    decay : float, (kcal/mol/Å)²
        Cost of a weight at a distance of 1 from its start. It keeps few frames from bending the functions.
    patience : int
        Epochs without a better validation loss that end a phase.
    """

    energy_weight: float = 0.3
    restraint: float = 0.01
    adam: int = 40
    lbfgs: int = 20
    batch: int = 300
    learning_rate: float = 1e-3
    decay: float = 1e-4
    patience: int = 10

    def __post_init__(self) -> None:
        for name in ("energy_weight", "restraint", "learning_rate", "decay"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} = {getattr(self, name)!r}", expected="a number from 0 on")
        for name, least in (("adam", 0), ("lbfgs", 0), ("batch", 1), ("patience", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} = {getattr(self, name)!r}", expected=f"a whole number from {least} on")


@final
@dataclass(frozen=True, eq=False)
class Descent:
    """Result of following gradients.

    Parameters
    ----------
    values : (n_parameters,)
        Values at the best point.
    epochs : int
        Number of epochs.
    train, valid : tuple of float
        Loss of each epoch, (kcal/mol/Å)².
    """

    values: NDArray[np.float64]
    epochs: int
    train: tuple[float, ...]
    valid: tuple[float, ...]


def descend(
    shared: SharedParameters,
    train: Sequence[Frames],
    valid: Sequence[Frames],
    free: NDArray[np.int64],
    settings: GradientSettings,
    *,
    centre: NDArray[np.float64] | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    job: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Descent:
    """Follow gradients of the loss by the parameters `free` from the values of `shared`.

    Ctrl-C ends the run at the best point so far. With a checkpoint file, a run that was killed resumes; the end of the
    run removes the file.

    Parameters
    ----------
    shared : SharedParameters
    train, valid : sequence of Frames
        Frames of each force field. Without validation frames the training loss decides when to stop.
    free : (n_free,)
        Indices of the parameters to fit.
    settings : GradientSettings
    centre : (n_parameters,), optional
        Values that the restraint pulls towards; those of `shared` by default.
    seed : int
        Seed of the batches.
    checkpoint : Path, optional
    job : mapping, optional
        What else a checkpoint must share, JSON-ready, such as the settings of the solve that led to the start.
    progress : bool

    Raises
    ------
    InputError
        The checkpoint is damaged or belongs to another fit.

    Warns
    -----
    UserWarning
        Ctrl-C stopped the run.
    """
    middle = shared.parameters.values if centre is None else centre
    run = _Run(shared, train, valid, free, settings, middle, seed)
    # The description omits the start, because a repeated solve may end in other last digits.
    described = describe_fit(shared.parameters.names, settings, seed, middle, free, train, valid) | dict(job or {})
    state = State.fresh(len(free)) if checkpoint is None else load_state(checkpoint, described, len(free))
    if not state.train:
        state.best_loss = run.validation(state.best)
    total, saved = settings.adam + settings.lbfgs, time.monotonic()
    with progress_bar(total, "fitting by gradients", "epochs", done=state.epoch, enabled=progress) as advance:
        try:
            while state.epoch < total:
                before = state.epoch
                state = run.epoch(state)
                if checkpoint is not None and time.monotonic() - saved >= _SAVE_EVERY:
                    save_state(checkpoint, state, described)
                    saved = time.monotonic()
                advance(state.epoch - before)
        except KeyboardInterrupt:
            warnings.warn(f"the fit was stopped after {state.epoch} epochs; its best point is kept", stacklevel=2)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return Descent(run.values(state.best), len(state.train), tuple(state.train), tuple(state.valid))


@final
class _Run:
    """The loss, and one epoch of Adam or L-BFGS."""

    def __init__(
        self,
        shared: SharedParameters,
        train: Sequence[Frames],
        valid: Sequence[Frames],
        free: NDArray[np.int64],
        settings: GradientSettings,
        centre: NDArray[np.float64],
        seed: int,
    ) -> None:
        parameters = shared.parameters
        self.settings, self.seed = settings, seed
        self.train = [CachedFrames(shared, index, frames, free) for index, frames in enumerate(train)]
        self.valid = [CachedFrames(shared, index, frames, free) for index, frames in enumerate(valid) if len(frames)]
        stiffness = shared.restraints()[free]
        single = torch.float32
        self.free = torch.tensor(free)
        self.start = torch.tensor(parameters.values)
        self.scale = torch.tensor(np.where(stiffness > 0, 1.0 / np.sqrt(np.maximum(stiffness, 1e-300)), 1.0))
        self.away = (torch.tensor(parameters.values - centre)[self.free] / self.scale).to(single)
        self.restrained = torch.tensor(stiffness > 0)
        self.lower = torch.tensor(parameters.lower)[self.free]
        self.upper = torch.tensor(parameters.upper)[self.free]
        rows = torch.tensor(shared.charge_rows())[:, self.free]
        rows = rows[(rows != 0).any(1)]
        self.rows, self.back = rows, torch.linalg.pinv(rows)

    def theta(self, z: Tensor) -> Tensor:
        """All parameters at scaled displacements z (n_free,), within bounds and with the total charges of the start."""
        move = self.scale * z
        if len(self.rows):
            move = move - self.back @ (self.rows @ move)
        moved = torch.minimum(torch.maximum(self.start[self.free] + move, self.lower), self.upper)
        return self.start.index_copy(0, self.free, moved)

    def values(self, z: Tensor) -> NDArray[np.float64]:
        return self.theta(z).numpy()

    def loss(self, cached: Sequence[CachedFrames], z: Tensor, pick: Callable[[CachedFrames], Tensor | None]) -> Tensor:
        """Mean squared error of force components plus the weighted variance of energy errors."""
        theta = self.theta(z)
        forces, energies, components, frames = z.new_zeros(()), z.new_zeros(()), 0, 0
        for part in cached:
            chosen = pick(part)
            if chosen is not None and not len(chosen):
                continue
            force, energy = part.residuals(theta, chosen)
            forces, components = forces + (force**2).sum(), components + force.numel()
            energies, frames = energies + ((energy - energy.mean()) ** 2).sum(), frames + len(energy)
        return forces / components + self.settings.energy_weight * energies / frames

    def validation(self, z: Tensor) -> float:
        """Loss of the validation frames, or of the training frames without validation frames."""
        with torch.no_grad():
            return float(self.loss(self.valid or self.train, z, _all))

    def penalty(self, z: Tensor) -> Tensor:
        """Cost of the restraint and of weights at a distance from their start."""
        held = torch.where(self.restrained, self.settings.restraint * (z + self.away) ** 2, self.settings.decay * z**2)
        return held.sum()

    def epoch(self, state: State) -> State:
        """The state after one more epoch."""
        z = state.z.clone().requires_grad_()
        value = self._adam(z, state) if state.epoch < self.settings.adam else self._lbfgs(z, state)
        after = state.advanced(z.detach(), value, self.validation(z.detach()))
        done = self.settings.adam if state.epoch < self.settings.adam else self.settings.adam + self.settings.lbfgs
        if after.waited >= self.settings.patience or after.epoch == self.settings.adam:
            return after.moved_to_best(done)
        return after

    def _adam(self, z: Tensor, state: State) -> float:
        settings = self.settings
        optimiser = torch.optim.Adam([z], lr=settings.learning_rate)
        if state.optimiser:
            optimiser.load_state_dict(state.optimiser)
        fraction = state.epoch / max(settings.adam, 1)
        optimiser.param_groups[0]["lr"] = settings.learning_rate * (0.01 + 0.495 * (1 + math.cos(math.pi * fraction)))
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + state.epoch)
        steps = math.ceil(max(map(len, self.train)) / settings.batch)
        orders = {part: torch.randperm(len(part), generator=generator).tensor_split(steps) for part in self.train}
        losses = []
        for step in range(steps):
            optimiser.zero_grad()
            value = self.loss(self.train, z, lambda part, step=step: orders[part][step])  # type: ignore[misc]
            (value + self.penalty(z)).backward()
            optimiser.step()
            losses.append(value.item())
        state.optimiser = optimiser.state_dict()
        return float(np.mean(losses))

    def _lbfgs(self, z: Tensor, state: State) -> float:
        optimiser = torch.optim.LBFGS([z], max_iter=5, history_size=20, line_search_fn="strong_wolfe")
        if state.optimiser:
            optimiser.load_state_dict(state.optimiser)
        seen: list[float] = []

        def closure() -> Tensor:
            optimiser.zero_grad()
            value = self.loss(self.train, z, _all)
            whole = value + self.penalty(z)
            whole.backward()
            seen.append(value.item())
            return whole

        optimiser.step(closure)
        state.optimiser = optimiser.state_dict()
        return seen[-1]


def _all(part: CachedFrames) -> Tensor | None:
    return None
