"""Part of benchmarks.hybrid_speed: aspirin with cross terms, and a correction of all atoms in outer steps of 2 fs.

The force field is fitted to 900 frames. The correction whose time is measured has as many training points, with random
coefficients, which do not change the time. For the drift of the energy, a correction is trained on 150 frames. Both
have a gate.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openmm
import torch
from numpy.typing import NDArray

import openmm_hybrid as oh
from benchmarks.timing import ratio
from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.sampling.integrators import RunIntegrator, langevin
from openmm_hybrid.sampling.reporters import degrees_of_freedom
from openmm_hybrid.sgdml.gate import gate

INNER, OUTER = 0.5, 2.0  # fs
STEPS = round(OUTER / INNER)
RESPA = [(0, STEPS), (1, 1)]
SIDES = ("cross", "inner", "outer", "openmm")
"""Cross terms alone; with the correction at every step; in outer steps, as `sample` does; by OpenMM's integrator."""
LONG = {"outer_3fs": 3.0, "outer_4fs": 4.0}
"""Outer timesteps above the limit at which `sample` warns, fs."""
KELVIN = 300.0
PUBLISHED = {
    "double": 1.1e-7,
    "mixed": 2.3e-5,
    "single": 4.3e-4,
    "source": "OpenMM User Guide, Testing and Validation: ubiquitin in OBC solvent, Verlet integrator, 0.5 fs",
}
"""Drift of OpenMM on its CUDA platform in three precisions, kT/ns per degree of freedom."""


@dataclass(frozen=True, eq=False)
class Hybrid:
    """Aspirin with cross terms, and corrections to them: `real` for the energy, `timed` for the speed."""

    forcefield: ForceField
    gas: BuiltSystem
    real: EnergyModel
    timed: EnergyModel

    @classmethod
    def make(
        cls, gas: BuiltSystem, frames: oh.Frames, timed: EnergyModel, *, n_fit: int = 900, n_train: int = 150
    ) -> Hybrid:
        """Fit the force field to `n_fit` frames (0: GAFF as it is), and train the correction on `n_train`."""
        start = ForceField.from_system(gas.system, gas.topology, types=gas.atom_types, name="aspirin")
        forcefield = start.edit(cross=True)
        if n_fit:
            forcefield = oh.fit(forcefield, frames, n_train=n_fit, n_test=0, seed=0, progress=False).model
        correction = oh.correction.train(
            forcefield, frames, n_train=n_train, n_valid=0, sigma=1.0, molecule=gas.molecules[0], progress=False
        )
        return cls(forcefield, gas, gate(correction.model, frames[:100]), gate(timed, frames[:100]))

    def systems(self, built: BuiltSystem, dtype: str) -> dict[str, openmm.System]:
        """The System of each side, of aspirin alone or in a box."""
        atoms = range(self.forcefield.n_atoms)
        found = {}
        for name in SIDES:
            system = found[name] = openmm.XmlSerializer.clone(built.system)
            oh.replace(system, built.topology, self.forcefield, atoms=atoms)
            if name != "cross":
                group = 0 if name == "inner" else 1
                oh.attach(system, built.topology, self.timed, atoms=atoms, force_group=group, dtype=dtype)
        return found

    def drifts(self, picoseconds: float) -> dict[str, Any]:
        """Drift of the total energy of each run at constant energy, kT/ns per degree of freedom."""
        system = openmm.XmlSerializer.clone(self.gas.system)
        oh.replace(system, self.gas.topology, self.forcefield)
        runs: dict[str, dict[str, Any]] = {"cross": {}, "inner": {"models": [self.real]}}
        for name, outer in {"outer": OUTER, **LONG}.items():
            runs[name] = {"models": [self.real], "outer_timestep": outer * openmm.unit.femtosecond}
        torch.set_num_threads(1)  # the correction is too small for more
        scale = 1e3 / (BOLTZMANN * KELVIN * degrees_of_freedom(system))
        found = {}
        for name, settings in runs.items():
            femtoseconds = LONG.get(name, OUTER if name == "outer" else INNER)
            every = round(12.0 / femtoseconds)
            with tempfile.TemporaryDirectory() as folder:
                run = oh.sample(
                    system, self.gas.topology, self.gas.positions, output=Path(folder), temperature=KELVIN,
                    ensemble="nve", duration=0.2 * picoseconds if name in LONG else picoseconds, timestep=INNER,
                    friction=10.0, equilibration=round(2000.0 / femtoseconds), interval=every, seed=1,
                    platform="Reference", progress=False, **settings,
                )  # fmt: skip
                log = run.starts[0].log
            drift = oh.analysis.energy_drift(log["time"], log["total"], n_atoms=1)
            found[name] = {
                "drift": scale * drift.value,
                "error": scale * drift.error,
                "fluctuation_kcal_mol": drift.fluctuation,
                "temperature": float(log["temperature"].mean()),
                "picoseconds": float(log["time"][-1]),
            }
        return found


def integrator_of(name: str) -> tuple[openmm.Integrator | None, int]:
    """Integrator of a side and its number of inner steps; None for the usual one."""
    if name == "outer":
        return RunIntegrator(langevin(KELVIN, 1.0, INNER), OUTER, RESPA), STEPS
    if name == "openmm":
        return openmm.MTSLangevinIntegrator(KELVIN, 1.0, 1e-3 * OUTER, RESPA), STEPS
    return None, 1


def figures_of(
    water: Mapping[str, NDArray[Any]], vacuum: Mapping[str, NDArray[Any]], drifts: Mapping[str, Any]
) -> dict[str, tuple[float, str]]:
    """Figures from times (n_rounds,), ms per step of 0.5 fs, and from the drifts."""
    figures: dict[str, tuple[float, str]] = {}
    for name, suffix in (("outer", "outer"), ("openmm", "outer.openmm"), ("inner", "inner")):
        figures[f"water_ratio.{suffix}"] = (ratio(water[name], water["cross"]), "1")
    for name, suffix in (("outer", "outer"), ("openmm", "outer.openmm")):
        figures[f"vacuum_gain.{suffix}"] = (ratio(vacuum["inner"], vacuum[name]), "1")
    for name, found in drifts.items():
        figures[f"drift.{name}"] = (found["drift"], "kT/ns")
        figures[f"drift_error.{name}"] = (found["error"], "kT/ns")
    return figures
