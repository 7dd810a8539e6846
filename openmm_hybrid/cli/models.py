"""Models for the command line, from files of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from openmm_hybrid.core.errors import InputError

if TYPE_CHECKING:
    from openmm_hybrid.models.energy_model import EnergyModel


def load_model(path_or_name: str, n_atoms: int | None = None) -> tuple[EnergyModel, list[int]]:
    """A model and the indices of its atoms in the molecule: those that its file names, or all of them.

    Parameters
    ----------
    path_or_name : str
        File of an sGDML model, a correction or a force field (npz), an exported model (pt), or the name of a shipped
        force field.
    n_atoms : int, optional
        Number of the molecule's atoms, if the file must tell which of them the model takes.

    Raises
    ------
    InputError
        The file cannot be read, or it holds a model of fewer atoms and does not tell which.
    """
    from openmm_hybrid.models_io.any_model import load_correction

    path = Path(path_or_name).expanduser()
    found = load_correction(path if path.suffix else path_or_name)
    if n_atoms is not None and found.atoms is None and found.n_atoms < n_atoms:
        raise InputError(
            f"{path_or_name} is a model of {found.n_atoms} atoms and does not tell which of the molecule's {n_atoms}",
            hint="name them in the model's order: --atoms",
        )
    return found.model, found.on(range(found.n_atoms)).tolist()
