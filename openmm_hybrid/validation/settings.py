"""Settings of a validation."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import final

from openmm_hybrid.core.errors import InputError

CHECKS = ("platforms", "derivatives", "drift", "kinetic", "timestep", "ensemble")
"""Names of the kinds of checks, in the order in which they run."""


@final
@dataclass(frozen=True)
class ValidateSettings:
    """What `validate` does.

    Parameters
    ----------
    checks : tuple of str
        Kinds of checks, of `CHECKS`.
    platforms : tuple of str
        OpenMM platforms; by default all that can run the System, except OpenCL on the processor itself, which must be
        named.
    temperature : float, K
    timestep : float, fs
        Time step of all runs, and the longer one of the check of time steps.
    friction : float, 1/ps
    drift_ps : float, ps
        Length of each run at constant energy.
    runs : int
        Runs at constant energy on each platform, each with other velocities.
    sample_ps : float, ps
        Length of each run at constant temperature.
    n_atoms : int
        Atoms whose forces are compared with finite differences.
    seed : int

    Raises
    ------
    InputError
        A value is out of range, or a kind of check is unknown.
    """

    checks: tuple[str, ...] = CHECKS
    platforms: tuple[str, ...] = ()
    temperature: float = 300.0
    timestep: float = 0.5
    friction: float = 5.0
    drift_ps: float = 100.0
    runs: int = 4
    sample_ps: float = 200.0
    n_atoms: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("temperature", "timestep", "friction", "drift_ps", "sample_ps"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
                raise InputError(f"{name} is {value!r}", expected="a number greater than 0")
        for name, least in (("runs", 2), ("n_atoms", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} is {value!r}", expected=f"a whole number, at least {least}")
        unknown = [name for name in self.checks if name not in CHECKS]
        if unknown or not self.checks:
            raise InputError(f"the checks are {self.checks!r}", expected=f"some of {', '.join(CHECKS)}")

    def as_dict(self) -> dict[str, object]:
        """The settings as JSON holds them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
