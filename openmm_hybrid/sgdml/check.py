"""Checks of a trained model: its errors, and whether the energies of its data are the integral of their forces."""

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

# Limits, our choice. Measured with good data (MD17 and CCSD(T) of ethanol, malonaldehyde and aspirin, 20 to 100
# training frames, sigma 1 to 100): slopes 0.89 to 1.09, correlations above 0.93, spreads below 0.34 Å times the force
# RMSE.
_FEW = 10  # frames below which nothing can be said
_CORRELATED = 0.8
_SLOPE = 1.3  # a slope up to this factor away from 1 may be the model's error
_NAMED = 1.15  # a slope up to this factor away from a ratio of units is taken for it
_BOND = 1.2  # bonds shorter or longer by this factor than the radii say are still bonds
_SPREAD = 0.8  # Å times the force RMSE
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
    """How reference energies follow the energies that a model integrated from forces: E_ref ≈ slope · E_model + offset.

    Parameters
    ----------
    n_frames : int
    slope : float
        1 where energies and forces belong together. NaN, like the next ones, where nothing can be said.
    offset : float, kcal/mol
    correlation : float
    spread : float, kcal/mol
        Root mean square distance of the reference energies from the line.
    fault : str
        What is wrong and what to do; empty if energies and forces are consistent, or nothing can be said.
    """

    n_frames: int
    slope: float
    offset: float
    correlation: float
    spread: float
    fault: str

    def as_dict(self) -> dict[str, float | str | None]:
        """Names and values, for JSON; None where nothing can be said."""
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(self).items()
        }


def consistency(model: EnergyModel, frames: Frames, *, force_rmse: float | None = None) -> Consistency:
    """Compare reference energies with those that a model trained on the forces alone integrated from them.

    A wrong sign gives the slope −1, other units of energy or length their ratio, energies of other frames or another
    level of theory no correlation or a spread that the model's error does not explain. The test is that of the sgdml
    program; its limits here are our choice.

    Parameters
    ----------
    model : EnergyModel
        Trained on forces of the data, such as `train` gives.
    frames : Frames
        With energies; best those that the model was trained on, where it errs least.
    force_rmse : float, kcal/mol/Å, optional
        Of the model on frames that it was not trained on; without it the spread is not judged.

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
    fault = _slope_fault(slope, correlation)
    if not fault and force_rmse is not None and spread > max(_SPREAD * force_rmse, _SMALL):
        fault = (
            f"the energies scatter by {spread:.2g} kcal/mol about the integral of the forces, more than the force "
            f"error of {force_rmse:.2g} kcal/mol/Å explains: some of them belong to other frames, or the two were "
            "computed at different levels of theory or with loose thresholds"
        )
    return Consistency(n, slope, offset, correlation, spread, fault)


def length_fault(frames: Frames) -> str:
    """What is wrong with the unit of the positions, as the shortest distance of every atom tells; empty if nothing is.

    In a molecule it is about the sum of two covalent radii (ASE's), which in bohr reads as 1.9 and in nm as 0.1 times
    as much. Median over the atoms of a few frames.
    """
    from ase.data import covalent_radii

    r, radii = frames.positions[:_FEW], covalent_radii[frames.atomic_numbers]
    distances = np.linalg.norm(r[:, :, None] - r[:, None], axis=-1) / (radii[:, None] + radii)
    ratio = float(np.median(np.min(distances + np.diag(np.full(len(radii), np.inf)), axis=2)))
    for name, expected in (("bohr", 1.0 / ANGSTROM_PER_BOHR), ("nm", NM_PER_ANGSTROM)):
        if 1.0 / _BOND < ratio / expected < _BOND:
            return (
                f"the atoms of {frames.name!r} are {ratio:.2g} times as far apart as bonds are long: if the positions "
                f"are in {name}, convert them to Å, or name the unit (r_unit) in the file."
            )
    return ""


def assess(model: EnergyModel, frames: Frames) -> ErrorTable:
    """Errors of a model on labelled frames; the energies' are NaN where the frames have none. No offset is taken off.

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
    """The errors that are known, by name, for JSON."""
    return {name: value for name, value in table.as_dict().items() if not math.isnan(value)}


def warn_of_faults(result: Consistency, name: str) -> None:
    """Warn if energies and forces of the data set of this name contradict each other."""
    if result.fault:
        warnings.warn(f"energies and forces of {name!r} contradict each other: {result.fault}.", stacklevel=3)


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
            f"they hardly correlate ({correlation:.2f}), so the energies are of other frames or atoms than the forces, "
            "or of another level of theory; check the order of the frames"
        )
    size = abs(slope)
    signs = "" if slope > 0.0 else "the forces have the wrong sign, as gradients have: multiply them by −1"
    if 1.0 / _SLOPE < size < _SLOPE:
        return signs
    units = f"energies are {size:.3g} times what the forces integrate to, {_units(size)}"
    return f"{signs}; and {units}" if signs else units


def _units(size: float) -> str:
    """The units that explain a slope, the best match first."""
    off = {}
    for energy, energy_unit in _ENERGY_UNITS.items():
        for force, (force_unit, length) in _FORCE_UNITS.items():
            ratio = ENERGY_UNITS[force_unit] / ENERGY_UNITS[energy_unit] / length
            off[f"energies in {energy} with forces in {force}"] = abs(math.log(size / ratio))
    for name, ratio in (("bohr", ANGSTROM_PER_BOHR), ("nm", 1.0 / NM_PER_ANGSTROM)):
        off[f"positions in {name} with forces per Å"] = abs(math.log(size / ratio))
    causes = [cause for cause in sorted(off, key=off.__getitem__) if off[cause] < math.log(_NAMED)][:2]
    if not causes:
        return "which no units explain: check how the two were computed"
    return f"as {', or '.join(causes)} would be: convert them to one system of units"
