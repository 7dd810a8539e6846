"""A quick analytic TorchModel for tests: Morse curves between all pairs of atoms, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_hybrid.models.energy_model import TorchModel


@dataclass(frozen=True, eq=False)
class PairMorse(TorchModel):
    """E = Σ_{i<j} D_ij (1 − exp(−a (r_ij − r0)))², with D_ij different for every pair, so that atom order matters."""

    numbers: tuple[int, ...]
    depth: float = 5.0

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        return np.array(self.numbers, dtype=np.int64)

    def module(self) -> torch.nn.Module:
        return _PairMorseModule(len(self.numbers), self.depth)


class _PairMorseModule(torch.nn.Module):
    def __init__(self, n_atoms: int, depth: float) -> None:
        super().__init__()
        i, j = np.triu_indices(n_atoms, 1)
        self.i = torch.nn.Buffer(torch.tensor(i))
        self.j = torch.nn.Buffer(torch.tensor(j))
        self.depth = torch.nn.Buffer(torch.tensor(depth * (1.0 + 0.1 * np.arange(len(i)))))

    def forward(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = positions.data.to(self.depth.dtype)
        difference = x.index_select(1, self.i) - x.index_select(1, self.j)
        r = torch.linalg.vector_norm(difference, dim=[2])
        decay = torch.exp(-0.7 * (r - 1.5))
        slope = 1.4 * self.depth * (1.0 - decay) * decay
        pull = difference * (slope / r).unsqueeze(2)
        forces = torch.zeros_like(x).index_add(1, self.i, -pull).index_add(1, self.j, pull)
        return (self.depth * (1.0 - decay) ** 2).sum(1), forces


@dataclass(frozen=True, eq=False)
class UnscriptableMorse(PairMorse):
    """The same without a TorchScript form: what a force field or an outside calculator looks like."""

    def module(self) -> torch.nn.Module:
        return super(TorchModel, self).module()

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return PairMorse(self.numbers, self.depth).evaluate(positions)
