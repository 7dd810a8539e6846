"""The distance of a geometry to the training set, which tells where a model can be trusted.

With the descriptor z_k = x_k/√s_k, where s_k is the standard deviation of pair k's inverse distance over the training
points and their permuted images, the distance of a geometry to the training set is the soft minimum

    D = (1/ℓ) [Σ_s Σ_m |z_s − z_m|^(−2p)]^(−1/2p),   p = 8,

over training points m, all or some of them, and permutations s. It is smooth, zero at training points only, invariant
under translation, rotation and the permutations, and has an analytic gradient. ℓ makes the median of the leave-one-out
distances of the training points one. This measure is our choice.
"""

# TorchScript needs types as objects: no `from __future__ import annotations` in this file.

from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import strip
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.sgdml.descriptor import pairs, sorted_pair_permutations
from openmm_hybrid.sgdml.model import SGDMLModel

_STIFFEST = 1e-3  # smallest spread of a pair's inverse distance that counts, relative to the largest spread
_SAME = 1e-5  # √v of copies of a geometry, from rounding errors
_BATCH = 64  # frames per evaluation


class DistanceModule(torch.nn.Module):
    """forward(positions (n, n_atoms, 3) Å) → distances D (n,) and their gradients ∂D/∂r (n, n_atoms, 3), 1/Å.

    Pairs that no permutation moves come first: their products are made once per frame, not once per permutation.

    Parameters
    ----------
    descriptors : (n_train, n_pairs), 1/Å
    perms : (n_perms, n_atoms)
        A group of permutations.
    landmarks : (n_landmarks,)
        Indices of the training points to which distances are measured. Centre and spread are those of all points.
    """

    pair_of: Tensor  # (n_pairs,), indices of the pairs in the matrix of all distances
    number_of: Tensor  # (n_atoms²,), the pair of each element of that matrix; arbitrary for the diagonal
    weight: Tensor  # (n_pairs,), 1/√s
    offset: Tensor
    squares: Tensor  # (n_landmarks,)
    fixed_points: Tensor  # (n_fixed, n_landmarks), −2 z_m
    moved_points: Tensor  # (n_moved, n_landmarks)
    permute: Tensor  # (n_perms · n_moved,)
    undo: Tensor
    scale: Tensor  # (1,), ℓ

    def __init__(
        self, descriptors: NDArray[np.float64], perms: NDArray[np.int64], landmarks: NDArray[np.int64]
    ) -> None:
        super().__init__()
        moves, order, self.n_fixed = sorted_pair_permutations(perms)
        points = descriptors[:, order]
        # Mean and spread over all images have the symmetry of the group, so that z permutes as x does.
        centre = points.mean(axis=0)[moves].mean(axis=0)
        spread = np.sqrt(((points - centre) ** 2).mean(axis=0)[moves].mean(axis=0))
        weight = np.maximum(spread, max(_STIFFEST * spread.max(), 1e-12)) ** -0.5
        z = torch.tensor((points[landmarks] - centre) * weight)
        self.n_perms = len(perms)
        moved = moves[:, self.n_fixed :] - self.n_fixed
        undo = np.argsort(moved, axis=1) + moved.shape[1] * np.arange(len(moved))[:, None]
        i, j = pairs(perms.shape[1])[order].T
        number_of = np.zeros((perms.shape[1], perms.shape[1]), dtype=np.int64)
        number_of[i, j] = number_of[j, i] = np.arange(len(i))
        columns = -2.0 * z.t()
        for name, buffer in {
            "pair_of": torch.tensor(i * perms.shape[1] + j),
            "number_of": torch.tensor(number_of.ravel()),
            "weight": torch.tensor(weight),
            "offset": torch.tensor(-centre * weight),
            "squares": z.square().sum(1),
            "fixed_points": columns[: self.n_fixed].contiguous(),
            "moved_points": columns[self.n_fixed :].contiguous(),
            "permute": torch.tensor(moved.ravel() + self.n_fixed),
            "undo": torch.tensor(undo.ravel()),
            "scale": torch.ones(1, dtype=torch.float64),
        }.items():
            self.register_buffer(name, buffer)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Distances (n,) and gradients (n, n_atoms, 3) at positions (n, n_atoms, 3), without a gradient tape."""
        n, n_atoms = positions.size(0), positions.size(1)
        # Not detach(): torch.jit.freeze removes it.
        columns = positions.data.to(self.weight.dtype).transpose(1, 2).contiguous()
        difference = columns.unsqueeze(3) - columns.unsqueeze(2)
        x = (difference * difference).sum(1).view(n, n_atoms * n_atoms).index_select(1, self.pair_of).rsqrt()
        z = torch.addcmul(self.offset, x, self.weight)
        square, weight, factor = _soft_minimum(self.square_distances(z))
        distance = square.sqrt() / self.scale
        slope = self._slope(z, weight) * (factor / (distance * self.scale * self.scale)).unsqueeze(1)
        matrix = (slope * self.weight * torch.pow(x, 3)).index_select(1, self.number_of).view(n, 1, n_atoms, n_atoms)
        return distance, (difference * matrix).sum(3).neg_().transpose(1, 2).contiguous()

    def points(self) -> Tensor:
        """z of the landmarks (n_landmarks, n_pairs)."""
        return -0.5 * torch.cat([self.fixed_points, self.moved_points]).t()

    def square_distances(self, z: Tensor) -> Tensor:
        """|z_s − z_m|² (n, n_perms, n_landmarks) of queries z (n, n_pairs)."""
        n, n_points = z.size(0), self.squares.size(0)
        common = torch.addmm(self.squares, z[:, : self.n_fixed], self.fixed_points)
        common = common + (z * z).sum(1, keepdim=True)
        moved = z.index_select(1, self.permute).view(n * self.n_perms, self.moved_points.size(0))
        return (moved @ self.moved_points).view(n, self.n_perms, n_points).add_(common.unsqueeze(1))

    def _slope(self, z: Tensor, weight: Tensor) -> Tensor:
        """Σ w (z_s − z_m) (n, n_pairs), in the order of the query's pairs."""
        n, n_moved = z.size(0), self.moved_points.size(0)
        total = weight.sum((1, 2)).unsqueeze(1)
        fixed = 0.5 * (weight.sum(1) @ self.fixed_points.t())
        rows = weight.view(n * self.n_perms, weight.size(2))
        moved = 0.5 * (rows @ self.moved_points.t()).view(n, self.n_perms * n_moved)
        moved = moved.index_select(1, self.undo).view(n, self.n_perms, n_moved).sum(1)
        return torch.addcmul(torch.cat([fixed, moved], 1), total, z)


