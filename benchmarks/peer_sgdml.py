"""The peer's side of the benchmarks: a script for a Python environment with sgdml 1.0.3, numpy and torch.

python peer_sgdml.py THREADS reads requests from standard input, one JSON object per line with the entry "task", and
answers each with one line of JSON (see `benchmarks.worker`). The output of sgdml itself goes to standard error.
`Dynamics` also needs ase.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any

import numpy as np
from peak import peak
from sgdml import __version__
from sgdml.predict import GDMLPredict
from sgdml.train import GDMLTrain

THREADS = int(sys.argv[1])
CHUNKS = (25, 50, 100, 250, 500, 1000)
"""Chunk sizes of training points that `prepare` tries."""


def train(data: str, indices: list[int], sigma: float, lam: float, perms: list[list[int]], out: str) -> dict[str, Any]:
    """Train on some frames and write the model; the time is for the training alone."""
    with np.load(data) as frames:
        positions, energies, forces = frames["R"][indices], frames["E"].ravel()[indices], frames["F"][indices]
        z = frames["z"]
    chosen = np.array(indices)
    task = {
        "type": "t",
        "code_version": __version__,
        "dataset_name": "benchmark",
        "dataset_theory": "unknown",
        "z": z,
        "R_train": positions,
        "E_train": energies,
        "F_train": forces,
        "idxs_train": chosen,
        "md5_train": b"",
        "idxs_valid": chosen,
        "md5_valid": b"",
        "sig": int(sigma) if float(sigma).is_integer() else sigma,
        "lam": lam,
        "use_E": True,
        "use_E_cstr": False,
        "use_sym": len(perms) > 1,
        "perms": np.array(perms),
    }
    trainer = GDMLTrain(max_processes=THREADS)
    start = time.perf_counter()
    model = trainer.train(task)
    seconds = time.perf_counter() - start
    # Entries that are not arrays (None, dictionaries of errors) would become pickles, and predictions do not need them.
    np.savez_compressed(out, **{name: value for name, value in model.items() if np.asarray(value).dtype != object})
    return {"seconds": seconds, "solver": str(model["solver_name"]), **peak()}


def predict(model: str, data: str, indices: list[int], out: str) -> dict[str, Any]:
    """Energies and forces at some frames, written to an npz file."""
    with np.load(data) as frames:
        positions = frames["R"][indices]
    predictor = GDMLPredict(_load(model), max_processes=THREADS, log_level=logging.CRITICAL)
    energies, forces = predictor.predict(positions.reshape(len(positions), -1))
    np.savez(out, E=energies, F=forces.reshape(positions.shape))
    return {}


class Predictor:
    """The torch or numpy predictor of a model, timed on frames (n, 3 n_atoms) of an npy file."""

    def __init__(self, model: str, frames: str, use_torch: bool) -> None:
        self._frames = np.load(frames)
        # max_memory: 2 GB hold the batches of the torch predictor.
        self._predictor = GDMLPredict(
            _load(model), use_torch=use_torch, max_memory=2, max_processes=THREADS, log_level=logging.CRITICAL
        )
        if use_torch:
            import torch

            torch.set_num_threads(THREADS)

    def prepare(self, number: int) -> tuple[bool, int, int]:
        """Use the fastest setting for this number of frames: whether processes share frames, their number, chunk size.

        sgdml's own prepare_parallel() chooses chunks of one point for a single frame, which is slower.
        """
        tried = {}
        for bulk in (False, True) if number > 1 else (False,):
            for workers in range(1 if bulk else 0, THREADS + 1):
                for chunk in CHUNKS:
                    self._use(bulk, workers, chunk)
                    times = [self._seconds(number) for _ in range(4 if number == 1 else 2)]
                    tried[bulk, workers, chunk] = min(times)
        best = min(tried, key=lambda setting: tried[setting])
        self._use(*best)
        return best

    def times(self, number: int, repeats: int) -> list[float]:
        """Seconds of each of several predictions of `number` frames."""
        return [self._seconds(number) for _ in range(repeats)]

    def forces(self, number: int) -> list[list[float]]:
        """Forces (number, 3 n_atoms) of the first frames."""
        return self._predictor.predict(self._frames[:number])[1].tolist()

    def _use(self, bulk: bool, workers: int, chunk: int) -> None:
        _set(self._predictor, bulk, workers, chunk)

    def _seconds(self, number: int) -> float:
        start = time.perf_counter()
        self._predictor.predict(self._frames[:number])
        return time.perf_counter() - start


class Dynamics:
    """ASE's Langevin dynamics with sgdml's ASE calculator, at 300 K with 0.5 fs and 1/ps.

    It starts from the first geometry (n, 3 n_atoms) of an npy file. `setting` is a result of `Predictor.prepare`, or
    None for the calculator's own choice.
    """

    def __init__(self, model: str, start: str, setting: tuple[bool, int, int] | None) -> None:
        from ase import Atoms, units
        from ase.md.langevin import Langevin
        from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
        from sgdml.intf.ase_calc import SGDMLCalculator

        # The calculator chooses by a measurement; without these lines it would reuse a measurement of an earlier run.
        GDMLPredict._load_cached_bmark_result = lambda self, n_bulk: None
        GDMLPredict._save_cached_bmark_result = lambda self, *result: None
        calculator = SGDMLCalculator(model)
        if setting is not None:
            _set(calculator.gdml_predict, *setting)
        numbers = _load(model)["z"]
        atoms = Atoms(numbers, np.load(start)[0].reshape(-1, 3), calculator=calculator)
        MaxwellBoltzmannDistribution(atoms, temperature_K=300.0)
        self._dynamics = Langevin(atoms, 0.5 * units.fs, temperature_K=300.0, friction=1e-3 / units.fs)

    def step(self, steps: int, repeats: int) -> list[float]:
        """Seconds per step of each of several runs of `steps` steps."""
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            self._dynamics.run(steps)
            seconds.append((time.perf_counter() - start) / steps)
        return seconds


def _set(predictor: GDMLPredict, bulk: bool, workers: int, chunk: int) -> None:
    predictor._set_bulk_mp(bulk)
    predictor._set_num_workers(workers, force_reset=True)
    predictor._set_chunk_size(chunk)


def _load(model: str) -> dict[str, Any]:
    with np.load(model, allow_pickle=False) as entries:
        # f_err and e_err are pickles.
        return {name: entries[name] for name in entries.files if name not in ("f_err", "e_err")}


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    timed: Predictor | Dynamics | None = None
    for line in sys.stdin:
        request = json.loads(line)
        task = request.pop("task")
        if task == "train":
            answer: Any = train(**request)
        elif task == "predict":
            answer = predict(**request)
        elif task == "load":
            timed, answer = Predictor(**request), None
        elif task == "dynamics":
            timed, answer = Dynamics(**request), None
        else:
            answer = getattr(timed, task)(**request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
