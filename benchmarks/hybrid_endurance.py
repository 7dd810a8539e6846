"""Stability of a corrected molecule in water, and of restarts after a kill at any moment.

python -m benchmarks.hybrid_endurance CORRECTION --frames FRAMES.npz [--forcefield NAME] [--output runs/endurance]
    [--picoseconds 500 --kills 20 --waters 500]

The molecule of FRAMES (the frame of the lowest energy) is put into a cubic box of about `--waters` TIP3P waters at
300 K and 1 bar, with GAFF 1.81 and AM1-BCC charges or the given force field, and with the correction. The System is
saved with `save_system` and sampled by processes that load it. These are killed by SIGKILL at random moments and
started again; the last one runs to the end. Then we compare the times in trajectory and log with the expected ones,
and the energies of frames with the logged ones, and examine bonds and density. A benchmark that was stopped resumes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import torch
from mdtraj.formats import XTCTrajectoryFile
from numpy.typing import NDArray
from openmm import unit

import openmm_hybrid as oh
from benchmarks.forcefield_stability import BROKEN, stretch
from benchmarks.kills import kill_when
from openmm_hybrid import analysis, gaff
from openmm_hybrid.core.result_document import document, to_json, write_json
from openmm_hybrid.core.units import ANGSTROM_PER_NM
from openmm_hybrid.correction import Correction
from openmm_hybrid.sampling.platform import choose_platform
from openmm_hybrid.sampling.restart import read_progress
from openmm_hybrid.sampling.sample_result import read_log

ROOT = Path(__file__).parents[1]
TEMPERATURE = 300.0
_WATER, _ATOM = 29.9, 60.0  # Å³ per water and per atom of the molecule, with the gaps that Modeller leaves
_GRAMS = 1.66053907  # density 1 amu/Å³ in g/mL
_COMPARED = 50  # frames whose energy is computed again
_CHILD = "import sys; from benchmarks.hybrid_endurance import resume; resume(sys.argv[1])"


@dataclass(frozen=True)
class Settings:
    """Settings of the run: ps, fs, steps between frames and (None: every 15 s) between checkpoints.

    Kills wait for a random frame and then for a random time up to `delay`, in seconds.
    """

    picoseconds: float = 500.0
    equilibration: float = 20.0
    timestep: float = 1.0
    interval: int = 500
    kills: int = 20
    seed: int = 0
    platform: str = "auto"
    checkpoint_interval: int | None = None
    delay: float = 2.0

    @property
    def n_frames(self) -> int:
        """Frames of the whole run."""
        return round(1e3 * self.picoseconds / self.timestep) // self.interval


def build(
    correction: Correction, frames: oh.Frames, forcefield: oh.ForceField | None, waters: int, folder: Path
) -> None:
    """Write the System with the correction attached into `folder`."""
    lowest = int(np.argmin(frames.labels()[0]))
    molecule = oh.Molecule.from_geometry(frames.atomic_numbers, frames.positions[lowest])
    n_atoms = molecule.n_atoms
    outer = None if forcefield is None else forcefield.outer
    if outer is not None:
        built = gaff.build(molecule, version="1.81", charges=outer.charges)
    else:  # a force field without outer charges brings those of its atoms
        built = gaff.build(molecule, version="1.81", charges="am1-bcc" if forcefield is None else np.zeros(n_atoms))
    half = 0.5 * (waters * _WATER + n_atoms * _ATOM) ** (1 / 3)
    box = built.solvate(padding=half, cutoff=min(9.0, 0.8 * half))
    particles = np.arange(n_atoms)
    if forcefield is not None:
        oh.replace(
            box.system, box.topology, forcefield, atoms=particles, fitted_nonbonded_outside=outer is None
        )  # fmt: skip
    atoms = correction.on(particles)
    oh.attach(box.system, box.topology, correction.model, atoms=atoms)
    box.system.addForce(openmm.MonteCarloBarostat(1 * unit.bar, TEMPERATURE * unit.kelvin))
    oh.save_system(
        folder, box.system, box.topology, box.positions, attachments=[oh.Attachment(correction.model, atoms=atoms)]
    )


def resume(folder: str) -> None:
    """Load the System and resume its sampling; each process calls this."""
    torch.set_num_threads(1)
    settings = Settings(**json.loads((Path(folder) / "settings.json").read_text()))
    system, topology, positions = oh.load_system(Path(folder) / "system")
    oh.sample(
        system, topology, positions, output=Path(folder) / "run", temperature=TEMPERATURE,
        duration=settings.picoseconds, timestep=settings.timestep, interval=settings.interval,
        equilibration=round(1e3 * settings.equilibration / settings.timestep), format="xtc",
        platform=settings.platform, seed=settings.seed, checkpoint_interval=settings.checkpoint_interval,
        progress=False,
    )  # fmt: skip


def endure(folder: Path, settings: Settings) -> list[dict[str, Any]]:
    """Kill and start again until the run is finished; one record a process, those of an earlier call included."""
    path = folder / "processes.json"
    records: list[dict[str, Any]] = json.loads(path.read_text())["processes"] if path.is_file() else []
    chance = np.random.default_rng(settings.seed)
    moments = np.sort(chance.uniform(0.0, 0.97 * settings.n_frames, settings.kills))
    delays = chance.uniform(0.0, settings.delay, settings.kills)
    for number in range(len(records), settings.kills + 1):
        if records and records[-1]["ended"] == "error":
            break  # the next one would end in the same way
        began, before = time.monotonic(), _checkpoint(folder)
        with _process(folder, number) as process:
            killed = False
            if number < settings.kills:
                killed = kill_when(process, partial(_reached, folder, moments[number]), delay=delays[number], poll=0.05)
            status = process.wait()
        records.append(
            {
                "ended": "killed" if killed else "finished" if status == 0 else "error",
                "started from step": before,
                "frames": _rows(folder),
                "checkpoint at step": _checkpoint(folder),
                "seconds": time.monotonic() - began,
            }
        )
        if not killed and status:
            records[-1]["message"] = (folder / f"stderr_{number}.txt").read_text().strip().splitlines()[-1:]
        write_json(path, {"processes": records})
    return records


@contextmanager
def _process(folder: Path, number: int) -> Iterator[subprocess.Popen[bytes]]:
    """One process that samples on; it does not outlive the block."""
    with (folder / f"stderr_{number}.txt").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(folder.resolve())], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _reached(folder: Path, frames: float) -> bool:
    return _rows(folder) >= frames


def _rows(folder: Path) -> int:
    log = folder / "run" / "log_0.csv"
    return max(0, log.read_bytes().count(b"\n") - 1) if log.is_file() else 0


def _checkpoint(folder: Path) -> int | None:
    """The step of the checkpoint; None without one. A damaged one ends the benchmark."""
    progress = read_progress(folder / "run" / "checkpoint_0.zip")
    return None if progress is None else progress.step


def check(folder: Path, settings: Settings, n_atoms: int) -> dict[str, tuple[float, str]]:
    """Figures of what is in the folder."""
    with XTCTrajectoryFile(str(folder / "run" / "trajectory_0.xtc")) as file:
        positions, times, _, box = file.read()
    log = read_log(folder / "run" / "log_0.csv")
    system, topology, start = oh.load_system(folder / "system")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), *choose_platform(system, settings.platform))
    frame = 1e-3 * settings.timestep * settings.interval
    gaps, duplicates = np.sum([_misses(series, frame, settings.n_frames) for series in (times, log["time"])], axis=0)
    same = (positions[1:] == positions[:-1]).all(axis=(1, 2)).sum()
    bonds = np.array([(i.index, j.index) for i, j in topology.bonds() if max(i.index, j.index) < n_atoms])
    stretched = stretch(positions[:, :n_atoms].astype(np.float64) * ANGSTROM_PER_NM, bonds, start[:n_atoms])
    mass = sum(system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles()))
    density = _GRAMS * mass / (np.linalg.det(box.astype(np.float64)) * ANGSTROM_PER_NM**3)
    average = analysis.mean_with_error(density)
    columns = np.array([log[name] for name in log.dtype.names or ()])
    return {
        "gaps": (int(gaps), "1"),
        "duplicates": (int(duplicates + same), "1"),
        "frames": (len(positions), "1"),
        "log_rows": (len(log), "1"),
        "not_finite": (int((~np.isfinite(columns)).sum()), "1"),
        "log_mismatch": (_mismatch(context, positions, box, log["potential"]), "1"),
        "broken_bonds": (int((stretched > BROKEN).sum()), "1"),
        "largest_stretch": (float(stretched.max()), "1"),
        "density": (float(average.value), "g/mL"),
        "density_error": (float(average.error), "g/mL"),
        "temperature": (float(log["temperature"].mean()), "K"),
        "particles": (system.getNumParticles(), "1"),
    }


def _misses(times: NDArray[Any], frame: float, expected: int) -> tuple[int, int]:
    """Numbers of missing frames and of superfluous frames."""
    steps = np.asarray(times, dtype=np.float64) / frame
    on_grid = np.rint(steps[np.abs(steps - np.rint(steps)) < 1e-2]).astype(int)
    right = np.unique(on_grid[(on_grid >= 1) & (on_grid <= expected)])
    in_order = len(right) == len(steps) and (np.diff(steps) > 0).all()
    return expected - len(right), 0 if in_order else max(1, len(steps) - len(right))


def _mismatch(context: openmm.Context, positions: NDArray[Any], box: NDArray[Any], logged: NDArray[Any]) -> float:
    """RMS difference of potential energies, logged and of the stored frames, over the spread of the logged ones.

    Averages are subtracted. XTC rounds to 0.01 Å, which costs some hundredths; frames and lines that do not belong
    together would give about 1.4.
    """
    chosen = np.unique(np.linspace(0, min(len(positions), len(logged)) - 1, _COMPARED).astype(int))
    energies = []
    for frame in chosen:
        context.setPeriodicBoxVectors(*box[frame].astype(np.float64))
        context.setPositions(positions[frame].astype(np.float64))
        energies.append(context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole))
    return float(np.std(energies - logged[chosen]) / np.std(logged[chosen]))


def main() -> None:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("correction", help="a file, or the name of a ready set")
    parser.add_argument("--frames", type=Path, required=True, help="labelled frames of the molecule, in its atom order")
    parser.add_argument("--forcefield", help="a file or the name of a ready set; GAFF with AM1-BCC charges without it")
    parser.add_argument("--output", type=Path, default=Path("runs/endurance"))
    parser.add_argument("--waters", type=int, default=500)
    parser.add_argument("--picoseconds", type=float, default=Settings.picoseconds)
    parser.add_argument("--equilibration", type=float, default=Settings.equilibration, help="ps")
    parser.add_argument("--interval", type=int, default=Settings.interval, help="steps between frames")
    parser.add_argument("--checkpoint-interval", type=int, help="steps between checkpoints; about 15 s without it")
    parser.add_argument("--kills", type=int, default=Settings.kills)
    parser.add_argument("--delay", type=float, default=Settings.delay, help="s, at most, from a frame to a kill")
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--platform", default=Settings.platform)
    options = parser.parse_args()
    folder: Path = options.output
    chosen = {name: getattr(options, name) for name in asdict(Settings()) if hasattr(options, name)}
    settings = Settings(**chosen)
    frames = oh.Frames.load(options.frames)
    write_json(folder / "settings.json", asdict(settings))
    if not (folder / "system" / "manifest.json").is_file():
        forcefield = None if options.forcefield is None else oh.ForceField.load(options.forcefield)
        build(oh.correction.load(options.correction), frames, forcefield, options.waters, folder / "system")
    records = endure(folder, settings)
    if not _rows(folder):
        raise SystemExit(f"no frame was written: {records[-1]}")
    ended = [record["ended"] for record in records]
    figures = {
        "picoseconds": (1e-3 * settings.timestep * settings.interval * _rows(folder), "ps"),
        "kills": (ended.count("killed"), "1"),
        "restarts_from_checkpoint": (sum(record["started from step"] is not None for record in records), "1"),
        "failures": (ended.count("error"), "1"),
        **check(folder, settings, len(frames.atomic_numbers)),
    }
    given = {"correction": options.correction, "forcefield": options.forcefield, "settings": asdict(settings)}
    print(to_json(document("hybrid_endurance", figures, **given, processes=records)))


if __name__ == "__main__":
    main()
