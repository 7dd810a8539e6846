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
    from openmm_hybrid import correction
    from openmm_hybrid.models.torchscript import load_torchscript

    path = Path(path_or_name).expanduser()
    if path.suffix in (".pt", ".pth"):
        script = load_torchscript(path)
        return script, list(range(script.n_atoms))
    stored = correction.load(path if path.suffix == ".npz" else path_or_name)
    return stored.model, list(range(stored.model.n_atoms)) if stored.atoms is None else stored.atoms.tolist()
