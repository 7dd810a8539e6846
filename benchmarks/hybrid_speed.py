"""Time per step of aspirin with a correction added to GAFF: in water, alone, as replicas, and against sgdml in ASE.

python -m benchmarks.hybrid_speed [--peer PYTHON] [--threads 2] [--torch-threads 2] [--dtype float64]
    [--picoseconds 100] [--quick]

OPENMM_HYBRID_DATA names the folder of the reference data. "global" is the sGDML model of 2018 of all 21 atoms (1000
points, 6 permutations), "local-forces" one of the 10 atoms of the ester and acid groups with 500 points, "distilled"
Fourier series of two dihedrals, "local" both of these, as in the sampling study. Charges are AM1-BCC's, the local
model's coefficients are random, and the global one is of whole energies: values do not change the time. Langevin
dynamics at 300 K with 0.5 fs and 1/ps on all sides.

water_ratio: GAFF with the correction over GAFF, in a box of about 6000 atoms with PME on the CPU platform.
steps_over_ase: steps per second of GAFF with the global correction, alone, on the platform that `sample` would
choose, divided by those of sgdml 1.0.3's ASE calculator under ASE's Langevin dynamics with the same model; with
.tuned its predictor has the fastest of all numbers of workers and sizes of chunks instead of its defaults. PYTHON is
the interpreter of an environment with sgdml 1.0.3 and ase; without it these figures are left out. The calculator takes
all cores of the machine, so run this on as many as there are threads. replica_gain: steps per second, summed over the
copies, of 32 replicas in one context, divided by those of one alone, global correction, each on the platform that
`sample` would choose. speed: ns per day, summed over the copies. Where OpenMM has a GPU, the cases of water and alone
are repeated on it.

water_ratio.outer: GAFF with cross terms and a correction of all atoms in outer steps of 2 fs over GAFF with cross
terms; water_ratio.inner: with the correction at every step; .openmm: outer steps by OpenMM's MTSLangevinIntegrator.
vacuum_gain.outer: time per step with the correction at every step over that in outer steps. drift: slope of the total
energy at constant energy, in kT/ns per degree of freedom, of cross terms alone, with the correction at every step, and
in outer steps of 2, 3 and 4 fs; Reference platform (benchmarks/outer_timestep.py).

torch computes on one thread with OpenMM's CPU platform, as in `sample`. All sides of a case take turns, A B C …
A B C …; a ratio is the median over rounds of the ratio within a round. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import torch
from numpy.typing import NDArray
from openmm import unit

import openmm_hybrid as oh
from benchmarks import outer_timestep
from benchmarks.outer_timestep import STEPS as STEPS_OUT
from benchmarks.outer_timestep import Hybrid, integrator_of
from benchmarks.timing import Timed, interleaved, ratio, rounded, stepper
from benchmarks.worker import THREADS, Worker, data_folder, settings, use_settings
from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.core.units import ANGSTROM_PER_NM
from openmm_hybrid.models.compose import OnAtoms, Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.sampling.platform import choose_platform, one_torch_thread
from openmm_hybrid.sgdml.descriptor import descriptor

FRAMES, GLOBAL = "aspirin_ccsd-train.npz", "sgdml_model_2018_aspirin.npz"
LOCAL = (6, 5, 11, 12, 10, 7, 9, 8, 3, 4)
TWISTS = ((5, 6, 12, 11), (6, 5, 10, 7))
"""Dihedrals of the ester and of the acid group."""
CORRECTIONS = ("local-forces", "local", "global", "distilled")
PADDING = 19.5  # Å; half of the box, which then holds about 6000 atoms
STEPS = {
    "gaff": 5000,
    "distilled": 1500,
    "local-forces": 500,
    "local": 500,
    "global": 250,
    "replicas": 16,
    "ase": 5,
    "ase_tuned": 25,
    "cross": 400,
    "inner": 200,
    "outer": 400,
    "openmm": 400,
}
"""Steps in a row of a side in vacuum: about a tenth of a second."""
NS_PER_DAY = 0.5e-6 * 86400e3
"""Speed of steps of 0.5 fs that take a millisecond each, ns/day."""

Times = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Parameters
    ----------
    rounds : int
    water_steps : int
        Steps in a row.
    share : float
        Share of the steps in vacuum, `STEPS`, that are run.
    replicas : int
    points : int
        Training points of the local model.
    frames, order : int
        Number of frames for the distilled correction, and order of its series.
    padding : float, Å
    charges : str or tuple of float
        As `gaff.build` takes them.
    picoseconds : float
        Length of the runs at constant energy.
    all_points : int
        Training points of the correction of all atoms in outer steps, of which the time is measured.
    n_fit, n_train : int
        Number of frames for the force field with cross terms, and for its correction.
    """

    rounds: int = 60
    water_steps: int = 10
    share: float = 1.0
    replicas: int = 32
    points: int = 500
    frames: int = 100
    order: int = 5
    padding: float = PADDING
    charges: str | tuple[float, ...] = "am1-bcc"
    picoseconds: float = 100.0
    all_points: int = 900
    n_fit: int = 900
    n_train: int = 150