@final
@dataclass(frozen=True, eq=False)
class TrainingDistance:
    """The distance D of geometries to a training set, in units of the median distance within it; see the module.

    Made by `training_distance`. D is about 1 for geometries that resemble the training set.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    descriptors : (n_train, n_pairs), 1/Å
        Descriptors of the training geometries.
    perms : (n_perms, n_atoms)
    landmarks : (n_landmarks,)
        Indices of the training geometries to which distances are measured.
    left_out : (n_train,)
        D of each training geometry to the others, for the choice of a limit; their median is 1.
    """

    atomic_numbers: NDArray[np.int64]
    descriptors: NDArray[np.float64] = field(repr=False)
    perms: NDArray[np.int64] = field(repr=False)
    landmarks: NDArray[np.int64] = field(repr=False)
    left_out: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.descriptors) < 2 or len(self.landmarks) < 2:
            raise InputError("one training geometry has no distance to others", expected="two or more")
        whole = DistanceModule(self.descriptors, self.perms, np.arange(len(self.descriptors)))
        distances = _left_out(self._module, whole.points(), self.landmarks)
        scale = float(np.median(distances))
        if scale < _SAME:
            raise InputError("most training geometries are copies of others", hint="train on distinct geometries")
        self._module.scale.fill_(scale)
        object.__setattr__(self, "left_out", distances / scale)

    def predict(self, positions: ArrayLike) -> NDArray[np.float64]:
        """D of geometries.

        Parameters
        ----------
        positions : array_like, (n_frames, n_atoms, 3) or (n_atoms, 3), Å, or an `openmm.unit` quantity

        Returns
        -------
        (n_frames,), or a 0-d array for one frame

        Raises
        ------
        MismatchError
            The shape does not fit.
        InputError
            A coordinate is not finite.
        """
        given = np.asarray(strip(positions, "length"), dtype=np.float64)
        frames = Frames(self.atomic_numbers, given[None] if given.ndim == 2 else given)
        distances = [self._module(part)[0] for part in torch.tensor(frames.positions).split(_BATCH)]
        return torch.cat(distances or [torch.zeros(0)]).numpy().reshape(given.shape[:-2])

    def module(self) -> DistanceModule:
        """A scriptable module: positions (n, n_atoms, 3) Å → D (n,) and ∂D/∂r (n, n_atoms, 3), 1/Å.

        The results carry no gradient tape. At a training point D has a cusp, and the gradient is finite but arbitrary.
        """
        return deepcopy(self._module)

    @cached_property
    def _module(self) -> DistanceModule:
        return DistanceModule(self.descriptors, self.perms, self.landmarks)


