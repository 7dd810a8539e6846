"""Any ASE calculator as a reference engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError, CalculatorSetupError
from numpy.typing import NDArray

from openmm_hybrid.core.errors import HybridError, InputError, NumericalError
from openmm_hybrid.core.units import KCAL_PER_EV
from openmm_hybrid.reference.reference_engine import ReferenceEngine

if TYPE_CHECKING:
    from ase.calculators.abc import GetPropertiesMixin


@dataclass(frozen=True)
class AseEngine(ReferenceEngine):
    """Energies and forces by an ASE calculator, which has its own settings (method, basis, charge, multiplicity).

    Parameters
    ----------
    calculator : ase.calculators.calculator.Calculator
    level : str
        Level of theory to record; the calculator's class name if empty. Name everything that decides a label.

    Raises
    ------
    InputError
        `calculator` is not an ASE calculator.
    """

    calculator: GetPropertiesMixin
    level: str = ""

    def __post_init__(self) -> None:
        if not hasattr(self.calculator, "get_potential_energy"):
            raise InputError(f"a {type(self.calculator).__name__} was given", expected="an ASE calculator")

    @property
    def theory(self) -> str:
        """Level of theory: `level`, or the calculator's class name."""
        return self.level or f"ASE {type(self.calculator).__name__}"

    def evaluate(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """See `ReferenceEngine.evaluate`. A calculator that cannot run at all raises HybridError."""
        atoms = Atoms(numbers=atomic_numbers, positions=positions)
        atoms.calc = self.calculator
        try:
            energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        except NotImplementedError as error:
            raise InputError(f"{self.theory} does not compute energies and forces ({error})") from error
        except (OSError, CalculatorSetupError) as error:
            raise HybridError(f"{self.theory} cannot be run: {error}", hint="check its program and settings") from error
        except (CalculatorError, RuntimeError, ValueError, ArithmeticError) as error:
            raise NumericalError(f"{self.theory}: {type(error).__name__}: {error}") from error
        return float(energy) * KCAL_PER_EV, np.asarray(forces, dtype=np.float64) * KCAL_PER_EV
