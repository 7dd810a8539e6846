"""Terms through straight angles, as functions that try them. See `tests.faults.outcomes` for names and outcomes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openmm

import openmm_hybrid as oh
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.paths import chains
from openmm_hybrid.forms.fourier import Fourier
from tests.faults.outcomes import attempt
from tests.helpers.straight_molecules import bent, built, exactly_straight, openmm_forces, read, straightened

JUMP = 1e-3  # kcal/mol/Å, largest difference of forces between 180° and the mean of both sides at 179.999°


def replaced(name: str, **forms: Any) -> tuple[openmm.System, ForceField]:
    """The System of a molecule with edited terms, which have random energies."""
    model = straightened(read(name).edit(**forms))
    system = openmm.XmlSerializer.clone(built(name).system)
    oh.replace(system, built(name).topology, model)
    return system, model


def forces(name: str, **forms: Any) -> str:
    """Forces at 180° exactly: finite, and equal to those beside it."""

    def call(_: Path) -> bool:
        system, model = replaced(name, **forms)
        frames = np.concatenate([exactly_straight(name)[None], bent(name, 179.999)])
        found = np.stack([model.predict(frames)[1], openmm_forces(system, frames)])
        jump = np.abs(found[:, 1:].mean(axis=1) - found[:, 0]).max()
        return bool(np.isfinite(found).all() and jump < JUMP)

    return attempt(call, bool)


def minimum(name: str, **forms: Any) -> str:
    """The local minimum from 180° exactly."""

    def call(_: Path) -> bool:
        system, _ = replaced(name, **forms)
        positions, energy = oh.minimize(system, exactly_straight(name))
        return bool(np.isfinite(positions).all() and np.isfinite(energy))

    return attempt(call, bool)


def old_file(name: str) -> str:
    """A force field with torsions through straight angles, from a file."""

    def call(folder: Path) -> None:
        builder = Builder.of(read(name).tables)
        builder.add("propers", Fourier(3), dict.fromkeys(chains(builder.bonds), (0.0, 0.0, 0.0, 0.2)))
        ForceField(builder.finish()).save(folder / "old.npz")
        ForceField.load(folder / "old.npz")

    return attempt(call)


CASES: dict[str, Callable[[], str]] = {
    "10 CC#N, cross terms": partial(forces, "acetonitrile", cross=True),
    "10 CC#C, cross terms": partial(forces, "propyne", cross=True),
    "10 CC#C, neural propers": partial(forces, "propyne", propers="neural4"),
    "10 CC#CC, spline propers": partial(forces, "butyne", propers="spline8"),
    "10 N#CC#N, cross terms and Fourier series": partial(forces, "cyanogen", propers="fourier6", cross=True),
    "10 C=C=C, torsion-torsion terms": partial(forces, "allene", cross=("torsion", "torsion-torsion")),
    "10 CN=[N+]=[N-], neural angles": partial(forces, "methyl azide", angles="neural4"),
    "10 minimum of CC#N from 180°, cross terms": partial(minimum, "acetonitrile", cross=True),
    "10 minimum of CC#CC from 180°, neural propers": partial(minimum, "butyne", propers="neural4"),
    "10 file with torsions through C-C#C": partial(old_file, "propyne"),
    "10 file with torsions through N#C-C#N": partial(old_file, "cyanogen"),
}
"""Name → function that tries it."""
