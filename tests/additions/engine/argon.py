"""Argon clusters with a Lennard-Jones potential, as a reference engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.reference.reference_engine import ReferenceEngine

_EPSILON, _SIGMA = 0.2378, 3.405  # kcal/mol, Å: Rahman, Phys. Rev. 136, A405 (1964), ε/k = 119.8 K


@final
@dataclass(frozen=True)
class ArgonEngine(ReferenceEngine):
    """E = Σ 4ε [(σ/r)¹² − (σ/r)⁶] over all pairs of argon atoms."""

    @property
    def theory(self) -> str:
        return "Lennard-Jones argon"

    @property
    def net_charge(self) -> int:
        return 0

    def check(self, atomic_numbers: NDArray[np.int64]) -> None:
        if (atomic_numbers != 18).any():
            raise InputError("an atom is no argon", expected="atomic number 18 for every atom")

    def evaluate(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        i, j = np.triu_indices(len(positions), 1)
        apart = positions[i] - positions[j]
        square = (apart**2).sum(axis=1)
        six = (_SIGMA**2 / square) ** 3
        pull = (24.0 * _EPSILON * (2.0 * six**2 - six) / square)[:, None] * apart
        forces = np.zeros_like(positions)
        np.add.at(forces, i, pull)
        np.add.at(forces, j, -pull)
        return float((4.0 * _EPSILON * (six**2 - six)).sum()), forces


def argon(*, method: str, basis: str, charge: int, multiplicity: int) -> ArgonEngine:
    """Make the engine; it has one level of theory, and neutral closed shells only."""
    if method or basis:
        raise InputError(f"method {method!r}, basis {basis!r} for argon", expected="neither: there is one level")
    if charge or multiplicity != 1:
        raise InputError(f"charge {charge}, multiplicity {multiplicity} for argon", expected="a neutral singlet")
    return ArgonEngine()
