"""Job: the settings of a sampling run, and the fingerprint that identifies it in its folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.sampling.platform import PlatformChoice


@dataclass(frozen=True)
class Job:
    """Settings that all starts of a run share; times in fs, friction in 1/ps, temperatures in K, the rest in steps.

    `system` holds one start, `stepped` the `replicas` starts that one context steps. `temperatures` has one number per
    start. `free` means that replicas may be translated as a whole; `exchange` is the number of steps between attempts
    to exchange temperatures. With `outer_steps` above 1, `timestep` is the outer timestep of the models, and group 0 of
    `respa` holds all forces of the user's system. `choice` is the platform, and a context of `stepped` if the platform
    was measured.
    """

    system: openmm.System
    stepped: openmm.System
    topology: app.Topology
    choice: tuple[PlatformChoice, openmm.Context | None]
    temperatures: tuple[float, ...]
    timestep: float
    friction: float
    n_steps: int
    interval: int
    equilibration: int
    ensemble: str
    minimize: bool
    seed: int
    checkpoint_interval: int | None
    replicas: int = 1
    free: bool = False
    exchange: int | None = None
    respa: tuple[tuple[int, int], ...] = ()
    outer_steps: int = 1
    parameters: Mapping[str, float] = field(default_factory=dict)

    @property
    def platform(self) -> PlatformChoice:
        """Platform and its properties."""
        return self.choice[0]

    @cached_property
    def alone(self) -> openmm.Context:
        """A context of one start, for energies; `sample` sets its global parameters once it has checked their names."""
        measured = self.choice[1]
        if measured is not None and self.replicas == 1:
            return measured
        return openmm.Context(self.system, openmm.VerletIntegrator(0.001), *self.platform)

    @property
    def bond_timestep(self) -> tuple[float, tuple[tuple[int, int], ...]]:
        """The timestep that the user gave (fs), and the `respa` that belongs to it."""
        return (self.timestep / self.outer_steps, ()) if self.outer_steps > 1 else (self.timestep, self.respa)


def settings_of(job: Job, starts: NDArray[np.float64], energies: list[float]) -> dict[str, Any]:
    """Settings that must be equal for a run to be resumed; the platform is recorded, but may differ."""
    lengths = ("timestep", "friction", "n_steps", "interval", "equilibration")
    names = (*lengths, "ensemble", "minimize", "seed", "replicas", "exchange")
    return {
        "temperature": job.temperatures[0] if len(set(job.temperatures)) == 1 else list(job.temperatures),
        **{name: getattr(job, name) for name in names},
        "respa": [list(pair) for pair in job.respa],
        "parameters": dict(job.parameters),
        "n_starts": len(starts),
        "system": system_fingerprint(job.system),
        "positions": fingerprint(starts),
        "energies": energies,
        "platform": job.platform[0].getName(),
    }


def system_fingerprint(system: openmm.System) -> str:
    """SHA-256 of the System; a force that holds code enters with its name only.

    TorchForce writes a different file name into its XML every time, and PythonForce writes a pickle. A change of these
    forces shows in the energies of the starts.
    """
    box = [list(edge.value_in_unit(unit.nanometer)) for edge in system.getDefaultPeriodicBoxVectors()]
    masses = [system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles())]
    constraints = [system.getConstraintParameters(i) for i in range(system.getNumConstraints())]
    parts = [
        json.dumps([box, masses]),
        json.dumps([(i, j, length.value_in_unit(unit.nanometer)) for i, j, length in constraints]),
    ]
    for force in system.getForces():
        # OpenMM returns a force of a plugin as a bare Force.
        coded = type(force).__name__ in ("Force", "PythonForce") or not type(force).__module__.startswith("openmm.")
        parts.append(
            force.getName() if coded else re.sub('openmmVersion="[^"]*"', "", openmm.XmlSerializer.serialize(force))
        )
    return fingerprint("\n".join(parts))
