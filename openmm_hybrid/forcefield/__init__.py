"""Differentiable force fields: parameters and the terms that point into them; files, exports, the ready sets."""

from openmm_hybrid.forcefield.library import manifest, names
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.parameters import Parameters
from openmm_hybrid.forcefield.tables import Tables
from openmm_hybrid.forcefield.terms import Terms

__all__ = ["ForceField", "Parameters", "Tables", "Terms", "manifest", "names"]
