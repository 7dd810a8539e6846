"""Random cases: a molecule with a random classical force field, random forms, random values and random surroundings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.fuzz.molecules import SMILES

TORCH_SHARE = 0.02
"""Share of the cases in which the backend is torch's, which takes seconds to compile."""

_SIZES = {"fourier": (2, 8), "spline": (4, 16), "neural": (2, 8)}
_CROSS = {"angle": 0.4, "angle-angle": 0.2, "torsion": 0.1, "straight-chain": 0.2, "torsion-torsion": 0.1}
"""Kinds of cross terms and their shares; OpenMM takes seconds to differentiate the expression of "torsion"."""
_FORMS = {
    "bonds": ("harmonic", "morse", "spline", "neural"),
    "angles": ("harmonic", "spline", "neural"),
    "propers": ("fourier", "spline", "neural"),
    "impropers": ("fourier", "spline", "neural"),
}


@dataclass(frozen=True)
class Classical:
    """How the classical force field of a case is drawn.

    Parameters
    ----------
    per_term : bool
        Values of each term by itself; otherwise equivalent terms have equal values, as in GAFF.
    phases : bool
        Torsions with phases other than 0 and 180°.
    improper_style : {"amber", "trefoil", "none"}
        One improper with the centre third, three with the centre first, or none.
    scales : (float, float)
        1-4 scales of Coulomb and Lennard-Jones interactions.
    types : {"classes", "elements"}
        Types of atoms: classes of equivalent atoms, or elements with the number of neighbours.
    """

    per_term: bool
    phases: bool
    improper_style: str
    scales: tuple[float, float]
    types: str


@dataclass(frozen=True)
class Surroundings:
    """What is around the molecule.

    Parameters
    ----------
    method : str
        Name of a method of NonbondedForce.
    shape : {"none", "rectangular", "triclinic"}
    copies, waters : int
        Numbers of copies of the molecule, and of rigid water molecules.
    constraints : {"none", "HBonds", "AllBonds"}
        Constraints inside the copies.
    hydrogen_mass : float, Da
        0 means natural masses.
    switch : bool
        Whether Lennard-Jones interactions have a switching function.
    """

    method: str
    shape: str
    copies: int
    waters: int
    constraints: str
    hydrogen_mass: float
    switch: bool


@dataclass(frozen=True)
class Case:
    """One random case.

    Parameters
    ----------
    seed, index : int
    smiles : str
    classical : Classical
    edits : tuple of dict
        Arguments of `ForceField.edit`, one after the other.
    fourier2d : bool
        Add a series in a dihedral and a distance.
    spread : float
        Relative size of the change of every fitted value; 0 leaves them.
    how : {"replace", "attach", "register", "replicate"}
        How the force field gets into the System.
    surroundings : Surroundings
    backend : str
    fitted_outside : bool
        See `openmm_hybrid.replace`.
    scale : bool
        Attach with a global parameter.
    shake : float, Å
        Size of the distortion of the geometries.
    """

    seed: int
    index: int
    smiles: str
    classical: Classical
    edits: tuple[dict[str, Any], ...]
    fourier2d: bool
    spread: float
    how: str
    surroundings: Surroundings
    backend: str
    fitted_outside: bool
    scale: bool
    shake: float

    def random(self, stream: int) -> np.random.Generator:
        """Random numbers of a part of the case; parts with other streams do not depend on each other."""
        return np.random.default_rng([self.seed, self.index, stream])


