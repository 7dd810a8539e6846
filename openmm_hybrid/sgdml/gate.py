"""The gate of a correction: the correction acts near its training geometries, and fades away from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import positions_to_angstrom
from openmm_hybrid.core.versioned_npz import Arrays, prefixed
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.models.energy_model import EnergyModel, TorchModel
from openmm_hybrid.models.storage import pack, unpack
from openmm_hybrid.sgdml.distance import TrainingDistance, training_distance
from openmm_hybrid.sgdml.model import SGDMLModel

LOWER: float = 1.5
UPPER: float = 2.5
"""Distances D between which a correction fades by default."""


@final
@dataclass(frozen=True, eq=False)
class Gated(TorchModel):
    """A model that fades smoothly: E = g(D) (E_model − E₀), F = g F_model − (E_model − E₀) g′(D) ∂D/∂r.

    g = 1 − t³ (10 − 15 t + 6 t²), where t = (D − lower)/(upper − lower) is clamped to [0, 1], has two continuous
    derivatives, so that energy is conserved. The second part of the force is the slope of the gate itself; it is small
    if E₀ is the model's mean energy. Made by `gate`, which puts E₀ into the model's constant.

    Parameters
    ----------
    model : EnergyModel
        Model with a TorchScript form.
    distance : TrainingDistance
        Distance of the same atoms.
    lower, upper : float
        D below which the model acts in full, and D above which it does not act.
    offset : float, kcal/mol
        E₀: the model's mean energy over its training frames, unless its constant already includes it.

    Raises
    ------
    InputError
        Limits that are not 0 < lower < upper, or an offset that is not finite.
    MismatchError
        Model and distance have different atoms, or the model has no TorchScript form.
    """

    model: EnergyModel
    distance: TrainingDistance = field(repr=False)
    lower: float = LOWER
    upper: float = UPPER
    offset: float = 0.0
    kind: ClassVar[str] = "gated"

    def __post_init__(self) -> None:
        if not 0.0 < self.lower < self.upper < np.inf:
            raise InputError(f"the gate's limits are {self.lower} and {self.upper}", expected="0 < lower < upper")
        if not np.isfinite(self.offset):
            raise InputError(f"the gate's offset is {self.offset}", expected="a finite energy in kcal/mol")
        if not np.array_equal(self.model.atomic_numbers, self.distance.atomic_numbers):
            raise MismatchError(
                f"the model has the atomic numbers {self.model.atomic_numbers.tolist()}",
                expected=f"{self.distance.atomic_numbers.tolist()}, as the distance has",
            )
        self.model.module()

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """See `EnergyModel.atomic_numbers`."""
        return self.model.atomic_numbers

    def module(self) -> torch.nn.Module:
        """See `EnergyModel.module`."""
        return _GatedModule(self.model.module(), self.distance.module(), (self.lower, self.upper), self.offset)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """See `EnergyModel.to_arrays`."""
        inner, arrays = pack(self.model)
        distance = {name: getattr(self.distance, name) for name in ("descriptors", "perms", "landmarks")}
        limits = {name: float(getattr(self, name)) for name in ("lower", "upper", "offset")}
        return {"model": inner, **limits}, prefixed("model/", arrays) | prefixed("distance/", distance)

    @classmethod
    def from_arrays(cls, description: Mapping[str, Any], arrays: Arrays) -> Gated:
        """The gated model that `to_arrays` described."""
        model = unpack(description["model"], arrays.under("model/"))
        parts = arrays.under("distance/")
        descriptors = parts.floats("descriptors", (None, None))
        perms = parts.integers("perms", (None, model.n_atoms), model.n_atoms)
        landmarks = parts.integers("landmarks", (None,), len(descriptors))
        distance = TrainingDistance(model.atomic_numbers, descriptors, perms, landmarks)
        return cls(model, distance, *(float(description[name]) for name in ("lower", "upper", "offset")))

    def factors(self, positions: ArrayLike) -> NDArray[np.float64]:
        """g (n_frames,) of geometries (n_frames, n_atoms, 3) in Å."""
        return self._factors(np.atleast_1d(self.distance.predict(positions)))

    def _factors(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        limits = torch.tensor((self.lower, self.upper), dtype=torch.float64)
        return gate_factor(torch.as_tensor(distances), limits[0], limits[1])[0].numpy()


def gate(
    model: SGDMLModel,
    frames: Frames,
    *,
    lower: float = LOWER,
    upper: float = UPPER,
    n_points: int | None = None,
) -> Gated:
    """Add a gate to an sGDML model.

    Parameters
    ----------
    model : SGDMLModel
        For a compressed model, make a `Gated` of it and of the original model's distance instead.
    frames : Frames
        The training geometries, or similar ones. The mean of the model's energies over them is subtracted, so that the
        gate's own force is small.
    lower, upper : float
        Distances (see `openmm_hybrid.sgdml.TrainingDistance`) between which the model fades.
    n_points : int, optional
        Number of training points to which distances are measured (see `openmm_hybrid.sgdml.training_distance`).

    Raises
    ------
    InputError, MismatchError
        As for `Gated` and `openmm_hybrid.sgdml.training_distance`.
    """
    if not len(frames):
        raise InputError("there are no frames for the mean energy", expected="the training frames")
    mean = float(model.predict(frames.positions)[0].mean())
    # In the model's own constant, not as an offset: the difference of two large energies has few digits in float32.
    centred = replace(model, c=model.c - mean)
    return Gated(centred, training_distance(model, n_points=n_points), lower, upper)


@final
@dataclass(frozen=True, eq=False)
class GateReport:
    """Distances and factors of a run's frames. Made by `gate_report`.

    Parameters
    ----------
    distances, factors : (n_frames,)
        D and g.
    positions : (n_frames, n_atoms, 3), Å
        Geometries of the whole molecule, for new labels.
    """

    distances: NDArray[np.float64] = field(repr=False)
    factors: NDArray[np.float64] = field(repr=False)
    positions: NDArray[np.float64] = field(repr=False)

    @property
    def hits(self) -> NDArray[np.int64]:
        """Indices of the frames in which the model did not act in full, the farthest first."""
        reduced = np.flatnonzero(self.factors < 1.0)
        return reduced[np.argsort(-self.distances[reduced], kind="stable")]

    @property
    def reduced(self) -> float:
        """Share of the frames in which the model did not act in full."""
        return float((self.factors < 1.0).mean()) if len(self.factors) else 0.0

    @property
    def closed(self) -> float:
        """Share of the frames in which the model did not act at all."""
        return float((self.factors == 0.0).mean()) if len(self.factors) else 0.0

    def summary(self) -> str:
        """The report as one line of text."""
        largest = f"{self.distances.max():.2f}" if len(self.distances) else "–"
        return (
            f"gate: {len(self.factors)} frames, {self.reduced:.2%} with less than the full correction, "
            f"{self.closed:.2%} with none, largest distance {largest}"
        )

    def save_hits(self, path: str | Path, atomic_numbers: ArrayLike, *, name: str = "molecule") -> Path | None:
        """Write the frames of `hits` (npz, xyz, h5), for new labels and training. Returns the path.

        `atomic_numbers` (n_atoms,) are those of the whole molecule. Without hits, writes nothing and returns None.
        """
        if not len(self.hits):
            return None
        return Frames(np.asarray(atomic_numbers), self.positions[self.hits], name=name).save(path)


def gate_report(gated: Gated, positions: ArrayLike, *, atoms: ArrayLike | None = None) -> GateReport:
    """Distances and factors of a run's frames.

    Parameters
    ----------
    gated : Gated
    positions : (n_frames, n_atoms, 3), Å, or a Quantity
    atoms : (gated.n_atoms,), optional
        Indices of the model's atoms in the frames; by default the frames contain these alone.

    Raises
    ------
    InputError, MismatchError
        The frames do not fit.
    """
    frames = positions_to_angstrom(positions)
    if frames.ndim != 3:
        raise InputError(f"positions have shape {frames.shape}", expected="(n_frames, n_atoms, 3)")
    chosen = np.arange(frames.shape[1]) if atoms is None else np.asarray(atoms)
    distances = gated.distance.predict(frames[:, chosen])
    return GateReport(distances, gated._factors(distances), frames)


def gate_factor(distance: Tensor, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """g(D) and dg/dD."""
    t = ((distance - lower) / (upper - lower)).clamp(0.0, 1.0)
    return 1.0 - t * t * t * (10.0 - 15.0 * t + 6.0 * t * t), -30.0 * (t * (1.0 - t)).square() / (upper - lower)


class _GatedModule(torch.nn.Module):
    """The equation of `Gated`."""

    def __init__(
        self, inner: torch.nn.Module, distance: torch.nn.Module, limits: tuple[float, float], offset: float
    ) -> None:
        super().__init__()
        self.inner = inner
        self.distance = distance
        lower, upper = torch.tensor(limits, dtype=torch.float64)
        self.lower, self.upper = torch.nn.Buffer(lower), torch.nn.Buffer(upper)
        self.offset = torch.nn.Buffer(torch.tensor(offset, dtype=torch.float64))

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        energies, forces = self.inner(positions)
        distance, slope = self.distance(positions)
        g, dg = gate_factor(distance, self.lower, self.upper)
        centred = energies - self.offset
        return g * centred, g.view(-1, 1, 1) * forces - (centred * dg).view(-1, 1, 1) * slope
