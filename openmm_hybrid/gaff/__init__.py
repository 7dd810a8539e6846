"""GAFF parameters for OpenMM: atom types, partial charges, residue templates, solvent, prmtop files."""

from __future__ import annotations

from openmm_hybrid.gaff.build import build, template_generator
from openmm_hybrid.gaff.charges import assign_charges
from openmm_hybrid.gaff.prmtop import from_prmtop
from openmm_hybrid.gaff.system import GaffSystem
from openmm_hybrid.models.system import SystemModel

__all__ = ["GaffSystem", "SystemModel", "assign_charges", "build", "from_prmtop", "template_generator"]
