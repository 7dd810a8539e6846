"""Any ASE calculator as a reference engine."""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError, CalculatorSetupError
from numpy.typing import NDArray

from openmm_hybrid.core.errors import HybridError, InputError, MismatchError, NumericalError
from openmm_hybrid.core.units import KCAL_PER_EV
from openmm_hybrid.reference.reference_engine import (
    ReferenceEngine,
    charge_and_multiplicity,
    check_electrons,
    check_multiplicity,
)

if TYPE_CHECKING:
    from ase.calculators.abc import GetPropertiesMixin

_CHARGE = ("charge", "total_charge", "net_charge", "hamiltonian_charge", "tot_charge")
"""Parameters, in lower case, by which calculators of ASE take the net charge."""

_MULTIPLICITY = ("multiplicity", "mult", "spin_multiplicity")
"""Parameters, in lower case, by which they take the multiplicity 2S + 1."""

_SILENT = (
    "verbosity",
    "cache_api",
    "label",
    "directory",
    "txt",
    "command",
    "profile",
    "device",
    "nprocs",
    "num_threads",
)
"""Parameters, in lower case, that do not change a label: files, output and processors."""

_METHOD = ("method", "xc", "functional", "basis", "model", "orcasimpleinput", "solvation")
"""Parameters, in lower case, that name a level of theory; it shows them also where they have their default values."""

_FAILURES = (CalculatorError, RuntimeError, ValueError, ArithmeticError, OSError, NotImplementedError)
_EQUAL = 1e-7  # eV; difference of the energies of two states that a calculator does not tell apart
_LONG = 60  # characters of the longest parameter that is written out; longer ones are recorded by their hash


@dataclass(frozen=True)
class AseEngine(ReferenceEngine):
    """Energies and forces by an ASE calculator, for one level of theory, charge and multiplicity.

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
    _parameters: Mapping[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not hasattr(self.calculator, "get_potential_energy"):
            raise InputError(f"a {type(self.calculator).__name__} was given", expected="an ASE calculator")
        parameters = _parameters(self.calculator)
        charge = _resolved(self.calculator, parameters, "charge", _CHARGE, self.charge, 0)
        multiplicity = _resolved(self.calculator, parameters, "multiplicity", _MULTIPLICITY, self.multiplicity, 1)
        check_multiplicity(multiplicity)
        level = self.theory or _level(self.calculator, parameters)
        object.__setattr__(self, "_parameters", parameters)
        object.__setattr__(self, "charge", charge)
        object.__setattr__(self, "multiplicity", multiplicity)
        object.__setattr__(self, "theory", level + charge_and_multiplicity(charge, multiplicity))

    @property
    def program(self) -> str:
        """Package of the calculator with its version, such as "ase 3.29.0"."""
        package = type(self.calculator).__module__.partition(".")[0]
        try:
            number = version(package)
        except PackageNotFoundError:
            number = str(getattr(sys.modules.get(package), "__version__", ""))
        return f"{package} {number}".strip()

    @property
    def net_charge(self) -> int:
        """Net charge, e."""
        return self.charge or 0

    @property
    def settings(self) -> str:
        """Hash of all parameters of the calculator that decide a label."""
        return hashlib.sha256(_parameter_text(self._parameters).encode()).hexdigest()

    def check(self, atomic_numbers: NDArray[np.int64]) -> None:
        """See `ReferenceEngine.check`. The electrons must be able to have the multiplicity.

        Raises
        ------
        MismatchError
            A parameter of the calculator was changed after the engine was made.
        """
        now = _parameters(self.calculator)
        for name, value in self._parameters.items():
            if isinstance(value, str | int | float) and name.lower() not in _SILENT and now.get(name) != value:
                raise MismatchError(
                    f"the {type(self.calculator).__name__} has {name}={now.get(name)} now, and had {value} when the "
                    "engine was made",
                    hint="make a new engine: AseEngine(calculator)",
                )
        check_electrons(atomic_numbers, self.net_charge, self.multiplicity or 1)

    def inspect(self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]) -> None:
        """See `ReferenceEngine.inspect`. It warns if the calculator does not read the charge or the multiplicity."""
        charge, multiplicity = self.net_charge, self.multiplicity or 1
        # Other states of the same parity: some programs end the process for electrons that cannot have the spin.
        other_charge = charge - 2 if charge > 0 else charge + 2
        other_multiplicity = multiplicity + 2 if multiplicity < 3 else multiplicity - 2
        trials = []
        if charge and not _stated(self.calculator, self._parameters, _CHARGE):
            trials.append((f"charge {charge:+d} and {other_charge:+d}", "charge", (other_charge, multiplicity)))
        if multiplicity != 1 and not _stated(self.calculator, self._parameters, _MULTIPLICITY):
            pair = f"multiplicity {multiplicity} and {other_multiplicity}"
            trials.append((pair, "multiplicity", (charge, other_multiplicity)))
        for pair, what, other in trials:
            try:
                energies = [
                    self._energy(atomic_numbers, positions, *state) for state in ((charge, multiplicity), other)
                ]
            except _FAILURES:
                continue  # a calculator that fails for the other state reads it
            if abs(energies[0] - energies[1]) < _EQUAL:
                kind = type(self.calculator).__name__
                warnings.warn(
                    f"the {kind} gives the same energy for the {pair}: it does not read the {what} of the Atoms; "
                    f"give it to the calculator itself, unless its model was made for this {what}.",
                    stacklevel=3,
                )

    def _energy(self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64], *state: int) -> float:
        atoms = _atoms(atomic_numbers, positions, *state)
        atoms.calc = self.calculator
        return float(atoms.get_potential_energy())

    def evaluate(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """See `ReferenceEngine.evaluate`. A calculator that cannot run at all raises HybridError."""
        atoms = _atoms(atomic_numbers, positions, self.net_charge, self.multiplicity or 1)
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


def _parameters(calculator: Any) -> dict[str, Any]:
    """Parameters of a calculator by name: `parameters`, else `todict()`; empty if it has neither."""
    found = getattr(calculator, "parameters", None)
    if not isinstance(found, Mapping) or not found:
        described = calculator.todict() if hasattr(calculator, "todict") else {}
        found = described if isinstance(described, Mapping) else {}
    return {str(name): value for name, value in found.items()}


def _resolved(
    calculator: Any, parameters: Mapping[str, Any], what: str, names: tuple[str, ...], given: int | None, neutral: int
) -> int:
    """Charge or multiplicity: the calculator's own, the given one, or the default."""
    found = _stated(calculator, parameters, names)
    if found is None:
        return neutral if given is None else int(given)
    name, value = found
    if given is not None and value != given:
        raise MismatchError(
            f"the {type(calculator).__name__} has {name}={value}, and the engine was given {what}={given}",
            expected="one of them, or equal numbers",
            hint=f"set {name}={given} in the calculator",
        )
    return value