QUICK = Plan(
    rounds=2, water_steps=1, share=0.002, replicas=3, points=20, frames=20, order=1, padding=11.0, charges=(0.0,) * 21,
    picoseconds=1.0, all_points=20, n_fit=0, n_train=20,
)  # fmt: skip


@dataclass(frozen=True)
class Correction:
    """A model and its atoms."""

    model: EnergyModel
    atoms: tuple[int, ...]


@dataclass(frozen=True)
class Side:
    """What is stepped: `steps` in a row from positions `start` (n_particles, 3) in nm; `name` as in `integrator_of`."""

    system: openmm.System
    start: NDArray[np.float64]
    platform: str
    steps: int
    replicas: int = 1
    name: str = ""

    def stepper(self, threads: int, torch_threads: int) -> Timed:
        """Takes the steps, with torch's threads as `sample` would set them."""
        integrator, substeps = integrator_of(self.name)
        run = stepper(
            self.system, self.start, self.platform, threads, self.steps, integrator=integrator, substeps=substeps
        )

        def call(number: int) -> list[float]:
            torch.set_num_threads(torch_threads)
            with one_torch_thread(openmm.Platform.getPlatformByName(self.platform), self.replicas):
                return run(number)

        return call


Cases = dict[str, dict[str, Side]]


def random_model(frames: oh.Frames, molecule: oh.Molecule, atoms: tuple[int, ...], points: int) -> oh.sgdml.SGDMLModel:
    """An sGDML model of some atoms with random coefficients, and forces of 1 kcal/mol/Å (root mean square)."""
    data = oh.sgdml.training_set(frames, n_train=points, molecule=molecule, atoms=atoms, selection="random")
    x = descriptor(torch.tensor(data.train.positions))[0].numpy()
    model = oh.sgdml.SGDMLModel(
        atomic_numbers=data.frames.atomic_numbers,
        descriptors=x,
        descriptor_alphas=np.random.default_rng(0).normal(size=x.shape),
        perms=data.perms,
        sigma=1.0,
        c=0.0,
    )
    _, forces = model.predict(data.train.positions[:100])
    return replace(model, std=1.0 / float(np.sqrt(np.square(forces).mean())))


def corrections(gas: BuiltSystem, frames: oh.Frames, chosen: Plan) -> dict[str, Correction]:
    """The corrections of aspirin by name."""
    molecule = gas.molecules[0]
    whole = oh.sgdml.load(data_folder() / GLOBAL)
    distilled = oh.correction.distill(
        gas.model(), frames[: chosen.frames], [TWISTS], molecule=molecule, order=chosen.order, progress=False
    )
    everything = tuple(range(frames.n_atoms))
    few = random_model(frames, molecule, LOCAL, chosen.points)
    both = Sum((OnAtoms(few, LOCAL, frames.atomic_numbers), distilled.model))
    return {
        "local-forces": Correction(few, LOCAL),
        "local": Correction(both, everything),
        "global": Correction(whole, everything),
        "distilled": Correction(distilled.model, everything),
    }


def corrected(gaff: BuiltSystem, added: Mapping[str, Correction], dtype: str) -> dict[str, openmm.System]:
    """The System of GAFF alone, and a copy of it with each correction."""
    systems = {"gaff": gaff.system}
    for name, correction in added.items():
        systems[name] = openmm.XmlSerializer.clone(gaff.system)
        oh.attach(systems[name], gaff.topology, correction.model, atoms=correction.atoms, dtype=dtype)
    return systems


