"""Any ASE calculator as a reference engine."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError, CalculatorSetupError
from numpy.typing import NDArray

from openmm_hybrid.core.errors import HybridError, InputError, MismatchError, NumericalError
from openmm_hybrid.core.units import KCAL_PER_EV
from openmm_hybrid.reference.ase_parameters import (
    CHARGE,
    MULTIPLICITY,
    SILENT,
    as_text,
    level_of,
    parameter_text,
    parameters_of,
    resolved,
    stated,
)
from openmm_hybrid.reference.ase_text import calculator_named
from openmm_hybrid.reference.engine_name import Option
from openmm_hybrid.reference.reference_engine import (
    ReferenceEngine,
    charge_and_multiplicity,
    check_electrons,
    check_multiplicity,
)

if TYPE_CHECKING:
    from ase.calculators.abc import GetPropertiesMixin

_FAILURES = (CalculatorError, RuntimeError, ValueError, ArithmeticError, OSError, NotImplementedError)
_EQUAL = 1e-7  # eV; difference of the energies of two states that a calculator does not tell apart


@dataclass(frozen=True)
class AseEngine(ReferenceEngine):
    """Energies and forces by an ASE calculator, for one level of theory, charge and multiplicity.

    The energy is the one whose derivative the forces are: with smearing of the occupations, ASE's free energy.

    The calculator's `reset()` is called before each label, so that a label depends on its own geometry only.

    The Atoms that the calculator gets carry the charge and the multiplicity in every form that calculators read:
    ``info["charge"]`` and ``info["spin"]`` (2S + 1), and initial charges and magnetic moments whose sums are the net
    charge and the number of unpaired electrons. If the calculator has a charge or a multiplicity among its own
    parameters, these decide, and the engine takes them over.

    Parameters
    ----------
    calculator : ase.calculators.calculator.Calculator
    theory : str
        Level of theory without charge and multiplicity, such as "MACE-OFF23 medium". By default it consists of the
        calculator's class and `parameters`, or `todict()`; a calculator without any, such as one that reads a file with
        a network, needs this argument.
    charge : int, optional
        Net charge, e; by default the calculator's own, or 0.
    multiplicity : int, optional
        Spin multiplicity 2S + 1; by default the calculator's own, or 1.
    fixed_state : bool
        The calculator's model was made for this charge and multiplicity, and need not read them from the Atoms.
        Otherwise `label` refuses an ion whose charge the calculator does not read.

    Raises
    ------
    InputError
        `calculator` is not an ASE calculator, its level of theory is not known, or the multiplicity is below 1.
    MismatchError
        The calculator has a charge or a multiplicity of its own, and it is another one.
    """

    calculator: GetPropertiesMixin
    theory: str = ""
    charge: int | None = None
    multiplicity: int | None = None
    fixed_state: bool = False
    _parameters: Mapping[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not hasattr(self.calculator, "get_potential_energy"):
            raise InputError(f"a {type(self.calculator).__name__} was given", expected="an ASE calculator")
        parameters = parameters_of(self.calculator)
        charge = resolved(self.calculator, parameters, "charge", CHARGE, self.charge, 0)
        multiplicity = resolved(self.calculator, parameters, "multiplicity", MULTIPLICITY, self.multiplicity, 1)
        check_multiplicity(multiplicity)
        level = self.theory or level_of(self.calculator, parameters)
        object.__setattr__(self, "_parameters", parameters)
        object.__setattr__(self, "charge", charge)
        object.__setattr__(self, "multiplicity", multiplicity)
        object.__setattr__(self, "theory", level + charge_and_multiplicity(charge, multiplicity))

    @property
    def program(self) -> str:
        """Distribution of the calculator with its version, such as "ase 3.29.0" or "mace-torch 0.3.14"."""
        package = type(self.calculator).__module__.partition(".")[0]
        distribution = packages_distributions().get(package, [package])[0]
        try:
            number = version(distribution)
        except PackageNotFoundError:
            distribution, number = package, str(getattr(sys.modules.get(package), "__version__", ""))
        return f"{distribution} {number}".strip()

    @property
    def known_by_settings(self) -> bool:
        """False: a calculator may hold settings, such as a network's weights, that are none of its parameters."""
        return False

    @property
    def net_charge(self) -> int:
        """Net charge, e."""
        return self.charge or 0

    @property
    def settings(self) -> str:
        """Hash of the calculator's class and of all its parameters that decide a label."""
        text = f"{type(self.calculator).__qualname__} {parameter_text(self._parameters)}"
        return hashlib.sha256(text.encode()).hexdigest()

    def check(self, atomic_numbers: NDArray[np.int64]) -> None:
        """See `ReferenceEngine.check`. The electrons must be able to have the multiplicity.

        Raises
        ------
        MismatchError
            A parameter of the calculator was changed after the engine was made.
        """
        # A calculator may fill in parameters that are None or missing while it computes; `inspect` compares these too.
        self._check_unchanged(lambda value: isinstance(value, str | int | float))
        check_electrons(atomic_numbers, self.net_charge, self.multiplicity or 1)

    def inspect(self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]) -> None:
        """See `ReferenceEngine.inspect`. It warns if the calculator does not read the multiplicity.

        Raises
        ------
        InputError
            The calculator does not read the charge of an ion, and `fixed_state` is not set.
        MismatchError
            A parameter of the calculator was changed after the engine was made.
        """
        self._check_unchanged(lambda value: True)
        if self.fixed_state:
            return
        charge, multiplicity = self.net_charge, self.multiplicity or 1
        # Other states of the same parity: some programs end the process for electrons that cannot have the spin.
        other_charge = charge - 2 if charge > 0 else charge + 2
        other_multiplicity = multiplicity + 2 if multiplicity < 3 else multiplicity - 2
        kind = type(self.calculator).__name__
        same = f"the {kind} gives the same energy for the"
        if (
            charge
            and not stated(self.calculator, self._parameters, CHARGE)
            and self._same_energy(atomic_numbers, positions, (other_charge, multiplicity))
        ):
            raise InputError(
                f"{same} charge {charge:+d} and {other_charge:+d}: it does not read the charge of the Atoms",
                expected="a calculator for ions",
                hint="give the charge to the calculator itself, or fixed_state=True if its model was made for this ion",
            )
        if (
            multiplicity != 1
            and not stated(self.calculator, self._parameters, MULTIPLICITY)
            and self._same_energy(atomic_numbers, positions, (charge, other_multiplicity))
        ):
            warnings.warn(
                f"{same} multiplicity {multiplicity} and {other_multiplicity}: it does not read the multiplicity of "
                "the Atoms; give it to the calculator itself, unless its model was made for this multiplicity.",
                stacklevel=2,
            )

    def _same_energy(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64], other: tuple[int, int]
    ) -> bool:
        """Whether the energy does not change with another charge and multiplicity."""
        energies = []
        for state in ((self.net_charge, self.multiplicity or 1), other):
            try:
                energies.append(float(self._fresh(atomic_numbers, positions, *state).get_potential_energy()))
            except _FAILURES:
                return False  # a calculator that fails for one of the states reads it
        return abs(energies[0] - energies[1]) < _EQUAL

    def _check_unchanged(self, compared: Callable[[Any], bool]) -> None:
        """Refuse a calculator with other parameters than the engine was made with, of those whose old value counts."""
        now = parameters_of(self.calculator)
        for name in {**self._parameters, **now}:
            old, new = self._parameters.get(name), now.get(name)
            if compared(old) and name.lower() not in SILENT and as_text(old) != as_text(new):
                kind = type(self.calculator).__name__
                raise MismatchError(
                    f"the {kind} has {name}={new} now, and had {old} when the engine was made",
                    hint="make a new engine: AseEngine(calculator)",
                )

    def _fresh(self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64], *state: int) -> Atoms:
        """Atoms with the calculator, which has forgotten its last calculation.

        It could start from its last result, so that a label depends on those before it. And ASE does not compare
        `info`: it would give the energy of the state before.
        """
        if hasattr(self.calculator, "reset"):
            self.calculator.reset()
        atoms = _atoms(atomic_numbers, positions, *state)
        atoms.calc = self.calculator
        return atoms

    def evaluate(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """See `ReferenceEngine.evaluate`. A calculator that cannot run at all raises HybridError."""
        atoms = self._fresh(atomic_numbers, positions, self.net_charge, self.multiplicity or 1)
        try:
            energy, forces = atoms.get_potential_energy(), atoms.get_forces()
            consistent = getattr(self.calculator, "results", {}).get("free_energy")
            energy = energy if consistent is None else consistent
        except NotImplementedError as error:
            raise InputError(f"{self.theory} does not compute energies and forces ({error})") from error
        except (OSError, CalculatorSetupError) as error:
            raise HybridError(f"{self.theory} cannot be run: {error}", hint="check its program and settings") from error
        except (CalculatorError, RuntimeError, ValueError, ArithmeticError) as error:
            raise NumericalError(f"{self.theory}: {type(error).__name__}: {error}") from error
        return float(energy) * KCAL_PER_EV, np.asarray(forces, dtype=np.float64) * KCAL_PER_EV


def _atoms(atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64], charge: int, multiplicity: int) -> Atoms:
    """Atoms with the charge and the multiplicity in every form that calculators read."""
    atoms = Atoms(numbers=atomic_numbers, positions=positions)
    atoms.info |= {"charge": charge, "spin": multiplicity}
    # On one atom, so that the sum is exact: some calculators cut it to an integer.
    heaviest = np.arange(len(atoms)) == int(np.argmax(atomic_numbers))
    if charge:
        atoms.set_initial_charges(charge * heaviest.astype(float))
    if multiplicity != 1:
        atoms.set_initial_magnetic_moments((multiplicity - 1) * heaviest.astype(float))
    return atoms


