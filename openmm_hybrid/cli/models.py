"""Models for the command line, from files of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openmm_hybrid.models.energy_model import EnergyModel


def load_model(path_or_name: str) -> tuple[EnergyModel, list[int]]:
    """A model and the indices of its atoms in the molecule: those that its file names, or the first ones.

    Parameters
    ----------
    path_or_name : str
        File of an sGDML model, a correction or a force field (npz), an exported model (pt), or the name of a ready
        force field.
    """
    from openmm_hybrid.models_io.any_model import load_correction

    path = Path(path_or_name).expanduser()
    found = load_correction(path if path.suffix else path_or_name)
    return found.model, found.on(range(found.n_atoms)).tolist()
