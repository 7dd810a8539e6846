"""Checks of a trained model: its errors, and whether the reference energies are the integral of the forces."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.error_table import ErrorTable, error_table
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR, ENERGY_UNITS, NM_PER_ANGSTROM
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.models.energy_model import EnergyModel

# The limits are our choice. They are wider than what consistent data show, because the model itself errs.
_FEW = 10  # smallest number of frames that are checked
_CORRELATED = 0.8  # smallest correlation of consistent energies
_EXPLAINED = 0.5  # largest error of unseen forces, relative to these, of a model whose integral is about the energy
_SLOPE = 1.5  # largest factor between 1 and the slope of consistent energies; the nearest ratio of units is 1.9
_NAMED = 1.15  # largest factor between a slope and the ratio of units that explains it
_SPREAD = 0.8  # largest spread of consistent energies in Å, relative to the force RMSE
_SMALL = 0.1  # kcal/mol; a smaller spread may be rounding in the data

_ENERGY_UNITS = {"kcal/mol": "kcal/mol", "kJ/mol": "kj/mol", "eV": "ev", "hartree": "hartree"}
#: Unit of forces as written → its energy unit, and Å of its length unit.
_FORCE_UNITS = {
    "kcal/mol/Å": ("kcal/mol", 1.0),
    "kcal/mol/bohr": ("kcal/mol", ANGSTROM_PER_BOHR),
    "kJ/mol/Å": ("kj/mol", 1.0),
    "kJ/mol/nm": ("kj/mol", 1.0 / NM_PER_ANGSTROM),
    "eV/Å": ("ev", 1.0),
    "hartree/Å": ("hartree", 1.0),
    "hartree/bohr": ("hartree", ANGSTROM_PER_BOHR),
}


@final
@dataclass(frozen=True)
class Consistency:
    """Regression of reference energies on the energies of a model of the forces: E_ref ≈ slope · E_model + offset.

    Parameters
    ----------
    n_frames : int
    slope : float
        1 if energies and forces belong together. NaN, like the next three, for fewer than 10 frames.
    offset : float, kcal/mol
    correlation : float
    spread : float, kcal/mol
        Root mean square distance of the reference energies from the line.
    fault : str
        The contradiction and its probable cause; empty if energies and forces are consistent, or were not checked.
    """

    n_frames: int
    slope: float
    offset: float
    correlation: float
    spread: float
    fault: str

    def as_dict(self) -> dict[str, float | str | None]:
        """Names and values, for JSON; NaN becomes None."""
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(self).items()
        }


def consistency(model: EnergyModel, frames: Frames, *, force_rmse: float | None = None) -> Consistency:
    """Compare reference energies with the energies of a model that was trained on the forces alone.

    Forces of the wrong sign give the slope −1, and other units of energy or length give their ratio. Energies of other
    frames or another level of theory give no correlation, or a spread that the model's error does not explain. The
    sgdml program makes the same test; the limits are our choice.

    Parameters
    ----------
    model : EnergyModel
        Model that was trained on forces of the data, such as a result of `train`.
    frames : Frames
        Frames with energies, preferably the training frames, on which the model errs least.
    force_rmse : float, kcal/mol/Å, optional
        Force error of the model on unseen frames. Without it the spread is not judged. If it is more than half of the
        forces' size, as for the small and rough residual of a good force field, a low correlation is no fault: the
        model is too far from the integral of the forces.

    Raises
    ------
    InputError
        The frames have no energies.
    """
    if frames.energies is None:
        raise InputError(f"the frames of {frames.name!r} have no energies", hint="label them with a reference engine")
    predicted = model.predict(frames.positions)[0]
    n, nan = frames.n_frames, math.nan
    if n < _FEW or not np.ptp(frames.energies) or not np.ptp(predicted):
        return Consistency(n, nan, nan, nan, nan, fault="")
    slope, offset, correlation, spread = _line(predicted, frames.energies)
    explained = force_rmse is None or force_rmse < _EXPLAINED * _size(frames)
    fault = _slope_fault(slope, correlation) if explained or abs(correlation) >= _CORRELATED else ""
    if not fault and force_rmse is not None and spread > max(_SPREAD * force_rmse, _SMALL):
        fault = (
            f"the energies scatter by {spread:.2g} kcal/mol about the integral of the forces, more than the force "
            f"error of {force_rmse:.2g} kcal/mol/Å explains: some of them belong to other frames, or the two were "
            "computed at different levels of theory or with loose thresholds"
        )
    return Consistency(n, slope, offset, correlation, spread, fault)


def assess(model: EnergyModel, frames: Frames) -> ErrorTable:
    """Errors of a model on labelled frames, without removal of an energy offset.

    Energy errors are NaN if the frames have no energies.

    Raises
    ------
    InputError
        No frames, or no forces.
    """
    if frames.forces is None:
        raise InputError(f"the frames of {frames.name!r} have no forces", hint="label them with a reference engine")
    energies, forces = model.predict(frames.positions)
    if frames.energies is not None:
        return error_table(frames, (energies, forces), remove_offset=False)
    table = error_table((energies, frames.forces), (energies, forces))
    return replace(table, energy_offset=math.nan, energy_mae=math.nan, energy_rmse=math.nan, energy_max=math.nan)


def known(table: ErrorTable) -> dict[str, float]:
    """The errors that are not NaN, by name, for JSON."""
    return {name: value for name, value in table.as_dict().items() if not math.isnan(value)}


def warn_of_faults(result: Consistency, name: str) -> None:
    """Warn if energies and forces of the data set of this name contradict each other."""
    if result.fault:
        warnings.warn(f"energies and forces of {name!r} contradict each other: {result.fault}.", stacklevel=3)


def _size(frames: Frames) -> float:
    """Root mean square force component, kcal/mol/Å."""
    return math.inf if frames.forces is None else float(np.sqrt(np.mean(frames.forces**2)))


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Slope, offset, correlation and spread of y against x."""
    u, v = x - x.mean(), y - y.mean()
    slope = float(u @ v / (u @ u))
    correlation = float(u @ v / math.sqrt((u @ u) * (v @ v)))
    spread = float(np.sqrt(np.mean((v - slope * u) ** 2)))
    return slope, float(y.mean() - slope * x.mean()), correlation, spread