def replicated(gas: BuiltSystem, model: EnergyModel, copies: int, dtype: str) -> openmm.System:
    """Copies of the molecule in one System, with one evaluation of the model for all."""
    system, topology = oh.replicate(gas.system, gas.topology, copies)
    oh.attach(system, topology, model, atoms=np.arange(system.getNumParticles()).reshape(copies, -1), dtype=dtype)
    return system


def ase_sides(
    python: Path, folder: Path, start: NDArray[np.float64], share: float, stack: ExitStack
) -> dict[str, Timed]:
    """Dynamics with the peer's ASE calculator: as it is constructed, and with the fastest setting of its predictor."""
    model, frames = str(oh.sgdml.load(data_folder() / GLOBAL).save(folder / "model.npz")), folder / "start.npy"
    np.save(frames, start.reshape(1, -1))
    with Worker.peer(python, folder, "tuning") as peer:
        peer.ask("load", model=model, frames=str(frames), use_torch=False)
        best = peer.ask("prepare", number=1)
    sides: dict[str, Timed] = {}
    for name, setting in (("ase", None), ("ase_tuned", best)):
        peer = stack.enter_context(Worker.peer(python, folder, name))
        peer.ask("dynamics", model=model, start=str(frames), setting=setting)
        sides[name] = _peer_stepper(peer, _steps(name, share))
    return sides


def _peer_stepper(peer: Worker, steps: int) -> Timed:
    return lambda repeats: peer.ask("step", steps=steps, repeats=repeats)


def _steps(name: str, share: float) -> int:
    return max(1, round(share * STEPS[name]))


def figures_of(times: Mapping[str, Times], replicas: int) -> dict[str, tuple[float, str]]:
    """Figures from the times of the sides (n_rounds,), ms a step, by case."""
    figures: dict[str, tuple[float, str]] = {}
    for case, sides in times.items():
        suffix = "" if case in ("water", "vacuum") else ".gpu"
        if "cross" in sides:
            continue  # benchmarks.outer_timestep
        if "replicas" in sides:
            figures[f"replica_gain{suffix}"] = (replicas * ratio(sides["global"], sides["replicas"]), "1")
        else:
            figures |= {f"water_ratio{suffix}.{name}": (ratio(sides[name], sides["gaff"]), "1") for name in CORRECTIONS}
        for name, label in (("ase", "steps_over_ase"), ("ase_tuned", "steps_over_ase.tuned")):
            if name in sides:
                figures[label] = (ratio(sides[name], sides["global"]), "1")
    for case, sides in times.items():
        for name, rounds in sides.items():
            step = float(np.median(rounds))
            copies = replicas if name == "replicas" else 1
            figures[f"step.{case}.{name}"] = (step, "ms")
            figures[f"speed.{case}.{name}"] = (copies * NS_PER_DAY / step, "ns/day")
    return figures


def cases_of(gas: BuiltSystem, box: BuiltSystem, added: Mapping[str, Correction], chosen: Plan, dtype: str) -> Cases:
    """Our sides: in water and in vacuum, and both on a GPU where there is one."""
    systems = corrected(gas, added, dtype)
    systems["replicas"] = replicated(gas, added["global"].model, chosen.replicas, dtype)
    vacuum = {}
    for name, system in systems.items():
        copies = chosen.replicas if name == "replicas" else 1
        start = np.tile(_nm(gas), (copies, 1))
        platform, _ = choose_platform(system, "auto", start * ANGSTROM_PER_NM)
        vacuum[name] = Side(system, start, platform.getName(), _steps(name, chosen.share), copies)
    cases = {
        "water": {
            name: Side(system, _nm(box), "CPU", chosen.water_steps)
            for name, system in corrected(box, added, dtype).items()
        },
        "vacuum": vacuum,
    }
    best = choose_platform(box.system)[0].getName()
    if best not in ("CPU", "Reference"):
        cases |= {
            f"gpu_{case}": {name: replace(side, platform=best) for name, side in sides.items()}
            for case, sides in cases.items()
        }
    return cases


