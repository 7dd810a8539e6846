"""GAFF under its own name: `build` and `template_generator` with a version, by default the paper's GAFF 1.81."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import ArrayLike
from openmm import app

from openmm_hybrid.bases import build as any_base
from openmm_hybrid.bases.gaff.gaff import Gaff
from openmm_hybrid.bases.prmtop import from_prmtop
from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.charges.assign import assign_charges
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.system import SystemModel

__all__ = ["BuiltSystem", "Gaff", "SystemModel", "assign_charges", "build", "from_prmtop", "template_generator"]


def build(
    molecules: Molecule | Sequence[Molecule],
    *,
    version: str = "1.81",
    charges: str | ArrayLike | Sequence[str | ArrayLike] = "resp",
    typing: str = "antechamber",
    constraints: str | None = None,
    hydrogen_mass: Any = None,
    positions: Any = None,
    progress: bool = True,
) -> BuiltSystem:
    """GAFF for one or several molecules: `openmm_hybrid.build` with ``base=Gaff(version, typing=typing)``."""
    base = Gaff(version, typing=typing)
    return any_base.build(
        molecules,
        base=base,
        charges=charges,
        constraints=constraints,
        hydrogen_mass=hydrogen_mass,
        positions=positions,
        progress=progress,
    )


def template_generator(
    molecules: Molecule | Sequence[Molecule],
    version: str = "1.81",
    charges: str | ArrayLike | Sequence[str | ArrayLike] = "resp",
    typing: str = "antechamber",
    *,
    progress: bool = True,
) -> Callable[[app.ForceField, Any], bool]:
    """`openmm_hybrid.template_generator` with ``base=Gaff(version, typing=typing)``."""
    return any_base.template_generator(molecules, Gaff(version, typing=typing), charges, progress=progress)
