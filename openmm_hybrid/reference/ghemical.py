"""The Ghemical force field, computed by Open Babel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from openmm_hybrid.core.errors import InputError, MissingDependencyError, NumericalError
from openmm_hybrid.core.units import KCAL_PER_KJ
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.reference.mechanics import BondedEngine, check_level, kekulized, with_positions

_DISTRIBUTIONS = ("openbabel-wheel", "openbabel")


@final
@dataclass(frozen=True, eq=False)
class GhemicalEngine(BondedEngine):
    """The Ghemical force field by Open Babel (O'Boyle et al., J. Cheminform. 3, 33 (2011)), without cutoffs.

    Parameters
    ----------
    method : "Ghemical"
    charge : int
        Net charge, e, of the molecules that the engine takes.
    molecule : Molecule, optional

    Raises
    ------
    MissingDependencyError
        Open Babel is not installed.
    """

    method: str = "Ghemical"

    def __post_init__(self) -> None:
        try:
            from openbabel import openbabel  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                f"Ghemical needs Open Babel, which cannot be loaded ({error})",
                hint='pip install "openmm-hybrid[labels]" or openbabel-wheel, or choose another engine',
            ) from None

    @property
    def program(self) -> str:
        """The version of Open Babel, such as "openbabel-wheel 3.1.1.23"."""
        for name in _DISTRIBUTIONS:
            try:
                return f"{name} {version(name)}"
            except PackageNotFoundError:
                continue
        from openbabel import openbabel

        return f"openbabel {openbabel.OBReleaseVersion()}"

    def check_parameters(self, molecule: Molecule) -> None:
        """See `BondedEngine.check_parameters`."""
        with _quiet():
            complete = _field().Setup(_converted(molecule, molecule.positions))
        if not complete:
            raise InputError(f"Ghemical lacks parameters for {molecule.name}", hint="uff has most elements")

    def evaluate(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """See `ReferenceEngine.evaluate`."""
        from openbabel import openbabel

        converted = _converted(self.bonded(), positions)
        field = _field()
        with _quiet():
            if not field.Setup(converted):
                raise NumericalError(f"{self.theory}: Open Babel cannot set up the force field")
            energy = field.Energy(True)
        # Open Babel's gradients are the forces.
        forces = [field.GetGradient(atom) for atom in openbabel.OBMolAtomIter(converted)]
        values = np.array([[part.GetX(), part.GetY(), part.GetZ()] for part in forces])
        return float(energy) * KCAL_PER_KJ, values * KCAL_PER_KJ


def ghemical(method: str = "", basis: str = "", charge: int = 0, multiplicity: int = 1) -> GhemicalEngine:
    """The engine "ghemical"; see `GhemicalEngine`."""
    check_level("Ghemical", method, basis, multiplicity)
    return GhemicalEngine("Ghemical", charge)


def _field() -> Any:
    from openbabel import openbabel

    return openbabel.OBForceField.FindForceField("Ghemical")


def _converted(molecule: Molecule, positions: NDArray[np.float64]) -> Any:
    """Open Babel's molecule with the atoms, bonds and formal charges, and these positions (n_atoms, 3), Å."""
    from openbabel import openbabel

    conversion, converted = openbabel.OBConversion(), openbabel.OBMol()
    conversion.SetInFormat("sdf")
    conversion.ReadString(converted, Chem.MolToMolBlock(with_positions(kekulized(molecule), positions), kekulize=False))
    for atom, place in zip(openbabel.OBMolAtomIter(converted), positions.tolist(), strict=True):
        atom.SetVector(*place)  # a MOL block has four decimals only
    return converted


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Open Babel's log, whose messages are for its own command line."""
    from openbabel import openbabel

    before = openbabel.obErrorLog.GetOutputLevel()
    openbabel.obErrorLog.SetOutputLevel(openbabel.obError)
    try:
        yield
    finally:
        openbabel.obErrorLog.SetOutputLevel(before)
