"""Hartree-Fock, density functionals, MP2 and coupled cluster with Gaussian basis sets, computed by PySCF."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, MissingDependencyError, NumericalError
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR, KCAL_PER_HARTREE
from openmm_hybrid.reference.engine_name import Option, check_options
from openmm_hybrid.reference.pyscf_methods import METHODS, Method, method_named
from openmm_hybrid.reference.reference_engine import (
    ReferenceEngine,
    charge_and_multiplicity,
    check_electrons,
    check_multiplicity,
)

if TYPE_CHECKING:
    from pyscf import gto

_CONVERGED = 1e-9  # hartree; largest change of the energy in the last step of a converged calculation
_AMPLITUDES = 1e-7  # largest norm of the change of the amplitudes in a converged coupled-cluster calculation
_MAX_CYCLES = 100  # by default
_GRID_LEVEL = 4  # by default; PySCF's own default is 3
_GRID_LEVELS = range(10)  # PySCF's scale, from coarse to fine


@dataclass(frozen=True)
class PyscfEngine(ReferenceEngine):
    """Hartree-Fock, a density functional, MP2 or coupled cluster, computed by PySCF.

    PySCF: Sun et al., J. Chem. Phys. 153, 024109 (2020). Singlets are restricted (RHF, RKS), all other multiplicities
    unrestricted (UHF, UKS). Gradients include the response of the integration grid, so that forces are the derivative
    of the energy on that grid. Elements for which the basis has an effective core potential get it. MP2, CCSD and
    CCSD(T) correlate all electrons outside of these potentials. Dispersion corrections come from simple-dftd3 (D3,
    pairs only) and dftd4 (with its three-body term). Every calculation starts from a fresh guess. PySCF uses OpenMP;
    ``OMP_NUM_THREADS`` sets the threads.

    The integration grid has a fixed orientation: with a functional, energies depend on the orientation of the molecule
    by about 10⁻² kcal/mol or less on the default grid. Hartree-Fock and the methods on top of it have no grid.

    Parameters
    ----------
    method : str
        One of `openmm_hybrid.reference.pyscf_methods.METHODS`, in upper or lower case, such as "HF", "B3LYP-D3BJ",
        "wB97X-D3" or "CCSD(T)".
    basis : str
        Basis set, as PySCF names it, such as "6-31G*" or "def2-SVP".
    charge : int
        Net charge, e.
    multiplicity : int
        Spin multiplicity 2S + 1.
    max_cycles : int
        Steps after which a self-consistent field, or coupled-cluster amplitudes, are given up as not converged.
    density_fit : bool
        Fit the density in PySCF's auxiliary basis for this basis: faster, and another level of theory. PySCF has no
        gradients of MP2 and coupled cluster with it.
    grid : int
        Level of the integration grid of a functional, from 0 (coarse) to 9 (fine). Level 3 takes about half the time
        of level 4.

    Raises
    ------
    MissingDependencyError
        PySCF is not installed, or pyscf-dispersion for a method with a dispersion correction.
    InputError
        No or unknown method or basis, a multiplicity below 1, density fitting for a method without gradients, a grid
        that does not exist or for a method without a functional, or CCSD(T) for anything but a singlet.
    """

    method: str
    basis: str
    charge: int = 0
    multiplicity: int = 1
    max_cycles: int = _MAX_CYCLES
    density_fit: bool = False
    grid: int = _GRID_LEVEL

    def __post_init__(self) -> None:
        method = method_named(self.method)
        object.__setattr__(self, "method", method.name)
        check_multiplicity(self.multiplicity)
        _check_installed(method)
        if not self.basis:
            raise InputError("pyscf needs a basis", expected="a basis set such as 6-31G* or def2-SVP")
        if not any(_functions(self.basis, number) for number in (1, 6)):
            raise InputError(f"PySCF has no basis {self.basis!r}", expected="a basis set such as 6-31G* or def2-SVP")
        if self.density_fit and method.correlation:
            raise InputError(
                f"PySCF has no gradient of {method.name} with density fitting",
                expected="density fitting for Hartree-Fock or a functional",
            )
        if self.grid not in _GRID_LEVELS:
            raise InputError(f"grid of the engine pyscf is {self.grid}", expected="a level from 0 (coarse) to 9 (fine)")
        if self.grid != _GRID_LEVEL and not method.functional:
            raise InputError(f"{method.name} has no integration grid", hint="leave the option grid out")
        if method.correlation == "CCSD(T)" and self.multiplicity != 1:
            # Its forces differ from the derivative of the energy by 0.3 kcal/mol/Å and more in PySCF 2.14.0, for water
            # with one electron less: https://github.com/pyscf/pyscf/issues/3305.
            raise InputError(
                f"PySCF has no correct gradient of CCSD(T) for the multiplicity {self.multiplicity}",
                expected="a singlet",
                hint="CCSD and MP2 take radicals",
            )

    @property
    def theory(self) -> str:
        """Level of theory, such as "PBE/6-31G*" or "PBE/def2-SVP, grid level 3, charge -1, multiplicity 2"."""
        level = f"{self.method}/{_printed(self.basis)}" + (", density fitting" if self.density_fit else "")
        level += f", grid level {self.grid}" if self.grid != _GRID_LEVEL else ""
        return level + charge_and_multiplicity(self.charge, self.multiplicity)

    @property
    def program(self) -> str:
        """The versions of PySCF and of the dispersion correction, such as "pyscf 2.14.0, pyscf-dispersion 1.7.0"."""
        main = f"pyscf {version('pyscf')}"
        return f"{main}, pyscf-dispersion {version('pyscf-dispersion')}" if self._parts.dispersion else main

    @property
    def settings(self) -> str:
        """Thresholds, and the grid and the version of libxc where there is a functional."""
        parts = self._parts
        text = f"energy converged to {_CONVERGED:g} hartree"
        if parts.correlation.startswith("CC"):
            text += f", amplitudes to {_AMPLITUDES:g}"
        if parts.functional:
            from pyscf.dft import libxc

            text += f", {parts.functional} of libxc {libxc.__version__}, grid level {self.grid}"
        return text + (f", {parts.dispersion}" if parts.dispersion else "")

    @property
    def effort(self) -> str:
        """Number of steps, such as "500 steps"; empty for the usual one."""
        return "" if self.max_cycles == _MAX_CYCLES else f"{self.max_cycles} steps"

    @property
    def _parts(self) -> Method:
        return METHODS[self.method]

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
            mol = self._molecule(atomic_numbers, positions)
            field = self._mean_field(mol)
            energy = field.kernel()
            if not field.converged:
                raise NumericalError(
                    f"{self.theory}: the self-consistent field has not converged in {self.max_cycles} steps"
                )
            if self._parts.correlation:
                energy, gradient = self._correlated(field)
            else:
                derivative = field.nuc_grad_method()
                derivative.grid_response = True
                gradient = derivative.kernel()
            if self._parts.dispersion:
                correction = _dispersion(mol, self._parts.dispersion)
                energy, gradient = energy + correction[0], gradient + correction[1]
        except (RuntimeError, np.linalg.LinAlgError) as error:
            raise NumericalError(f"{self.theory}: {type(error).__name__}: {error}") from error
        return float(energy) * KCAL_PER_HARTREE, np.asarray(gradient) * (-KCAL_PER_HARTREE / ANGSTROM_PER_BOHR)

    def _correlated(self, field: Any) -> tuple[float, NDArray[np.float64]]:
        """Energy (hartree) and gradient (hartree/bohr) of a method on top of a converged Hartree-Fock field."""
        from pyscf import cc, mp

        if self._parts.correlation == "MP2":
            solved = mp.MP2(field)
            solved.kernel()
            return solved.e_tot, solved.nuc_grad_method().kernel()
        solved = cc.CCSD(field)
        solved.conv_tol, solved.conv_tol_normt, solved.max_cycle = _CONVERGED, _AMPLITUDES, self.max_cycles
        solved.kernel()
        if not solved.converged:
            raise NumericalError(f"{self.theory}: the amplitudes have not converged in {self.max_cycles} steps")
        if self._parts.correlation == "CCSD(T)":
            return self._with_triples(solved)
        solved.solve_lambda()
        if not solved.converged_lambda:
            raise NumericalError(f"{self.theory}: the lambda equations have not converged")
        return solved.e_tot, solved.nuc_grad_method().kernel()

    def _with_triples(self, solved: Any) -> tuple[float, NDArray[np.float64]]:
        """Energy and gradient of CCSD(T) for a singlet from converged CCSD amplitudes.

        PySCF's gradient of CCSD(T) takes the lambda amplitudes of plain CCSD unless it is given those with triples.
        """
        from pyscf.cc import ccsd_t_lambda
        from pyscf.grad import ccsd_t

        integrals = solved.ao2mo()
        energy = solved.e_tot + solved.ccsd_t(eris=integrals)
        converged, *amplitudes = ccsd_t_lambda.kernel(solved, integrals, solved.t1, solved.t2, verbose=0)
        if not converged:
            raise NumericalError(f"{self.theory}: the lambda equations have not converged")
        return energy, ccsd_t.Gradients(solved).kernel(solved.t1, solved.t2, *amplitudes, eris=integrals)

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

        functional = self._parts.functional
        if functional:
            field = dft.RKS(mol) if self.multiplicity == 1 else dft.UKS(mol)
            field.xc = functional
            field.nlc = False  # of the functionals here, those with a nonlocal correlation have D3 or D4 instead
            field.grids.level = self.grid
        else:
            field = scf.RHF(mol) if self.multiplicity == 1 else scf.UHF(mol)
        if self.density_fit:
            field = field.density_fit()
        field.conv_tol = _CONVERGED
        field.max_cycle = self.max_cycles
        field.chkfile = None
        if getattr(field, "_chkfile", None) is not None:
            field._chkfile.close()  # otherwise a correlated method keeps this file open until garbage is collected
        return field


def pyscf(
    method: str = "",
    basis: str = "",
    charge: int = 0,
    multiplicity: int = 1,
    options: Mapping[str, Option] | None = None,
) -> PyscfEngine:
    """The engine "pyscf", which needs a method and a basis; its options are `density_fit`, `grid` and `max_cycles`.

    See `PyscfEngine`.
    """
    given = dict(options or {})
    check_options(given, {"density_fit": bool, "grid": int, "max_cycles": int}, "pyscf")
    return PyscfEngine(
        method,
        basis,
        charge,
        multiplicity,
        max_cycles=int(given.get("max_cycles") or _MAX_CYCLES),
        density_fit=bool(given.get("density_fit")),
        grid=_GRID_LEVEL if given.get("grid") is None else int(given["grid"] or 0),
    )


def _check_installed(method: Method) -> None:
    try:
        import pyscf  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"{method.name} needs PySCF, which cannot be loaded ({error})",
            hint='pip install "openmm-hybrid[gaff]", or choose another engine',
        ) from None
    if not method.dispersion:
        return
    try:
        from pyscf.dispersion import dftd3, dftd4  # noqa: F401

        version("pyscf-dispersion")
    except (ImportError, PackageNotFoundError) as error:
        raise MissingDependencyError(
            f"{method.name} needs pyscf-dispersion, which cannot be loaded ({error})",
            hint='pip install "openmm-hybrid[labels]", or choose a method without dispersion correction',
        ) from None


def _dispersion(mol: gto.Mole, correction: str) -> tuple[float, NDArray[np.float64]]:
    """Energy (hartree) and gradient (hartree/bohr) of a correction such as "d3bj:pbe"."""
    from pyscf.dispersion import dftd3, dftd4

    kind, parameters = correction.split(":")
    if kind == "d4":
        model = dftd4.DFTD4Dispersion(mol, xc=parameters)
    else:
        model = dftd3.DFTD3Dispersion(mol, xc=parameters, version=kind, atm=False)
    found = model.get_dispersion(grad=True)
    return float(found["energy"]), np.asarray(found["gradient"])


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
