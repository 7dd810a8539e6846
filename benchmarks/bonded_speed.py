"""Time per step of aspirin with refitted terms in OpenMM's own forces, as ratios to plain GAFF in one run.

python -m benchmarks.bonded_speed [--threads 2] [--quick]

"nn" has a network on every bond, angle and proper, "cross" the cross terms of `ForceField.edit(cross=True)`; their
parameters are random, as their values do not change the time. water_ratio: in a box of about 6000 atoms with PME on the
CPU platform, vacuum_ratio: alone on the CPU platform, reference_ratio: alone on the Reference platform.
production_ratio: ns a day over that of GAFF in the same box, both with constrained bonds to hydrogen, hydrogens of 3 Da
and steps of 4 fs. native_over_torchforce: time of the networks alone through TorchForce over that through the spline
backend, on the CPU platform, and with .reference on the Reference platform, where a lone molecule is stepped 40 times
faster. Charges are AM1-BCC's; they do not change the time either.

All sides take turns, A B C … A B C …; a ratio is the median over rounds of the ratio within a round. Leave the machine
alone meanwhile.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import openmm
import torch
from numpy.typing import NDArray
from openmm import app, unit

import openmm_hybrid as oh
from benchmarks.timing import interleaved, ratio, rounded, stepper
from benchmarks.worker import THREADS, settings, use_settings
from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.systems.backends import BACKENDS

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
PADDING = 19.5  # Å; half of the box, which then holds about 6000 atoms
FORMS: dict[str, dict[str, Any]] = {
    "gaff": {},
    "nn": {"bonds": "neural", "angles": "neural", "propers": "neural"},
    "cross": {"cross": True},
}
LONG = 4.0  # fs, step with rigid bonds and heavy hydrogens
_HEAVY = 3.0  # Da, mass of the hydrogens then


@dataclass(frozen=True)
class Plan:
    """How long to measure: rounds, and steps a round in vacuum and in water."""

    rounds: int = 15
    vacuum_steps: int = 400
    water_steps: int = 20
    padding: float = PADDING


QUICK = Plan(rounds=2, vacuum_steps=5, water_steps=1, padding=11.0)


def randomised(forcefield: ForceField, seed: int = 0) -> ForceField:
    """With random output layers and cross terms, which start at zero and would be left out."""
    rng = np.random.default_rng(seed)
    values = forcefield.parameters.values.copy()
    for index, name in enumerate(forcefield.parameters.names):
        group, _, column = name.split("/")
        if column.startswith("w3") or (group.startswith("cross") and column.startswith("k_")):
            values[index] = 0.3 * rng.normal()
    return forcefield.with_values(values)


def replaced(
    system: openmm.System, topology: app.Topology, forcefields: dict[str, ForceField], n_atoms: int
) -> dict[str, openmm.System]:
    """Copies of a System with each force field on its first atoms."""
    found = {}
    for name, forcefield in forcefields.items():
        found[name] = openmm.XmlSerializer.clone(system)
        oh.replace(found[name], topology, forcefield, atoms=range(n_atoms))
    return found


def rigid_box(gas: oh.gaff.BuiltSystem, padding: float) -> oh.gaff.BuiltSystem:
    """The molecule in water with constrained bonds to hydrogen and heavy hydrogens."""
    rigid = oh.gaff.build(
        gas.molecules[0], charges=gas.charges, constraints="HBonds", hydrogen_mass=_HEAVY, progress=False
    )
    return rigid.solvate(padding=padding, cutoff=9.0)


def terms_alone(
    forcefield: ForceField, topology: app.Topology, system: openmm.System, backends: Sequence[str]
) -> dict[str, openmm.System]:
    """Systems with a force field's networks and nothing else, by backend."""
    networks = forcefield.only(*(group for group in forcefield.groups if group.endswith(".neural")))
    found = {}
    for backend in backends:
        found[backend] = openmm.XmlSerializer.clone(system)
        while found[backend].getNumForces():
            found[backend].removeForce(0)
        oh.attach(found[backend], topology, networks, backend=backend)
    return found