def training_distance(model: SGDMLModel, *, n_points: int | None = None) -> TrainingDistance:
    """The distance to a model's training points.

    A compressed model (see `compress`) has too few points for a meaningful distance: use the original model.

    Parameters
    ----------
    model : SGDMLModel
    n_points : int, optional
        Number of training points to which distances are measured, chosen farthest from each other. Fewer points make
        the evaluation faster, and change little far from the training set, where a gate acts. All by default.

    Raises
    ------
    InputError
        The model has a single training point, or `n_points` is below 2 or above their number.
    """
    if n_points is None:
        landmarks = np.arange(model.n_train)
    elif 2 <= n_points <= model.n_train:
        landmarks = _farthest(DistanceModule(model.descriptors, model.perms, np.arange(model.n_train)), n_points)
    else:
        raise InputError(f"n_points = {n_points}", expected=f"2 to {model.n_train}, the model's training points")
    return TrainingDistance(model.atomic_numbers, model.descriptors, model.perms, landmarks)


def _farthest(module: DistanceModule, number: int) -> NDArray[np.int64]:
    """Points one after another, each the farthest from the points before; the first is the farthest from the centre."""
    points = module.points()
    chosen = [int(module.squares.argmax())]
    nearest = torch.full((len(points),), torch.inf, dtype=torch.float64)
    while len(chosen) < number:
        nearest = torch.minimum(nearest, module.square_distances(points[chosen[-1:]]).amin((0, 1)))
        nearest[chosen] = -torch.inf
        chosen.append(int(nearest.argmax()))
    return np.array(chosen)


def _soft_minimum(squares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """v = (Σ q^−8)^(−1/8), (n,), and ∂v/∂q for squares q (n, n_perms, n_points), which are overwritten.

    The derivatives (v/q)⁹ are returned as weights (n, n_perms, n_points) and a common factor (n,).
    """
    q = squares.clamp_min_(1e-12)  # keeps the gradient finite at training points, where it has a cusp
    least = q.amin((1, 2))
    ratio = torch.div(least.view(-1, 1, 1), q)
    power = torch.mul(ratio, ratio)
    power.mul_(power).mul_(power)
    factor = power.sum((1, 2)).pow(-0.125)
    return least * factor, power.mul_(ratio), factor.pow(9)


def _left_out(module: DistanceModule, points: Tensor, landmarks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Leave-one-out √v (n_train,) of the training points z (n_train, n_pairs) to the landmarks."""
    distances = []
    indices = torch.tensor(landmarks)
    for batch in torch.arange(len(points)).split(_BATCH):
        squares = module.square_distances(points[batch])
        squares = squares.masked_fill((batch[:, None] == indices).unsqueeze(1), torch.inf)
        distances.append(_soft_minimum(squares)[0].sqrt())
    return torch.cat(distances).numpy()