def _stated(calculator: Any, parameters: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, int] | None:
    """Name and value of the first of some parameters, or attributes, that a calculator has."""
    attributes = {name: getattr(calculator, name, None) for name in names}
    for name, value in (*parameters.items(), *attributes.items()):
        if name.lower() in names and isinstance(value, int | float | np.number) and not isinstance(value, bool):
            return name, round(float(value))
    return None


def _level(calculator: Any, parameters: Mapping[str, Any]) -> str:
    """Class of a calculator with its method and the parameters that are not the defaults of the class; else all."""
    kind = type(calculator).__name__
    defaults = getattr(calculator, "default_parameters", None) or {}
    known = {
        name: _text(value)
        for name, value in sorted(parameters.items())
        if value is not None and name.lower() not in (*_SILENT, *_CHARGE, *_MULTIPLICITY)
    }
    if not known:
        raise InputError(
            f"a {kind} does not tell its level of theory, which decides the labels",
            hint='name it: AseEngine(calculator, theory="method/basis, or the network with its version")',
        )
    chosen = [
        name
        for name in known
        if name.lower() in _METHOD or name not in defaults or known[name] != _text(defaults[name])
    ]
    return f"{kind} " + ", ".join(f"{name}={known[name]}" for name in chosen or known)


def _parameter_text(parameters: Mapping[str, Any]) -> str:
    named = sorted((name, _text(value)) for name, value in parameters.items() if name.lower() not in _SILENT)
    return ", ".join(f"{name}={text}" for name, text in named)


def _text(value: Any) -> str:
    """A value in one spelling that does not change from run to run; a long one as the start of its hash."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=_plain)
    return text if len(text) <= _LONG else f"#{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else type(value).__name__
