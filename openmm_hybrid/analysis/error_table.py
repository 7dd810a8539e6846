"""Errors of predicted energies and forces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.analysis.arguments import array
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.frames import Frames

Labels = Frames | tuple[ArrayLike, ArrayLike]
"""Frames with labels, or (energies (n_frames,), forces (n_frames, n_atoms, 3)) in kcal/mol and kcal/mol/Å."""


@dataclass(frozen=True)
class ErrorTable:
    """Errors over a set of frames: energies in kcal/mol, force components in kcal/mol/Å.

    Parameters
    ----------
    n_frames : int
    energy_offset : float
        Mean of predicted minus reference energies; by default it is subtracted before the energy errors are computed.
    energy_mae, energy_rmse, energy_max : float
    force_mae, force_rmse, force_max : float
        Errors over all 3 · n_atoms · n_frames Cartesian components.
    """

    n_frames: int
    energy_offset: float
    energy_mae: float
    energy_rmse: float
    energy_max: float
    force_mae: float
    force_rmse: float
    force_max: float

    def as_dict(self) -> dict[str, float]:
        """Names and values of the errors, for JSON."""
        return asdict(self)


def error_table(reference: Labels, predicted: Labels, *, remove_offset: bool = True) -> ErrorTable:
    """Mean absolute, root mean square and largest errors of energies and forces.

    `MAE = ⟨|p − r|⟩`, `RMSE = ⟨(p − r)²⟩^½`. Force errors are errors of Cartesian components, as in the sGDML
    literature (Chmiela et al., Nat. Commun. 9, 3887 (2018)) and in table II of Sauceda et al., J. Chem. Phys. 153,
    124109 (2020); they are smaller by about √3 than errors of force vectors.

    Parameters
    ----------
    reference, predicted : Frames, or (energies, forces)
    remove_offset : bool
        Subtract the mean energy difference first: force fields and electronic structure methods have different zeros
        of energy, on which no force depends.

    Raises
    ------
    MismatchError
        Shapes differ.
    InputError
        No frames, missing labels, or a number that is not finite.
    """
    energies, forces = _labels(reference)
    other_energies, other_forces = _labels(predicted)
    if energies.shape != other_energies.shape or forces.shape != other_forces.shape:
        raise MismatchError(
            f"predicted energies and forces have shapes {other_energies.shape} and {other_forces.shape}",
            expected=f"{energies.shape} and {forces.shape}, as the reference",
        )
    if not energies.size:
        raise InputError("there are no frames to compare", expected="at least one")
    energy_errors, force_errors = other_energies - energies, other_forces - forces
    if not (np.isfinite(energy_errors).all() and np.isfinite(force_errors).all()):
        raise InputError("an energy or force is not finite", hint="remove the frame with it")
    offset = float(energy_errors.mean())
    return ErrorTable(
        len(energies), offset, *_measures(energy_errors - offset * remove_offset), *_measures(force_errors)
    )


def _labels(labels: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    energies, forces = labels.labels() if isinstance(labels, Frames) else labels
    return array(energies, "energy"), array(forces, "force")


def _measures(errors: NDArray[np.float64]) -> tuple[float, float, float]:
    size = np.abs(errors)
    return float(size.mean()), float(np.sqrt(np.mean(errors**2))), float(size.max())


def error_table_from(entry: Mapping[str, float]) -> ErrorTable:
    """An ErrorTable from a JSON object; energy errors that it lacks become NaN."""
    unknown: dict[str, Any] = dict.fromkeys(("energy_offset", "energy_mae", "energy_rmse", "energy_max"), float("nan"))
    return ErrorTable(**(unknown | dict(entry)))
