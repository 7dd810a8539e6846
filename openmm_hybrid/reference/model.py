"""Models of this package as reference engines: sGDML models, force fields and their sums."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.data.identity import Identity
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models_io.any_model import load
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.reference.reference_engine import ReferenceEngine, charge_and_multiplicity, check_electrons

_DIGITS = 8  # of the hash that tells two files of one name apart


@final
@dataclass(frozen=True, eq=False)
class ModelEngine(ReferenceEngine):
    """The energies and forces of a model, such as an sGDML model of coupled-cluster forces.

    The molecule must have the model's elements and bonds in the model's order of atoms, and so must geometries. A model
    does not tell its charge; it is assumed to be that of the engine, with a closed shell.

    Parameters
    ----------
    model : EnergyModel
    name : str
        Name for the level of theory, such as the file of the model.
    charge : int
        Net charge of the molecule, e.
    """

    model: EnergyModel
    name: str
    charge: int = 0

    @property
    def theory(self) -> str:
        """Name and first digits of the hash, such as "model acetate.npz 1f0c9a2e, charge -1"."""
        return f"model {self.name} {self._hash[:_DIGITS]}{charge_and_multiplicity(self.charge, 1)}"

    @property
    def program(self) -> str:
        """The version of this package, such as "openmm-hybrid 0.2.0"."""
        return f"openmm-hybrid {version('openmm-hybrid')}"

    @property
    def settings(self) -> str:
        """Hash of the model's arrays."""
        return f"model {self._hash}"

    @cached_property
    def _hash(self) -> str:
        description, arrays = self.model.to_arrays()
        parts = [part for name in sorted(arrays) for part in (name, np.ascontiguousarray(arrays[name]))]
        return fingerprint(json.dumps(description, sort_keys=True), *parts)

    @property
    def bonds(self) -> NDArray[np.int64] | None:
        """See `ReferenceEngine.bonds`."""
        return self.model.bonds

    @property
    def net_charge(self) -> int:
        """Net charge, e."""
        return self.charge

    def for_molecule(self, molecule: Molecule) -> ModelEngine:
        """See `ReferenceEngine.for_molecule`."""
        self.check(molecule.atomic_numbers)
        if self.model.bonds is not None:
            expected = Identity.of(self.name, self.model.atomic_numbers, self.model.bonds)
            found = Identity.of(molecule.name, molecule.atomic_numbers, molecule.bonds)
            if not expected.equals(found):
                raise self._mismatch(expected, found)
        return self

    def check(self, atomic_numbers: NDArray[np.int64]) -> None:
        """See `ReferenceEngine.check`."""
        expected = Identity.of(self.name, self.model.atomic_numbers, ())
        found = Identity.of("the molecule", atomic_numbers, ())
        if not expected.equals(found):
            raise self._mismatch(expected, found)
        check_electrons(atomic_numbers, self.charge, 1)

    def evaluate(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """See `ReferenceEngine.evaluate`."""
        energy, forces = self.model.predict(positions)
        return float(energy), forces

    def _mismatch(self, expected: Identity, found: Identity) -> MismatchError:
        return MismatchError(
            f"{found.what} is not the molecule of {self.name}: {expected.difference(found)}",
            expected="the model's elements and bonds in its order of atoms",
            hint="give the molecule as an SDF file in the model's order (Molecule.reordered)",
        )


def model(method: str = "", basis: str = "", charge: int = 0, multiplicity: int = 1) -> ModelEngine:
    """The engine "model", whose method is a file of `EnergyModel.save` or sGDML, or the name of a shipped model.

    Parameters
    ----------
    method : str
        Such as "teacher.npz" or "ethanol-cross".
    basis : str
        Empty.
    charge : int
        Net charge, e.
    multiplicity : int
        1.

    Raises
    ------
    InputError
        There is no method, the file cannot be read or is not a model of all atoms, a basis is given, or the
        multiplicity is not 1.
    """
    if not method:
        raise InputError("the engine 'model' needs a model", expected="model:FILE.npz, or model:NAME of a shipped one")
    if basis:
        raise InputError(f"the basis {basis!r} was given for the model {method}", hint="leave the basis out")
    if multiplicity != 1:
        raise InputError(f"the multiplicity {multiplicity} was given for the model {method}", expected="1")
    found = load(method)
    if isinstance(found, Correction):
        raise InputError(
            f"{method} is a correction", expected="a model of the whole energy", hint="add it to its force field first"
        )
    return ModelEngine(found, method.rpartition("/")[2], charge)