def draw(seed: int, index: int) -> Case:
    """The case `index` of a seed."""
    rng = np.random.default_rng([seed, index])
    how = str(rng.choice(["replace", "attach", "register", "replicate"], p=[0.6, 0.15, 0.15, 0.1]))
    return Case(
        seed=seed,
        index=index,
        smiles=SMILES[int(rng.integers(len(SMILES)))],
        classical=_classical(rng, how),
        edits=tuple(_edit(rng) for _ in range(int(rng.choice([0, 1, 2], p=[0.1, 0.65, 0.25])))),
        fourier2d=bool(rng.random() < 0.08) and how != "register",  # which would need it on all equivalent chains
        spread=float(rng.choice([0.0, 0.02, 0.1], p=[0.1, 0.45, 0.45])),
        how=how,
        surroundings=_surroundings(rng, how),
        backend="torchforce" if rng.random() < TORCH_SHARE else "auto",
        fitted_outside=bool(rng.random() < 0.9),
        scale=bool(rng.random() < 0.5),
        shake=float(rng.choice([0.02, 0.06, 0.12])),
    )


def _classical(rng: np.random.Generator, how: str) -> Classical:
    scales = [(1 / 1.2, 0.5), (0.5, 0.5), (1.0, 1.0), (0.0, 0.0), (1 / 1.2, 1.0)]
    # `register` exchanges equivalent atoms, which must not matter: the dihedral of one improper depends on their order.
    symmetric = how == "register"
    return Classical(
        per_term=bool(rng.random() < 0.15) and not symmetric,
        phases=bool(rng.random() < 0.15),
        improper_style=str(
            rng.choice(["amber", "trefoil", "none"], p=[0.0 if symmetric else 0.6, 0.25 + 0.6 * symmetric, 0.15])
        ),
        # openmm.app.ForceField has the scales of its water.
        scales=scales[0] if how == "register" else scales[int(rng.choice(5, p=[0.8, 0.05, 0.05, 0.05, 0.05]))],
        types=str(rng.choice(["classes", "elements"], p=[0.7, 0.3])),
    )


def _edit(rng: np.random.Generator) -> dict[str, Any]:
    made: dict[str, Any] = {"seed": int(rng.integers(100))}
    for slot, forms in _FORMS.items():
        if rng.random() < 0.4:
            made[slot] = _word(str(rng.choice(forms)), rng)
    if rng.random() < 0.35:
        made["pairs"] = str(rng.choice(["atoms", "inner"], p=[0.2, 0.8]))
    if rng.random() < 0.12:
        kinds = rng.choice(list(_CROSS), size=int(rng.integers(1, 3)), replace=False, p=list(_CROSS.values()))
        made["cross"] = True if rng.random() < 0.05 else tuple(str(kind) for kind in kinds)
    return made


def _word(form: str, rng: np.random.Generator) -> str:
    if form not in _SIZES or rng.random() < 0.5:
        return form
    low, high = _SIZES[form]
    return f"{form}{int(rng.integers(low, high + 1))}"


def _surroundings(rng: np.random.Generator, how: str) -> Surroundings:
    copies = int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))
    constraints = str(rng.choice(["none", "HBonds", "AllBonds"], p=[0.7, 0.2, 0.1]))
    mass = float(rng.choice([0.0, 1.5, 3.0], p=[0.7, 0.15, 0.15]))
    switch = bool(rng.random() < 0.2)
    periodic = rng.random() < 0.6 and how != "replicate"
    if periodic:
        method = str(rng.choice(["CutoffPeriodic", "PME", "Ewald", "LJPME"], p=[0.35, 0.4, 0.15, 0.1]))
        # OpenMM's Ewald takes rectangular boxes only.
        shape = "rectangular" if method == "Ewald" else str(rng.choice(["rectangular", "triclinic"]))
        waters = int(rng.choice([0, 3, 12]))
        return Surroundings(method, shape, copies, waters, constraints, mass, switch)
    cut = rng.random() < 0.25 and how != "replicate"
    method = "CutoffNonPeriodic" if cut else "NoCutoff"
    waters = 0 if how == "replicate" else int(rng.choice([0, 0, 3]))
    return Surroundings(method, "none", copies, waters, constraints, mass, switch)


def directions(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A random direction of unit length."""
    made = rng.normal(size=shape)
    return made / np.linalg.norm(made)
