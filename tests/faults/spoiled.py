"""Labels that are wrong in part: forces of exchanged atoms, constants, mixed levels and units, and too few frames.

See `tests.faults.outcomes` for names and outcomes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from ase.data import atomic_masses
from numpy.typing import NDArray

import openmm_hybrid as oh
from tests.faults.labels import always, correct, ethanol, fit, gaff, kernel, never, tried

Floats = NDArray[np.float64]


def spoiled(use: Callable[[oh.Frames], Any], spoil: Callable[[Floats], Floats]) -> str:
    """A fit or training on forces (n_frames, 9, 3) that were changed."""
    frames = ethanol()
    return tried(lambda: use(replace(frames, forces=spoil(frames.forces))), never)


def exchanged(forces: Floats) -> Floats:
    """Forces of two hydrogen atoms exchanged."""
    return forces[:, [0, 1, 2, 4, 3, 5, 6, 7, 8]]


def mass_weighted(forces: Floats) -> Floats:
    """Forces times the masses."""
    return forces * atomic_masses[ethanol().atomic_numbers][:, None]


def in_the_plane(forces: Floats) -> Floats:
    """Forces without z components."""
    return forces * np.array([1.0, 1.0, 0.0])


def scaled_in_part(forces: Floats, every: int = 10) -> Floats:
    """Forces of each tenth frame in kJ/mol/Å."""
    return forces * np.where(np.arange(len(forces)) % every == 0, 4.184, 1.0)[:, None, None]


def nothing(forces: Floats) -> Floats:
    """All forces zero."""
    return np.zeros_like(forces)


def constant(use: Callable[[oh.Frames], Any]) -> str:
    """All energies zero."""
    return tried(lambda: use(replace(ethanol(), energies=np.zeros(len(ethanol())))), never)


def two_levels(use: Callable[[oh.Frames], Any], every: int = 2) -> str:
    """Energies of two levels of theory, 50 kcal/mol apart."""
    frames = ethanol()
    shift = np.where(np.arange(len(frames)) % every == 0, 50.0, 0.0)
    return tried(lambda: use(replace(frames, energies=frames.energies + shift)), never)


def few(recipe: str, n_train: int) -> str:
    """A model of this many frames, which is right where they determine it."""
    right = always if n_train >= 20 else never
    if recipe == "sGDML":
        return tried(lambda: oh.sgdml.train(ethanol(), sigma=20, n_train=n_train, progress=False), right)
    return tried(lambda: oh.correction.train(gaff(), ethanol(), n_train=n_train, progress=False), right)


_USES: dict[str, Callable[[oh.Frames], Any]] = {"fit": fit, "correction": correct, "sGDML": kernel}
_SPOILED: dict[str, Callable[[Floats], Floats]] = {
    "forces of two hydrogens exchanged": exchanged,
    "mass-weighted forces": mass_weighted,
    "no z components of forces": in_the_plane,
    "all forces zero": nothing,
}

CASES: dict[str, Callable[[], str]] = {
    **{
        f"29 {use}, {name}": partial(spoiled, call, spoil)
        for use, call in _USES.items()
        for name, spoil in _SPOILED.items()
    },
    **{f"29 {use}, all energies zero": partial(constant, call) for use, call in _USES.items()},
    "29 fit, a tenth of the forces in kJ/mol": partial(spoiled, fit, scaled_in_part),
    "29 fit, half of the forces in kJ/mol": partial(spoiled, fit, partial(scaled_in_part, every=2)),
    "29 correction, a tenth of the forces in kJ/mol": partial(spoiled, correct, scaled_in_part),
    "29 fit, two levels of energies": partial(two_levels, fit),
    "29 fit, two levels of energies in 20 frames": partial(two_levels, partial(fit, n_train=20)),
    "29 correction, two levels of energies": partial(two_levels, correct),
    **{
        f"29 {recipe}, {n} frames": partial(few, recipe, n) for recipe in ("correction", "sGDML") for n in (2, 3, 5, 20)
    },
}
"""Name → function that tries it."""
