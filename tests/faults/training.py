"""Trainings that ended in an error, or took far longer than announced, as functions that try them.

See `tests.faults.outcomes` for names and outcomes.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import openmm_hybrid as oh
from openmm_hybrid import Frames, Molecule, correction, sgdml
from openmm_hybrid.sgdml.threads import MeasuredThreads
from tests.faults.outcomes import attempt
from tests.helpers.sgdml_data import labelled

DATA = Path(os.environ.get("OPENMM_HYBRID_DATA", Path(__file__).parents[3] / "shared" / "data"))
ASPIRIN = "aspirin_ccsd-train.npz"


@cache
def aspirin() -> tuple[Frames, Any]:
    """Frames of the reference data, and the shipped force field with cross terms."""
    return Frames.load(DATA / ASPIRIN).unique(), oh.ForceField.load("aspirin-cross")


def corrected(n_train: int, most: float = 0.05, **settings: Any) -> str:
    """A correction over cross terms that leaves this part of the residual at its training frames."""

    def call(_: Any) -> float:
        frames, forcefield = aspirin()
        model = correction.train(forcefield, frames, n_train=n_train, progress=False, **settings).model
        trained = frames[model.idxs_train]  # type: ignore[attr-defined]
        missing = trained.forces - forcefield.predict(trained.positions)[1]
        return float(np.std(missing - model.predict(trained.positions)[1]) / np.std(missing))

    return attempt(call, lambda left: left < most)


def neopentane_frames(smiles: str) -> Frames:
    """Distorted geometries of a molecule with many symmetries, labelled by pair potentials."""
    molecule = Molecule.from_smiles(smiles)
    noise = np.random.default_rng(0).normal(scale=0.03, size=(30, molecule.n_atoms, 3))
    return labelled(molecule.atomic_numbers, molecule.positions + noise, name=smiles)


def symmetric(smiles: str, **settings: Any) -> str:
    """A molecule with more symmetries than a model can use gets a model, with a warning."""

    def call(_: Any) -> sgdml.SGDMLModel:
        return sgdml.train(neopentane_frames(smiles), sigma=20, progress=False, **settings)

    return attempt(call, lambda model: False, says='perms="data"')


def few_symmetries() -> str:
    """A molecule with few symmetries has those of its graph, without a warning."""

    def call(_: Any) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return len(sgdml.train(neopentane_frames("CCO"), sigma=20, progress=False).perms)

    return attempt(call, lambda count: count == 6)


def contended(free: int, most: int, expected: int) -> str:
    """Work on a made-up machine on which threads without a core of their own make every step slow."""

    def call(_: Any) -> float:
        now = [0.0]
        with _threads(most), MeasuredThreads(lambda: now[0]) as threads:
            spent = 0.0
            for step in range(3000):
                with threads.step():
                    n = torch.get_num_threads()
                    seconds = 0.2 if n > free else 0.05 / n
                    now[0] += seconds
                spent += seconds if step >= 500 else 0.0
        return spent

    return attempt(call, lambda seconds: seconds < 1.3 * 2500 * 0.05 / expected)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


CASES: dict[str, Callable[[], str]] = {
    "24 neopentane": partial(symmetric, "CC(C)(C)C"),
    "24 hexadecane": partial(symmetric, "CCCCCCCCCCCCCCCC"),
    "24 neopentane, atoms 0 to 4": partial(symmetric, "CC(C)(C)C", atoms=range(5)),
    "24 neopentane, symmetries of the graph": partial(symmetric, "CC(C)(C)C", perms="graph"),
    "24 ethanol": few_symmetries,
    "26 two cores, one of them free": partial(contended, 1, 2, 1),
    "26 eight cores, four of them free": partial(contended, 4, 8, 4),
    "26 two cores, both free": partial(contended, 2, 2, 2),
    "26 one thread that the user set, two cores": partial(contended, 2, 1, 1),
    "27 aspirin over cross terms": partial(corrected, 80),
    "27 aspirin over cross terms, lam 1e-7": partial(corrected, 60, lam=1e-7),
    "27 aspirin over cross terms, direct solver": partial(corrected, 60, solver="direct"),
    "27 aspirin over cross terms, iterative solver": partial(corrected, 60, solver="iterative"),
    "27 aspirin over cross terms, sigma 0.3": partial(corrected, 60, sigma=0.3, solver="iterative"),
    "27 aspirin over cross terms, little memory": partial(corrected, 60, max_memory=0.25),
}
"""Name → function that tries it."""
