"""Hydrogen peroxide and trioxidane with made-up parameters: two small molecules that share types."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from openmm_hybrid import Frames
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.paths import angles, chains
from openmm_hybrid.forms.fourier import Fourier
from openmm_hybrid.forms.harmonic import Harmonic
from openmm_hybrid.forms.nonbonded import Coulomb, LennardJones

HOOH = np.array([[-0.25, 0.93, 0.0], [0.0, 0.0, 0.0], [1.45, 0.0, 0.0], [1.7, 0.35, 0.86]])
HOOOH = np.array([[1.7, -0.3, 0.88], [1.45, 0.0, 0.0], [0.0, 0.0, 0.0], [-0.4, 1.39, 0.0], [-0.7, 1.6, -0.9]])
BONDS = {"ho-oh": (900.0, 0.97), "oh-oh": (500.0, 1.45)}
BENDS = {"ho-oh-oh": (100.0, 1.8), "oh-oh-oh": (120.0, 1.9)}
TORSIONS = {"ho-oh-oh-ho": (0.0, 1.5, 2.5, 0.4), "ho-oh-oh-oh": (0.0, -0.8, 1.2, 0.3)}
CHARGES = {4: [0.4, -0.4, -0.4, 0.4], 5: [0.42, -0.3, -0.24, -0.3, 0.42]}


def forcefield(positions: NDArray[np.float64], name: str) -> ForceField:
    """The force field of a chain H-O-…-O-H."""
    n = len(positions)
    types = ["ho", *["oh"] * (n - 2), "ho"]
    bonds = np.array([(i, i + 1) for i in range(n - 1)])
    builder = Builder([1, *[8] * (n - 2), 1], bonds, types=types, name=name)

    def rows(paths: list[tuple[int, ...]], known: dict[str, tuple[float, ...]]) -> dict:
        labels = {path: [types[atom] for atom in path] for path in paths}
        return {path: known["-".join(min(label, label[::-1]))] for path, label in labels.items()}

    builder.add("bonds", Harmonic("distance"), rows([tuple(bond) for bond in bonds.tolist()], BONDS))
    builder.add("angles", Harmonic("angle"), rows(angles(bonds), BENDS))
    builder.add("propers", Fourier(3), rows(chains(bonds), TORSIONS))
    scales = {(i, j): 1.0 / 1.2 if j - i == 3 else 1.0 for i, j in combinations(range(n), 2) if j - i >= 3}
    builder.add_charges(Coulomb(), np.array(CHARGES[n]), scales)
    sigmas = np.array([3.0 if kind == "oh" else 1.5 for kind in types])
    roots = np.array([0.4 if kind == "oh" else 0.2 for kind in types])
    builder.add_wells(LennardJones(), sigmas, roots, dict.fromkeys(scales, 1.0))
    return ForceField(builder.finish())


def peroxide() -> ForceField:
    """HOOH."""
    return forcefield(HOOH, "peroxide")


def trioxidane() -> ForceField:
    """HOOOH."""
    return forcefield(HOOOH, "trioxidane")


def frames(model: ForceField, n: int, *, seed: int = 0, noise: float = 0.06) -> Frames:
    """Turned and shaken geometries with the labels of a model; energies have an origin of their own."""
    rng = np.random.default_rng(seed)
    base = HOOH if len(model.atomic_numbers) == 4 else HOOOH
    shaken = base + noise * rng.normal(size=(n, *base.shape))
    turned = np.einsum("fab,fnb->fna", Rotation.random(n, rng=rng).as_matrix(), shaken)
    energies, forces = model.predict(turned)
    return Frames(model.atomic_numbers, turned, energies - 1e5, forces, name=model.name)


def changed(model: ForceField, **factors: float) -> ForceField:
    """With the values of every column of a name multiplied."""
    values = model.parameters.values.copy()
    for number, name in enumerate(model.parameters.names):
        values[number] *= factors.get(name.rpartition("/")[2], 1.0)
    return model.with_values(values)
