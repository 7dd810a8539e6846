"""Charges that are equal on equivalent atoms and sum to the net charge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.data.molecule import Molecule


def symmetrized(charges: NDArray[np.float64], molecule: Molecule) -> NDArray[np.float64]:
    """Charges (n_atoms,) averaged over equivalent atoms, then shifted by a constant so that the sum is exact."""
    classes = molecule.symmetry_classes
    means = np.array([charges[classes == kind].mean() for kind in classes])
    return np.asarray(means + (molecule.charge - means.sum()) / molecule.n_atoms)
