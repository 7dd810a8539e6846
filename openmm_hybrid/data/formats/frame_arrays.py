"""The content of a file of frames, as the writers take it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class FrameArrays(Protocol):
    """Arrays and texts of labelled geometries in Å and kcal/mol; `Frames` is one."""

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """(n_atoms,)"""

    @property
    def positions(self) -> NDArray[np.float64]:
        """(n_frames, n_atoms, 3), Å"""

    @property
    def energies(self) -> NDArray[np.float64] | None:
        """(n_frames,), kcal/mol"""

    @property
    def forces(self) -> NDArray[np.float64] | None:
        """(n_frames, n_atoms, 3), kcal/mol/Å"""

    @property
    def name(self) -> str:
        """Name of the molecule or data set."""

    @property
    def theory(self) -> str:
        """Level of theory of the labels."""
