"""Differentiable force fields: parameters, terms that refer to them, files, exports and the shipped force fields."""

from openmm_hybrid.forcefield.library import manifest, names
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.parameters import Parameters
from openmm_hybrid.forcefield.tables import Tables
from openmm_hybrid.forcefield.terms import Terms

__all__ = ["ForceField", "Parameters", "Tables", "Terms", "manifest", "names"]
