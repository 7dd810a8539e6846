"""Partial charges of a molecule, from a method or given by the user."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.charges import METHODS
from openmm_hybrid.core import units
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.molecule import Molecule

_ROUNDING = 0.01
"""Largest deviation of given charges from the net charge, e; charges in files are rounded."""


def assign_charges(molecule: Molecule, charges: str | ArrayLike, *, progress: bool = True) -> NDArray[np.float64]:
    """Partial charges (n_atoms,) in e, in the molecule's atom order.

    Parameters
    ----------
    molecule : Molecule
    charges : "resp", "am1-bcc", "nagl" or array_like (n_atoms,), e
        A method, whose charges sum exactly to the net charge and are equal on equivalent atoms, or the charges
        themselves (an array or an `openmm.unit` quantity), which are used unchanged.
    progress : bool
        Show a progress bar.

    Raises
    ------
    InputError
        Unknown method, or a charge that is not finite.
    MismatchError
        The number of given charges is not the number of atoms, or their sum differs from the net charge by more than
        0.01 e.
    MissingDependencyError
        The method's program is not installed.
    NumericalError
        The method failed for this molecule.
    """
    if isinstance(charges, str):
        computed: NDArray[np.float64] = METHODS.load(charges)(molecule, progress=progress)
        return computed
    return _given(molecule, np.array(units.strip(charges, "charge"), dtype=np.float64))


def _given(molecule: Molecule, charges: NDArray[np.float64]) -> NDArray[np.float64]:
    if charges.shape != (molecule.n_atoms,):
        raise MismatchError(
            f"charges have shape {charges.shape}", expected=f"({molecule.n_atoms},) for {molecule.name}"
        )
    if not np.isfinite(charges).all():
        raise InputError(f"the charge of atom {int(np.argmin(np.isfinite(charges)))} is not finite")
    if abs(charges.sum() - molecule.charge) > _ROUNDING:
        raise MismatchError(
            f"the charges sum to {charges.sum():.4f} e",
            expected=f"the net charge of {molecule.name}, {molecule.charge:+d} e, within {_ROUNDING} e",
            hint="check their order and the formal charges of the molecule",
        )
    return charges