def ase(
    method: str = "",
    basis: str = "",
    charge: int = 0,
    multiplicity: int = 1,
    options: Mapping[str, Option] | None = None,
) -> AseEngine:
    """The engine "ase", whose method is "module:Class" of a calculator or of a function that returns one.

    The options are keyword arguments of the class. Charge and multiplicity are handed over as keywords where it takes
    them, and in the Atoms.

    Parameters
    ----------
    method : str
        Such as "tblite.ase:TBLite".
    basis : str
        Empty; a basis is an option of the calculator.
    charge : int
        Net charge, e; 0 leaves a charge among the options as it is.
    multiplicity : int
        Spin multiplicity 2S + 1; 1 leaves one among the options as it is.
    options : mapping of str to bool, int, float, str or None

    Raises
    ------
    InputError
        The module or the class does not exist, it does not take an option or refuses its value, or a basis was given.
    MismatchError
        Charge or multiplicity differ from those in the options.
    MissingDependencyError
        The calculator needs a package that is not installed.
    """
    if basis:
        raise InputError(f"the basis {basis!r} was given for an ASE calculator", hint="give it as an option: ?basis=…")
    state = {} if charge == 0 else {"charge": charge}
    if multiplicity != 1:
        state["multiplicity"] = multiplicity
    calculator, text = calculator_named(method, options or {}, state)
    known = {name.lower() for name in parameters_of(calculator)}
    tells = bool(known) and {name.lower() for name in options or {}} <= known
    return AseEngine(calculator, "" if tells else text, state.get("charge"), state.get("multiplicity"))
