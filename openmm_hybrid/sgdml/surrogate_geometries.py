"""Geometries that resemble a model's training geometries, to which a smaller model is fitted.

They come from short Langevin dynamics with the model itself, from its training geometries at their configurational
temperature. Their distance to the training set does not exceed the largest distance within it (see `distance`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.models.langevin import Langevin
from openmm_hybrid.sgdml.distance import training_distance
from openmm_hybrid.sgdml.model import SGDMLModel

_REPLICAS = 50
_STEP = 0.5  # time step, fs
_STEPS = 5  # number of steps between two checks of the distance
_PERIODS = 8  # number of checks between two geometries of a replica
_FRICTION = 0.05  # friction, 1/fs
_USUAL_TEMPERATURE = 300.0  # K, if the configurational temperature is not positive
_DISPLACEMENT = 1e-3  # Å, displacement of the finite difference

Floats = NDArray[np.float64]


def training_geometries(model: SGDMLModel) -> Floats:
    """Positions (n_train, n_atoms, 3), Å, of a model's training points, in arbitrary orientation and handedness.

    Classical scaling: the three leading eigenvectors of the centred squared distances (Torgerson, Psychometrika 17,
    401 (1952)), exact for distances of points in space.
    """
    n_atoms = len(model.atomic_numbers)
    i, j = np.tril_indices(n_atoms, -1)
    squares = np.zeros((model.n_train, n_atoms, n_atoms))
    squares[:, i, j] = squares[:, j, i] = model.descriptors**-2.0
    centring = np.eye(n_atoms) - 1.0 / n_atoms
    values, vectors = np.linalg.eigh(-0.5 * centring @ squares @ centring)
    return vectors[:, :, -3:] * np.sqrt(np.maximum(values[:, None, -3:], 0.0))


def temperature(model: SGDMLModel, positions: Floats, seed: int) -> float:
    """The configurational temperature ⟨|∇E|²⟩/(k ⟨∇²E⟩), K, of geometries in a model's potential.

    Rugh, Phys. Rev. Lett. 78, 772 (1997). Force differences along random signs estimate the mean of the Laplacian
    (Hutchinson). If it is not positive, the result is 300 K; this happens for corrections, whose training geometries
    come from another potential.
    """
    signs = _DISPLACEMENT * np.random.default_rng(seed).choice([-1.0, 1.0], size=positions.shape)
    forces = model.evaluate(positions)[1]
    change = model.evaluate(positions - signs)[1] - model.evaluate(positions + signs)[1]
    laplacian = float((change * signs).sum()) / (2.0 * _DISPLACEMENT**2)
    return float((forces**2).sum()) / laplacian / BOLTZMANN if laplacian > 0.0 else _USUAL_TEMPERATURE


def similar_geometries(model: SGDMLModel, number: int, *, seed: int) -> Floats:
    """Geometries (number, n_atoms, 3), Å, from dynamics with the model.

    BAOAB Langevin dynamics (Leimkuhler, Matthews, Appl. Math. Res. Express 2013, 34): 50 replicas, steps of 0.5 fs,
    friction 50/ps, one geometry per replica every 20 fs. A replica that has moved too far is reset to its positions of
    2.5 fs before, with new velocities, so that the method also works for corrections, which hold no molecule together.
    """
    rng = np.random.default_rng(seed)
    starts, distance = training_geometries(model), training_distance(model)
    langevin = Langevin(model.atomic_numbers, temperature(model, starts[:200], seed), _STEP, _FRICTION, rng)
    x = starts[rng.integers(len(starts), size=min(number, _REPLICAS))]
    v = langevin.velocities(x.shape)

    def forces(positions: Floats) -> Floats:
        return model.evaluate(positions)[1]

    made: list[Floats] = []
    while len(made) < number:
        for _ in range(_PERIODS):
            moved, f = x, forces(x)
            for _ in range(_STEPS):
                moved, v, f = langevin.step(forces, moved, v, f)
            far = distance.predict(moved) > distance.left_out.max()
            x = np.where(far[:, None, None], x, moved)
            v = np.where(far[:, None, None], langevin.velocities(x.shape), v)
        made.extend(x)
    return np.array(made[:number])
