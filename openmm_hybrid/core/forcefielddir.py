"""Where the ready force fields are. OpenMM asks for this folder too, so this module loads nothing else."""

from __future__ import annotations

from pathlib import Path


def folder() -> Path:
    """The folder with one folder a set: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "forcefields"
    return installed if installed.is_dir() else package.parent / "forcefields"


def openmm_folder() -> str:
    """The same for OpenMM's entry-point group openmm.forcefielddir: app.ForceField("<name>/<name>.xml") looks here."""
    return str(folder())
