"""Force groups of `respa`: each one that acts is named once."""

from __future__ import annotations

import openmm
import pytest

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.sampling.input_checks import force_groups


def _system(method: int, reciprocal: int) -> openmm.System:
    """Two ions, in group 0."""
    system, force = openmm.System(), openmm.NonbondedForce()
    for charge in (1.0, -1.0):
        system.addParticle(23.0)
        force.addParticle(charge, 0.3, 0.1)
    force.setNonbondedMethod(method)
    force.setReciprocalSpaceForceGroup(reciprocal)
    system.addForce(force)
    return system


@pytest.mark.parametrize("method", ["Ewald", "PME", "LJPME"])
def test_the_reciprocal_space_has_a_group(method: str) -> None:
    system = _system(getattr(openmm.NonbondedForce, method), 2)
    assert force_groups([(0, 2), (2, 1)], system) == ((0, 2), (2, 1))
    with pytest.raises(MismatchError, match=r"expected .* once: \[0, 2\]"):
        force_groups([(0, 2)], system)


@pytest.mark.parametrize(("method", "reciprocal"), [("PME", -1), ("CutoffPeriodic", 2), ("NoCutoff", 2)])
def test_a_force_without_a_reciprocal_group_has_one_group(method: str, reciprocal: int) -> None:
    system = _system(getattr(openmm.NonbondedForce, method), reciprocal)
    assert force_groups([(0, 2)], system) == ((0, 2),)