def measure(threads: int, chosen: Plan) -> dict[str, Any]:
    """The document that is printed."""
    gas = oh.gaff.build(oh.Molecule.from_smiles(ASPIRIN, name="aspirin"), charges="am1-bcc", progress=False)
    start = ForceField.from_system(gas.system, gas.topology, types=gas.atom_types, name="aspirin")
    forcefields = {name: randomised(start.edit(**forms)) for name, forms in FORMS.items()}
    box = gas.solvate(padding=chosen.padding, cutoff=9.0)
    vacuum = replaced(gas.system, gas.topology, forcefields, start.n_atoms)
    water = replaced(box.system, box.topology, forcefields, start.n_atoms)
    production = {name: forcefields[name] for name in ("gaff", "cross")}
    rigid = rigid_box(gas, chosen.padding)
    long_steps = replaced(rigid.system, rigid.topology, production, start.n_atoms)
    carriers = ["spline", "torchforce"] if BACKENDS.load("torchforce")().state().works else ["spline"]
    alone = terms_alone(forcefields["nn"], gas.topology, gas.system, carriers)
    cases = {
        "vacuum": (vacuum, gas.positions, "CPU", chosen.vacuum_steps),
        "reference": (vacuum, gas.positions, "Reference", chosen.vacuum_steps),
        "water": (water, box.positions, "CPU", chosen.water_steps),
        "production": (long_steps, rigid.positions, "CPU", chosen.water_steps),
        "terms": (alone, gas.positions, "CPU", chosen.vacuum_steps),
        "terms_reference": (alone, gas.positions, "Reference", chosen.vacuum_steps),
    }
    times: dict[str, dict[str, NDArray[Any]]] = {}
    for case, (systems, positions, platform, steps) in cases.items():
        timestep = LONG if case == "production" else 0.5
        sides = {
            name: stepper(system, positions.value_in_unit(unit.nanometer), platform, threads, steps, timestep=timestep)
            for name, system in systems.items()
        }
        times[case] = interleaved(sides, chosen.rounds, dict.fromkeys(sides, 3), skipped=1)
    figures: dict[str, tuple[float, str]] = {
        f"{case}_ratio.{form}": (ratio(times[case][form], times[case]["gaff"]), "1")
        for case in ("water", "vacuum", "reference")
        for form in ("nn", "cross")
    }
    figures["production_ratio.cross"] = ratio(times["production"]["gaff"], times["production"]["cross"]), "1"
    for name, rounds in times["production"].items():
        figures[f"production_ns_per_day.{name}"] = 86.4 * LONG / float(np.median(rounds)), "ns/day"
    if "torchforce" in alone:
        for case, name in (("terms", ""), ("terms_reference", ".reference")):
            figures[f"native_over_torchforce{name}"] = (ratio(times[case]["torchforce"], times[case]["spline"]), "1")
    figures |= {
        f"step.{case}.{name}": (float(np.median(rounds)), "ms")
        for case, sides in times.items()
        for name, rounds in sides.items()
    }
    return document(
        "bonded_speed",
        figures,
        threads=threads,
        environment=settings(threads),
        load_average=os.getloadavg()[0],
        particles_of_the_water_box=box.system.getNumParticles(),
        terms={name: {block.group: len(block) for block in each.terms} for name, each in forcefields.items()},
        rounds_ms={case: rounded(sides) for case, sides in times.items()},
    )


def main() -> None:
    """Measure and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=THREADS, help="of OpenMM's CPU platform and of torch")
    parser.add_argument("--quick", action="store_true", help="few steps: only to see that it runs")
    options = parser.parse_args()
    use_settings("benchmarks.bonded_speed", options.threads)
    torch.set_num_threads(options.threads)
    print(to_json(measure(options.threads, QUICK if options.quick else Plan())))


if __name__ == "__main__":
    main()
