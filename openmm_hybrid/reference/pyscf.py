"""Hartree-Fock and density functionals with Gaussian basis sets, computed by PySCF."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from pyscf import gto

METHODS = {
    "HF": "",
    "PBE": "pbe",
    "BLYP": "blyp",
    "TPSS": "tpss",
    "r2SCAN": "r2scan",
    "PBE0": "pbe0",
    "B3LYP": "b3lyp",
    "M06-2X": "m06-2x",
    "wB97X": "wb97x",
}
"""Method → PySCF's name of the density functional; none for Hartree-Fock."""

_CONVERGED = 1e-9  # hartree; largest change of the energy in the last step of a converged calculation
_GRID_LEVEL = 4  # PySCF's scale from 0 to 9, on which 3 is the default


@dataclass(frozen=True)
class PyscfEngine(ReferenceEngine):
    """Hartree-Fock or a density functional by PySCF (Sun et al., J. Chem. Phys. 153, 024109 (2020)).

    Singlets are restricted (RHF, RKS), all other multiplicities unrestricted (UHF, UKS). There is no dispersion
    correction and no density fitting. Gradients include the response of the integration grid, so that forces are the
    derivative of the energy on that grid. Elements for which the basis has an effective core potential get it. Every
    calculation starts from a fresh guess. PySCF uses OpenMP; ``OMP_NUM_THREADS`` sets the threads.

    The integration grid has a fixed orientation: with a functional, energies depend on the orientation of the molecule
    by about 10⁻² kcal/mol or less. Hartree-Fock has no grid.

    Parameters
    ----------
    method : str
        "HF" or one of the functionals in `METHODS`, in upper or lower case.
    basis : str
        Basis set, as PySCF names it, such as "6-31G*" or "def2-SVP".
    charge : int
        Net charge, e.
    multiplicity : int
        Spin multiplicity 2S + 1.
    max_cycles : int
        Steps after which a self-consistent field that has not converged is given up.

    Raises
    ------
    MissingDependencyError
        PySCF is not installed.
    InputError
        No or unknown method or basis, or a multiplicity below 1.
    """

    method: str
    basis: str
    charge: int = 0
    multiplicity: int = 1
    max_cycles: int = 100

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", find_method(self.method, METHODS, "pyscf"))
        check_multiplicity(self.multiplicity)
        try:
            import pyscf  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                f"{self.method} needs PySCF, which cannot be loaded ({error})",
                hint='pip install "openmm-hybrid[gaff]", or choose another engine',
            ) from None
        if not self.basis:
            raise InputError("pyscf needs a basis", expected="a basis set such as 6-31G* or def2-SVP")
        if not any(_functions(self.basis, number) for number in (1, 6)):
            raise InputError(f"PySCF has no basis {self.basis!r}", expected="a basis set such as 6-31G* or def2-SVP")

    @property
    def theory(self) -> str:
        """Level of theory, such as "PBE/6-31G*" or "HF/def2-SVP, charge -1, multiplicity 2"."""
        return f"{self.method}/{_printed(self.basis)}" + charge_and_multiplicity(self.charge, self.multiplicity)

    @property
    def program(self) -> str:
        """The version of PySCF, such as "pyscf 2.14.0"."""
        return f"pyscf {version('pyscf')}"

    @property
    def net_charge(self) -> int:
        """Net charge, e."""
        return self.charge

    def check(self, atomic_numbers: NDArray[np.int64]) -> None:
        """See `ReferenceEngine.check`."""
        for number in np.unique(atomic_numbers).tolist():
            if not _functions(self.basis, number):
                raise InputError(
                    f"the basis {self.basis} has no functions for atomic number {number}",
                    hint="choose a basis for heavier elements, such as def2-SVP",
                )
        check_electrons(atomic_numbers, self.charge, self.multiplicity)

    def evaluate(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """See `ReferenceEngine.evaluate`."""
        try:
            field = self._mean_field(self._molecule(atomic_numbers, positions))
            energy = field.kernel()
            if not field.converged:
                raise NumericalError(
                    f"{self.theory}: the self-consistent field has not converged in {self.max_cycles} steps"
                )
            gradient = field.nuc_grad_method()
            gradient.grid_response = True
            forces = gradient.kernel()
        except (RuntimeError, np.linalg.LinAlgError) as error:
            raise NumericalError(f"{self.theory}: {type(error).__name__}: {error}") from error
        return float(energy) * KCAL_PER_HARTREE, np.asarray(forces) * (-KCAL_PER_HARTREE / ANGSTROM_PER_BOHR)

    def _molecule(self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]) -> gto.Mole:
        from pyscf import gto

        kinds = np.unique(atomic_numbers).tolist()
        return gto.M(
            atom=list(zip(atomic_numbers.tolist(), (positions / ANGSTROM_PER_BOHR).tolist(), strict=True)),
            unit="Bohr",
            basis=self.basis,
            ecp={_symbol(number): self.basis for number in kinds if _has_core_potential(self.basis, number)},
            charge=self.charge,
            spin=self.multiplicity - 1,
            verbose=0,
        )

    def _mean_field(self, mol: gto.Mole) -> Any:
        from pyscf import dft, scf

        functional = METHODS[self.method]
        if functional:
            field = dft.RKS(mol) if self.multiplicity == 1 else dft.UKS(mol)
            field.xc = functional
            field.grids.level = _GRID_LEVEL
        else:
            field = scf.RHF(mol) if self.multiplicity == 1 else scf.UHF(mol)
        field.conv_tol = _CONVERGED
        field.max_cycle = self.max_cycles
        field.chkfile = None
        return field


def pyscf(method: str = "", basis: str = "", charge: int = 0, multiplicity: int = 1) -> PyscfEngine:
    """The engine "pyscf", which needs a method and a basis; see `PyscfEngine`."""
    return PyscfEngine(method, basis, charge, multiplicity)


def _printed(basis: str) -> str:
    """One spelling for a basis in upper and lower case: 6-31G*, def2-SVP, aug-cc-pVDZ."""
    name = basis.upper()
    for prefix in ("def2", "aug", "cc-p"):
        name = name.replace(prefix.upper(), prefix)
    return name


@cache
def _functions(basis: str, atomic_number: int) -> int:
    """Number of shells that a basis has for an element; 0 if PySCF does not know the basis or the element in it."""
    from pyscf.gto.basis import load
    from pyscf.lib.exceptions import BasisNotFoundError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the advice to install basis-set-exchange
        try:
            return len(load(basis, _symbol(atomic_number)))
        except (BasisNotFoundError, KeyError):
            return 0


@cache
def _has_core_potential(basis: str, atomic_number: int) -> bool:
    from pyscf.gto.basis import load_ecp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            return bool(load_ecp(basis, _symbol(atomic_number)))
        except (RuntimeError, KeyError):
            return False


def _symbol(atomic_number: int) -> str:
    from pyscf.data.elements import ELEMENTS

    return str(ELEMENTS[atomic_number])
