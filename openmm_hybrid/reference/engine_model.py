"""A reference engine in the place of a model."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.reference.reference_engine import ReferenceEngine


@final
class EngineModel(EnergyModel):
    """The energies and forces of a reference engine for one molecule, computed one geometry after another.

    Nothing is kept: `openmm_hybrid.reference.label` stores labels.

    Parameters
    ----------
    engine : ReferenceEngine
    molecule : Molecule

    Raises
    ------
    InputError
        The engine has no parameters for the molecule.
    MismatchError
        The engine is set to another net charge than the molecule's.
    """

    kind: ClassVar[str] = ""

    def __init__(self, engine: ReferenceEngine, molecule: Molecule) -> None:
        self._engine, self._molecule = engine.for_molecule(molecule), molecule
        self._engine.check(molecule.atomic_numbers)

    @property
    def engine(self) -> ReferenceEngine:
        """The engine, set to the molecule."""
        return self._engine

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """See `EnergyModel.atomic_numbers`."""
        return self._molecule.atomic_numbers

    @property
    def bonds(self) -> NDArray[np.int64]:
        """See `EnergyModel.bonds`: those of the molecule."""
        return self._molecule.bonds

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `EnergyModel.evaluate`.

        Raises
        ------
        NumericalError
            The calculation of a geometry failed.
        """
        found = [self._engine.compute(self.atomic_numbers, frame) for frame in positions]
        forces = [part for _, part in found]
        return np.array([energy for energy, _ in found]), np.array(forces).reshape(positions.shape)
