"""Fitting by gradients: networks, and any other parameters, on stored coordinates and Jacobians.

An epoch evaluates networks at knots and other terms at all frames, and multiplies by the stored ∂q/∂R: nothing is
differentiated through the geometry.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

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
    """How gradients are followed: Adam on batches, then L-BFGS on all frames from the best point of Adam.

    Parameters
    ----------
    energy_weight, restraint : float
        As in `SolveSettings`.
    adam, lbfgs : int
        Epochs of each at most.
    batch : int
        Frames of a molecule in one step of Adam.
    learning_rate : float
        Of Adam at its start, in units of each parameter's scale; it falls to 1 % by a cosine.
    decay : float
        Cost of a weight that went 1 from where it was, (kcal/mol/Å)²: it keeps few frames from bending the functions.
    patience : int
        Epochs without a better validation loss after which a phase ends.
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
    """Where the gradients led.

    Parameters
    ----------
    values : (n_parameters,)
    epochs : int
        That were run.
    train, valid : tuple of float
        Loss of each epoch, (kcal/mol/Å)².
    """

    values: NDArray[np.float64]
    epochs: int
    train: tuple[float, ...]
    valid: tuple[float, ...]


def descend(
    joint: SharedParameters,
    train: Sequence[Frames],
    valid: Sequence[Frames],
    free: NDArray[np.int64],
    settings: GradientSettings,
    *,
    centre: NDArray[np.float64] | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: bool = True,
) -> Descent:
    """Follow gradients of the loss by the parameters `free` from the values of `joint`.

    Ctrl-C ends it with the best point so far. With a checkpoint file a killed run goes on where it was; the file is
    removed at the end.

    Parameters
    ----------
    joint : Joint
    train, valid : sequence of Frames
        Of each force field. Without validation frames the training loss decides.
    free : (n_free,)
    settings : GradientSettings
    centre : (n_parameters,), optional
        What the restraint pulls to; the values of `joint` by default.
    seed : int
        Of the batches.

    Raises
    ------
    InputError
        The checkpoint is damaged, or of another fit.

    Warns
    -----
    UserWarning
        It was stopped by Ctrl-C.
    """
    middle = joint.parameters.values if centre is None else centre
    run = _Run(joint, train, valid, free, settings, middle, seed)
    # Without the start: a solve that is repeated may end in other last digits.
    job = describe_fit(joint.parameters.names, settings, seed, middle, free, [*train, *valid])
    state = State.fresh(len(free)) if checkpoint is None else load_state(checkpoint, job, len(free))
    if not state.train:
        state.best_loss = run.validation(state.best)
    total, saved = settings.adam + settings.lbfgs, time.monotonic()
    with progress_bar(total, "fitting by gradients", "epochs", done=state.epoch, enabled=progress) as advance:
        try:
            while state.epoch < total:
                before = state.epoch
                state = run.epoch(state)
                if checkpoint is not None and time.monotonic() - saved >= _SAVE_EVERY:
                    save_state(checkpoint, state, job)
                    saved = time.monotonic()
                advance(state.epoch - before)
        except KeyboardInterrupt:
            warnings.warn(f"the fit was stopped after {state.epoch} epochs; its best point is kept", stacklevel=2)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return Descent(run.values(state.best), len(state.train), tuple(state.train), tuple(state.valid))


@final
class _Run:
    """The loss, and one epoch of either optimiser."""

    def __init__(
        self,
        joint: SharedParameters,
        train: Sequence[Frames],
        valid: Sequence[Frames],
        free: NDArray[np.int64],
        settings: GradientSettings,
        centre: NDArray[np.float64],
        seed: int,
    ) -> None:
        parameters = joint.parameters
        self.settings, self.seed = settings, seed
        self.train = [CachedFrames(joint, number, frames, free) for number, frames in enumerate(train)]
        self.valid = [CachedFrames(joint, number, frames, free) for number, frames in enumerate(valid) if len(frames)]
        stiffness = joint.restraints()[free]
        single = torch.float32
        self.free = torch.tensor(free)
        self.start = torch.tensor(parameters.values)
        self.scale = torch.tensor(np.where(stiffness > 0, 1.0 / np.sqrt(np.maximum(stiffness, 1e-300)), 1.0))
        self.away = (torch.tensor(parameters.values - centre)[self.free] / self.scale).to(single)
        self.restrained = torch.tensor(stiffness > 0)
        self.lower = torch.tensor(parameters.lower)[self.free]
        self.upper = torch.tensor(parameters.upper)[self.free]
        rows = torch.tensor(joint.charge_rows())[:, self.free]
        rows = rows[(rows != 0).any(1)]
        self.rows, self.back = rows, torch.linalg.pinv(rows)

    def theta(self, z: Tensor) -> Tensor:
        """All parameters at scaled displacements z (n_free,): within bounds, total charges as at the start."""
        move = self.scale * z
        if len(self.rows):
            move = move - self.back @ (self.rows @ move)
        own = torch.minimum(torch.maximum(self.start[self.free] + move, self.lower), self.upper)
        return self.start.index_copy(0, self.free, own)

    def values(self, z: Tensor) -> NDArray[np.float64]:
        return self.theta(z).numpy()

    def loss(self, stored: Sequence[CachedFrames], z: Tensor, pick: Callable[[CachedFrames], Tensor | None]) -> Tensor:
        """Mean squared force component plus the weighted variance of the energies' errors."""
        theta = self.theta(z)
        forces, energies, components, frames = z.new_zeros(()), z.new_zeros(()), 0, 0
        for part in stored:
            chosen = pick(part)
            if chosen is not None and not len(chosen):
                continue
            force, energy = part.residuals(theta, chosen)
            forces, components = forces + (force**2).sum(), components + force.numel()
            energies, frames = energies + ((energy - energy.mean()) ** 2).sum(), frames + len(energy)
        return forces / components + self.settings.energy_weight * energies / frames

    def validation(self, z: Tensor) -> float:
        """Loss of the validation frames, or of the training frames where there are none."""
        with torch.no_grad():
            return float(self.loss(self.valid or self.train, z, _all))

    def penalty(self, z: Tensor) -> Tensor:
        """Of the restraint, and of weights that went away from where they were."""
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
