"""Differentiable force fields: parameters and the terms that point into them; files, exports, the ready sets."""

from openmm_hybrid.forcefield.archive import read
from openmm_hybrid.forcefield.library import manifest, names, write_set
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.parameters import Parameters
from openmm_hybrid.forcefield.terms import Terms

__all__ = ["ForceField", "Parameters", "Terms", "manifest", "names", "read", "write_set"]
