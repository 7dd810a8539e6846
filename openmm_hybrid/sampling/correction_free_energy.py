"""The free-energy difference between a force field and the force field with a correction."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import app

from openmm_hybrid.analysis.free_energy import FreeEnergies, mbar
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded
from openmm_hybrid.core.units import strip
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.sampling.input_checks import real
from openmm_hybrid.sampling.sample import sample
from openmm_hybrid.systems.attach import attach
from openmm_hybrid.systems.placement import locate, whole_copies

SCALE = "hybrid_lambda"
"""Global parameter that multiplies the correction."""


def correction_free_energy(
    system: openmm.System,
    topology: app.Topology,
    positions: Any,
    model: EnergyModel | Correction,
    *,
    output: str | Path,
    atoms: ArrayLike | None = None,
    lambdas: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    duration: Any = 100.0,
    temperature: Any = 300.0,
    timestep: Any = 0.5,
    friction: Any = 1.0,
    interval: int = 200,
    equilibration: int = 2000,
    seed: int = 0,
    platform: str = "auto",
    backend: str = "auto",
    progress: bool = True,
) -> FreeEnergies:
    """Free energy of adding a correction to a force field, A(λ = 1) − A(λ = 0) with E(λ) = E_system + λ E_model.

    Each λ is sampled in a separate folder; the same call again resumes all of them. MBAR then yields the differences
    from E_model of the frames (see `openmm_hybrid.analysis.mbar`). A constant in the correction adds to the difference.

    Parameters
    ----------
    system, topology, positions
        As for `sample`, without the correction. They are not changed.
    model : EnergyModel or Correction
    output : path
        Folder of the calculation, with one folder per λ in it.
    atoms, backend
        As for `attach`.
    lambdas : sequence of float
        Values of λ, at least two, in rising order.
    duration, temperature, timestep, friction, interval, equilibration, seed, platform, progress
        As for `sample`, for each λ.

    Raises
    ------
    InputError
        The λ do not rise, or `attach`, `sample` or `mbar` refuses an argument.
    MissingDependencyError
        pymbar (the extra `free-energy`) or a backend is missing.
    NumericalError
        A simulation blew up, or neighbouring λ do not overlap.
    """
    states = np.array([real("a lambda", value, above=-np.inf) for value in lambdas])
    if len(states) < 2 or (np.diff(states) <= 0).any():
        raise InputError(f"lambdas are {states.tolist()}", expected="at least two, rising")
    kelvin = real("temperature", strip(temperature, "temperature"), above=0.0)
    scaled = copy.deepcopy(system)
    attach(scaled, topology, model, atoms=atoms, backend=backend, scale=SCALE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # attach has warned of another order of atoms
        placement = locate(system, topology, model, atoms=atoms)
    model = placement.model
    energies = []
    for number, state in enumerate(states.tolist()):
        run = sample(
            scaled,
            topology,
            positions,
            output=expanded(output) / f"lambda_{number}",
            duration=duration,
            temperature=kelvin,
            timestep=timestep,
            friction=friction,
            interval=interval,
            equilibration=equilibration,
            seed=seed + number,
            platform=platform,
            parameters={SCALE: state},
            progress=progress,
        )
        copies = whole_copies(system, topology, run.positions, placement.atoms)
        added = model.predict(copies.reshape(-1, model.n_atoms, 3))[0].reshape(len(copies), -1).sum(axis=1)
        energies.append(states[:, None] * added)
    return mbar(energies, kelvin)