def _slope_fault(slope: float, correlation: float) -> str:
    if abs(correlation) < _CORRELATED:
        return (
            f"they hardly correlate ({correlation:.2f}): energies and forces belong to different frames, atoms or "
            "levels of theory; check the order of the frames"
        )
    size = abs(slope)
    signs = "" if slope > 0.0 else "the forces have the wrong sign, they are gradients: multiply them by −1"
    if 1.0 / _SLOPE < size < _SLOPE:
        return signs
    units = f"the energies are {size:.3g} times the integral of the forces, {_units(size)}"
    return f"{signs}; and {units}" if signs else units


def _units(size: float) -> str:
    """The units that explain a slope, the best match first."""
    deviations = {}
    for energy, energy_unit in _ENERGY_UNITS.items():
        for force, (force_unit, length) in _FORCE_UNITS.items():
            ratio = ENERGY_UNITS[force_unit] / ENERGY_UNITS[energy_unit] / length
            deviations[f"energies in {energy} with forces in {force}"] = abs(math.log(size / ratio))
    for name, ratio in (("bohr", ANGSTROM_PER_BOHR), ("nm", 1.0 / NM_PER_ANGSTROM)):
        deviations[f"positions in {name} with forces per Å"] = abs(math.log(size / ratio))
    by_match = sorted(deviations, key=deviations.__getitem__)
    causes = [cause for cause in by_match if deviations[cause] < math.log(_NAMED)][:2]
    if not causes:
        return "which no units explain: check how the two were computed"
    return f"which suggests {', or '.join(causes)}: convert them to one system of units"
