"""The contract of a reference engine, which computes the energies and forces that models are trained on."""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import pdist, squareform

from openmm_hybrid.core.errors import HybridError, InputError, NumericalError
from openmm_hybrid.core.units import positions_to_angstrom
from openmm_hybrid.data.molecule import Molecule

_OVERLAP = 0.3
"""Distance of two nuclei, Å, below which a geometry is broken (the bond of H2 has 0.74 Å)."""

_STATES = ("singlet", "doublet", "triplet", "quartet", "quintet", "sextet", "septet")


class ReferenceEngine(ABC):
    """A level of theory that computes the energy and the forces of one geometry at a time.

    A subclass implements `theory` and `evaluate`, and `program`, `settings`, `net_charge` and `check` where they apply.
    An engine that needs the bonds of the molecule overrides `needs_bonds` and `for_molecule`.
    `theory`, `program` and `settings` together contain everything that decides a label; if they cannot, override
    `known_by_settings`. To be found by name, an engine is registered in the entry-point group "openmm_hybrid.engines"
    as a function of the keywords `method`, `basis`, `charge` and `multiplicity` (see `openmm_hybrid.reference.engine`).
    `openmm_hybrid.testing` has its conformance suite, `ReferenceEngineSuite`.
    """

    request: Mapping[str, Any] | None = None
    """Arguments with which `openmm_hybrid.reference.engine` made the engine, and another process makes it again.

    None for an engine that was made otherwise.
    """

    @property
    @abstractmethod
    def theory(self) -> str:
        """Level of theory: method, basis, charge and multiplicity.

        A charge of 0 and a multiplicity of 1 may be left out.
        """

    @property
    def program(self) -> str:
        """Program and version that compute the labels, such as "tblite 0.8.0"; empty if there is no other program."""
        return ""

    @property
    def settings(self) -> str:
        """Other settings that decide a label, as a text or a hash; a journal is resumed with the same ones only."""
        return ""

    @property
    def effort(self) -> str:
        """Limits, such as a number of steps, that decide whether a calculation succeeds, and not its result.

        Empty for the usual limits. `label` computes a frame that failed again with another effort.
        """
        return ""

    @property
    def known_by_settings(self) -> bool:
        """Whether `theory`, `program` and `settings` contain everything that decides a label.

        Otherwise `label` computes a finished frame again before it resumes a journal, and compares.
        """
        return True

    @property
    def net_charge(self) -> int | None:
        """Net charge (e) that the engine is set to; None if the engine does not know it."""
        return None

    @property
    def needs_bonds(self) -> bool:
        """Whether the engine computes nothing before `for_molecule` has given it bonds and formal charges."""
        return False

    @property
    def bonds(self) -> NDArray[np.int64] | None:
        """Bonds (n_bonds, 2) of the only molecule that the engine computes, in its order of atoms; None for others.

        `label` refuses geometries in which one of them is far too long.
        """
        return None

    def for_molecule(self, molecule: Molecule) -> ReferenceEngine:
        """The engine for the frames of one molecule, in its order of atoms; the default returns itself.

        Parameters
        ----------
        molecule : Molecule

        Raises
        ------
        InputError
            The engine has no parameters for the molecule.
        MismatchError
            The engine is set to another net charge than the molecule's.
        """
        return self

    def check(self, atomic_numbers: NDArray[np.int64]) -> None:
        """Refuse atoms that the engine cannot compute in any geometry; the default accepts all.

        Parameters
        ----------
        atomic_numbers : (n_atoms,)

        Raises
        ------
        InputError
            An element is not supported, or the electrons cannot have the engine's multiplicity.
        """
        return

    def inspect(self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]) -> None:
        """Compute a geometry to see whether the engine does what it is set to; `label` calls it before it starts.

        The default does nothing.

        Parameters
        ----------
        atomic_numbers : (n_atoms,)
        positions : (n_atoms, 3), Å

        Warns
        -----
        UserWarning
            A setting has no effect.

        Raises
        ------
        HybridError
            The engine is no longer what `theory` and `settings` tell.
        """
        return

    @abstractmethod
    def evaluate(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Energy and forces of one geometry that `compute` has checked.

        Parameters
        ----------
        atomic_numbers : (n_atoms,)
        positions : (n_atoms, 3), Å

        Returns
        -------
        energy : float, kcal/mol
        forces : (n_atoms, 3), kcal/mol/Å

        Raises
        ------
        NumericalError
            The calculation failed for this geometry.
        """

    def compute(self, atomic_numbers: ArrayLike, positions: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        """Energy and forces of one geometry.

        Parameters
        ----------
        atomic_numbers : (n_atoms,)
        positions : (n_atoms, 3), Å, or an `openmm.unit` quantity

        Returns
        -------
        energy : float, kcal/mol
        forces : (n_atoms, 3), kcal/mol/Å

        Raises
        ------
        InputError
            The shapes do not match, a coordinate is not finite, or `check` refuses the atoms.
        NumericalError
            Atoms overlap, the calculation failed, or its result is not finite.
        HybridError
            The memory did not suffice, which is no failure of the geometry.
        """
        elements = np.asarray(atomic_numbers, dtype=np.int64)
        frame = positions_to_angstrom(positions)
        if elements.ndim != 1 or frame.shape != (len(elements), 3):
            raise InputError(f"positions have shape {frame.shape}", expected=f"({elements.size}, 3) for these atoms")
        if not np.isfinite(frame).all():
            raise InputError("a coordinate is not finite")
        self.check(elements)
        if len(elements) > 1:
            distances = squareform(pdist(frame))
            np.fill_diagonal(distances, np.inf)
            i, j = divmod(int(distances.argmin()), len(elements))
            if distances[i, j] < _OVERLAP:
                raise NumericalError(f"atoms {i} and {j} overlap: they are {distances[i, j]:.3f} Å apart")
        try:
            energy, forces = self.evaluate(elements, frame)
        except (MemoryError, NumericalError) as error:
            if isinstance(error, NumericalError) and not lacks_memory(str(error)):
                raise
            raise HybridError(
                f"{self.theory} ran out of memory ({error})" if str(error) else f"{self.theory} ran out of memory",
                hint="free memory, take fewer workers, or call again on a larger machine",
            ) from error
        if not np.isfinite(energy) or not np.isfinite(forces).all():
            raise NumericalError(f"{self.theory} returned a number that is not finite")
        return energy, forces


def lacks_memory(reason: str) -> bool:
    """Whether the text of an error tells that memory, of the machine or a GPU, did not suffice."""
    return re.search(r"(out of|not enough|insufficient) memory", reason, re.IGNORECASE) is not None


def check_electrons(atomic_numbers: NDArray[np.int64], charge: int, multiplicity: int) -> None:
    """Check that the electrons of a molecule can have this multiplicity 2S + 1.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    charge : int
        Net charge, e.
    multiplicity : int

    Raises
    ------
    InputError
        Too few electrons, or an even multiplicity for an even number of electrons (an odd one for an odd number).
    """
    electrons = int(atomic_numbers.sum()) - charge
    unpaired = multiplicity - 1
    if electrons >= unpaired and (electrons - unpaired) % 2 == 0:
        return
    name = f"a {_STATES[unpaired]} " if unpaired < len(_STATES) else ""
    raise InputError(
        f"{electrons} electrons (net charge {charge:+d} e) cannot form {name}(multiplicity {multiplicity})",
        expected="an odd multiplicity (singlet 1, triplet 3)"
        if electrons % 2 == 0
        else "an even multiplicity (doublet 2)",
        hint="check the net charge and the multiplicity",
    )


def check_multiplicity(multiplicity: int) -> None:
    """Refuse a multiplicity 2S + 1 below 1 with an InputError."""
    if multiplicity < 1:
        raise InputError(
            f"the multiplicity is {multiplicity}", expected="a whole number from 1 on: 1 for a singlet, 2 for a doublet"
        )


def find_method(method: str, methods: Iterable[str], engine: str) -> str:
    """The method of this name as `methods` spells it; upper and lower case do not matter.

    Raises
    ------
    InputError
        No name was given, or an unknown one; the message lists the known methods.
    """
    known = {name.casefold(): name for name in methods}
    if method.casefold() in known:
        return known[method.casefold()]
    problem = f"{engine} has no method {method!r} here" if method else f"{engine} needs a method"
    near = difflib.get_close_matches(method.casefold(), known)
    raise InputError(
        problem,
        expected=f"one of {', '.join(known.values())}",
        hint=f"did you mean {' or '.join(known[name] for name in near)}?" if near else "",
    )


def charge_and_multiplicity(charge: int, multiplicity: int) -> str:
    """The end of a level of theory, such as ", charge -1, multiplicity 2"; empty for a neutral singlet."""
    end = f", charge {charge:+d}" if charge else ""
    return end + (f", multiplicity {multiplicity}" if multiplicity != 1 else "")
