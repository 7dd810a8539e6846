"""ReferenceEngine: who computes the energies and forces that models are trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import pdist, squareform

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.core.units import positions_to_angstrom

#: Å; two nuclei nearer than this are a broken geometry, not a chemical one (H2 in its ground state: 0.74).
_OVERLAP = 0.3


class ReferenceEngine(ABC):
    """A level of theory that gives energy and forces of one geometry."""

    @property
    @abstractmethod
    def theory(self) -> str:
        """Level of theory, as `Frames.theory` records it; it names the charge and spin where they are not zero."""

    @property
    def net_charge(self) -> int | None:
        """Net charge (e) that the engine is set to; None where it is not known, as with a calculator of ASE."""
        return None

    def check(self, atomic_numbers: NDArray[np.int64]) -> None:
        """Refuse atoms (n_atoms,) that it cannot take in any geometry; by default it takes all.

        Raises
        ------
        InputError
        """
        return

    @abstractmethod
    def evaluate(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Energy (kcal/mol) and forces (n_atoms, 3; kcal/mol/Å) of a checked geometry (n_atoms, 3), Å.

        Raises
        ------
        NumericalError
            The calculation failed for this geometry.
        """

    def compute(self, atomic_numbers: ArrayLike, positions: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        """Energy and forces of one geometry.

        Parameters
        ----------
        atomic_numbers : (n_atoms,)
        positions : (n_atoms, 3), Å, or an `openmm.unit` quantity

        Returns
        -------
        energy : float, kcal/mol
        forces : (n_atoms, 3), kcal/mol/Å

        Raises
        ------
        InputError
            Shapes do not belong together, or a coordinate is not finite.
        NumericalError
            Atoms overlap, the calculation failed, or its result is not finite.
        """
        numbers, frame = np.asarray(atomic_numbers, dtype=np.int64), positions_to_angstrom(positions)
        if numbers.ndim != 1 or frame.shape != (len(numbers), 3):
            raise InputError(f"positions have shape {frame.shape}", expected=f"({numbers.size}, 3) for these atoms")
        if not np.isfinite(frame).all():
            raise InputError("a coordinate is not finite")
        if len(numbers) > 1:
            distances = squareform(pdist(frame))
            np.fill_diagonal(distances, np.inf)
            i, j = divmod(int(distances.argmin()), len(numbers))
            if distances[i, j] < _OVERLAP:
                raise NumericalError(f"atoms {i} and {j} overlap: they are {distances[i, j]:.3f} Å apart")
        energy, forces = self.evaluate(numbers, frame)
        if not np.isfinite(energy) or not np.isfinite(forces).all():
            raise NumericalError(f"{self.theory} gave a number that is not finite")
        return energy, forces