def outer_cases(hybrid: Hybrid, chosen: Plan, dtype: str) -> Cases:
    """Sides with cross terms, in water and in vacuum; the latter on the platform that `sample` would choose."""
    box = hybrid.gas.solvate(padding=chosen.padding, cutoff=9.0)
    alone = hybrid.systems(hybrid.gas, dtype)
    platform = choose_platform(alone["inner"], "auto", _nm(hybrid.gas) * ANGSTROM_PER_NM)[0].getName()
    water_steps = STEPS_OUT * -(-chosen.water_steps // STEPS_OUT)
    return {
        "water_outer": {
            name: Side(system, _nm(box), "CPU", water_steps, name=name)
            for name, system in hybrid.systems(box, dtype).items()
        },
        "vacuum_outer": {
            name: Side(system, _nm(hybrid.gas), platform, _steps(name, chosen.share), name=name)
            for name, system in alone.items()
        },
    }


def _nm(gaff: BuiltSystem) -> NDArray[np.float64]:
    return np.array(gaff.positions.value_in_unit(unit.nanometer))


def measure(threads: int, torch_threads: int, chosen: Plan, dtype: str, python: Path | None) -> dict[str, Any]:
    """The document that is printed."""
    frames = oh.Frames.load(data_folder() / FRAMES).unique()
    lowest = frames.positions[int(np.argmin(frames.labels()[0]))]
    molecule = oh.Molecule.from_geometry(frames.atomic_numbers, lowest, name="aspirin")
    gas = oh.gaff.build(molecule, charges=chosen.charges, progress=False)
    box = gas.solvate(padding=chosen.padding, cutoff=9.0)
    everything = tuple(range(frames.n_atoms))
    timed_model = random_model(frames, molecule, everything, chosen.all_points)
    hybrid = Hybrid.make(gas, frames, timed_model, n_fit=chosen.n_fit, n_train=chosen.n_train)
    cases = cases_of(gas, box, corrections(gas, frames, chosen), chosen, dtype) | outer_cases(hybrid, chosen, dtype)
    times: dict[str, Times] = {}
    for case, sides in cases.items():
        with ExitStack() as stack:
            runs = {name: side.stepper(threads, torch_threads) for name, side in sides.items()}
            if case == "vacuum" and python is not None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hybrid-speed-")))
                runs |= ase_sides(python, folder, lowest, chosen.share, stack)
            times[case] = interleaved(runs, chosen.rounds, dict.fromkeys(runs, 2), skipped=1)
    drifts = hybrid.drifts(chosen.picoseconds)
    platforms = {case: {name: side.platform for name, side in sides.items()} for case, sides in cases.items()}
    return document(
        "hybrid_speed",
        figures_of(times, chosen.replicas)
        | outer_timestep.figures_of(times["water_outer"], times["vacuum_outer"], drifts),
        threads=threads,
        torch_threads=torch_threads,
        dtype=dtype,
        environment=settings(threads),
        load_average=os.getloadavg()[0],
        gpu=platforms.get("gpu_water", {}).get("gaff", "none"),
        platforms=platforms,
        particles_of_the_water_box=box.system.getNumParticles(),
        drifts=drifts,
        published_drift=outer_timestep.PUBLISHED,
        rounds_ms={case: rounded(sides) for case, sides in times.items()},
    )


def main() -> None:
    """Measure and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, help="Python of an environment with sgdml 1.0.3 and ase")
    parser.add_argument("--threads", type=int, default=THREADS, help="of OpenMM's CPU platform and of the peer")
    parser.add_argument(
        "--torch-threads", type=int, help="of torch, where `sample` leaves them to it; as many by default"
    )
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="in which torch computes")
    parser.add_argument("--quick", action="store_true", help="few steps: only to see that it runs")
    parser.add_argument("--picoseconds", type=float, help="of each run at constant energy; 100 by default")
    options = parser.parse_args()
    use_settings("benchmarks.hybrid_speed", options.threads)
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # OpenMM's OpenCL platform writes warnings to standard output
    chosen = QUICK if options.quick else Plan()
    if options.picoseconds is not None:
        chosen = replace(chosen, picoseconds=options.picoseconds)
    torch_threads = options.torch_threads or options.threads
    print(
        to_json(measure(options.threads, torch_threads, chosen, options.dtype, options.peer)), file=output, flush=True
    )


if __name__ == "__main__":
    main()
