"""The extended tight-binding methods GFN2-xTB and GFN1-xTB, computed by tblite."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, MissingDependencyError, NumericalError
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR, KCAL_PER_HARTREE
from openmm_hybrid.reference.reference_engine import (
    ReferenceEngine,
    charge_and_multiplicity,
    check_electrons,
    check_multiplicity,
    find_method,
)

METHODS = ("GFN2-xTB", "GFN1-xTB")

_FIRST_F_IN_CORE = 58
"""Atomic number of cerium, from which on GFN-xTB counts 4f electrons to the core and parity tells nothing."""


@dataclass(frozen=True)
class TbliteEngine(ReferenceEngine):
    """A GFN-xTB method of Grimme's group (Bannwarth et al., J. Chem. Theory Comput. 15, 1652 (2019)).

    Every calculation starts from a fresh guess, so that no label depends on those before it. tblite uses OpenMP. For
    small molecules one thread is usually fastest: set ``OMP_NUM_THREADS=1`` before Python starts.

    Parameters
    ----------
    method : "GFN2-xTB" or "GFN1-xTB"
    charge : int
        Net charge, e.
    multiplicity : int
        Spin multiplicity 2S + 1.

    Raises
    ------
    MissingDependencyError
        tblite is not installed.
    InputError
        Unknown method, or a multiplicity below 1.
    """

    method: str = "GFN2-xTB"
    charge: int = 0
    multiplicity: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", find_method(self.method, METHODS, "tblite"))
        check_multiplicity(self.multiplicity)
        try:
            import tblite.interface  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                f"{self.method} needs tblite, which cannot be loaded ({error})",
                hint='pip install "openmm-hybrid[labels]", or choose another engine',
            ) from None

    @property
    def theory(self) -> str:
        """Level of theory, such as "GFN2-xTB" or "GFN2-xTB, charge -1"."""
        return self.method + charge_and_multiplicity(self.charge, self.multiplicity)

    @property
    def program(self) -> str:
        """The version of tblite, such as "tblite 0.8.0"."""
        return f"tblite {version('tblite')}"

    @property
    def net_charge(self) -> int:
        """Net charge, e."""
        return self.charge

    def check(self, atomic_numbers: NDArray[np.int64]) -> None:
        """See `ReferenceEngine.check`. tblite itself does not compare the electrons with the multiplicity."""
        if atomic_numbers.max() < _FIRST_F_IN_CORE:
            check_electrons(atomic_numbers, self.charge, self.multiplicity)

    def evaluate(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """See `ReferenceEngine.evaluate`."""
        from tblite.exceptions import TBLiteRuntimeError, TBLiteValueError
        from tblite.interface import Calculator

        try:
            bohr = positions / ANGSTROM_PER_BOHR
            calculator = Calculator(self.method, atomic_numbers, bohr, charge=self.charge, uhf=self.multiplicity - 1)
            calculator.set("verbosity", 0)
            result = calculator.singlepoint()
            energy, gradient = result.get("energy"), result.get("gradient")
        except (TBLiteRuntimeError, TBLiteValueError) as error:
            raise NumericalError(f"{self.method}: {error}") from error
        return float(energy) * KCAL_PER_HARTREE, np.asarray(gradient) * (-KCAL_PER_HARTREE / ANGSTROM_PER_BOHR)


def tblite(method: str = "", basis: str = "", charge: int = 0, multiplicity: int = 1) -> TbliteEngine:
    """The engine "tblite"; without a method it computes GFN2-xTB.

    Raises
    ------
    InputError
        A basis was given, or what `TbliteEngine` refuses.
    MissingDependencyError
        tblite is not installed.
    """
    if basis:
        raise InputError(
            f"the basis {basis!r} was given for a GFN-xTB method, which has a basis of its own",
            hint="leave the basis out, or choose the engine pyscf",
        )
    return TbliteEngine(method or METHODS[0], charge, multiplicity)


def gfn2(method: str = "", basis: str = "", charge: int = 0, multiplicity: int = 1) -> TbliteEngine:
    """The engine "gfn2": `tblite` with the method GFN2-xTB and no other."""
    return tblite(_fixed(method, "GFN2-xTB", "gfn2"), basis, charge, multiplicity)


def gfn1(method: str = "", basis: str = "", charge: int = 0, multiplicity: int = 1) -> TbliteEngine:
    """The engine "gfn1": `tblite` with the method GFN1-xTB and no other."""
    return tblite(_fixed(method, "GFN1-xTB", "gfn1"), basis, charge, multiplicity)


def _fixed(method: str, method_of_engine: str, engine: str) -> str:
    if method and method.casefold() != method_of_engine.casefold():
        raise InputError(
            f"the method {method!r} was given for the engine {engine}, which computes {method_of_engine} only",
            hint=f"leave the method out, or choose the engine tblite ({' or '.join(METHODS)})",
        )
    return method_of_engine
