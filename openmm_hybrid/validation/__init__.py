"""Checks of a System and its dynamics, as the developers of simulation programs make them.

`validate` runs them: the forces of the platforms against each other, forces against finite differences of the energy,
conservation of energy, and the physical validity of the dynamics.
"""

from openmm_hybrid.validation.result import Check

__all__ = ["Check"]
