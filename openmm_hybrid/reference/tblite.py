"""GFN2-xTB and GFN1-xTB through tblite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, MissingDependencyError, NumericalError
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR, KCAL_PER_HARTREE
from openmm_hybrid.reference.reference_engine import ReferenceEngine

METHODS = ("GFN2-xTB", "GFN1-xTB")


@dataclass(frozen=True)
class TbliteEngine(ReferenceEngine):
    """An extended tight-binding method of Grimme's group (Bannwarth et al., J. Chem. Theory Comput. 15, 1652 (2019)).

    Every geometry starts from a fresh guess, so that a label does not depend on those before it. tblite uses OpenMP:
    for molecules of this size ``OMP_NUM_THREADS=1``, set before Python starts, is the fastest.

    Parameters
    ----------
    method : "GFN2-xTB" or "GFN1-xTB"
    charge : int
        Net charge, e.
    unpaired : int
        Number of unpaired electrons.

    Raises
    ------
    MissingDependencyError
        tblite is not installed.
    InputError
        Another method, or a negative number of unpaired electrons.
    """

    method: str = "GFN2-xTB"
    charge: int = 0
    unpaired: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"tblite has no method {self.method!r} here", expected=" or ".join(METHODS))
        if self.unpaired < 0:
            raise InputError(f"{self.unpaired} unpaired electrons", expected="zero or more")
        try:
            import tblite.interface  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                f"{self.method} needs tblite, which cannot be loaded ({error})",
                hint='pip install "openmm-hybrid[labels]", or give another engine (AseEngine)',
            ) from None

    @property
    def theory(self) -> str:
        """Such as "GFN2-xTB" or "GFN2-xTB, charge -1"."""
        charge = f", charge {self.charge:+d}" if self.charge else ""
        return self.method + charge + (f", {self.unpaired} unpaired" if self.unpaired else "")

    @property
    def net_charge(self) -> int:
        """Net charge, e."""
        return self.charge

    def check(self, atomic_numbers: NDArray[np.int64]) -> None:
        """See `ReferenceEngine.check`: the electrons left must pair up, which tblite itself does not ask for."""
        electrons = int(atomic_numbers.sum()) - self.charge
        # From cerium on, 4f electrons are part of the core.
        if atomic_numbers.max() < 58 and (electrons - self.unpaired) % 2:
            raise InputError(
                f"{electrons} electrons cannot have {self.unpaired} unpaired",
                hint="check the net charge and the number of unpaired electrons",
            )

    def evaluate(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """See `ReferenceEngine.evaluate`."""
        from tblite.exceptions import TBLiteRuntimeError, TBLiteValueError
        from tblite.interface import Calculator

        try:
            calculator = Calculator(
                self.method, atomic_numbers, positions / ANGSTROM_PER_BOHR, charge=self.charge, uhf=self.unpaired
            )
            calculator.set("verbosity", 0)
            result = calculator.singlepoint()
            energy, gradient = result.get("energy"), result.get("gradient")
        except (TBLiteRuntimeError, TBLiteValueError) as error:
            raise NumericalError(f"{self.method}: {error}") from error
        return float(energy) * KCAL_PER_HARTREE, np.asarray(gradient) * (-KCAL_PER_HARTREE / ANGSTROM_PER_BOHR)


def gfn2(charge: int = 0, unpaired: int = 0) -> TbliteEngine:
    """The engine called "gfn2"."""
    return TbliteEngine("GFN2-xTB", charge, unpaired)


def gfn1(charge: int = 0, unpaired: int = 0) -> TbliteEngine:
    """The engine called "gfn1"."""
    return TbliteEngine("GFN1-xTB", charge, unpaired)
