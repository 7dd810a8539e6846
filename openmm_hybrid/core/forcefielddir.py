"""The folder of the shipped force fields. OpenMM asks for it too, so this module imports nothing else."""

from __future__ import annotations

from pathlib import Path


def folder() -> Path:
    """The folder that holds one folder per force field: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "forcefields"
    return installed if installed.is_dir() else package.parent / "forcefields"


def openmm_folder() -> str:
    """The folder for OpenMM's entry-point group openmm.forcefielddir; app.ForceField looks for NAME/NAME.xml there."""
    return str(folder())
