"""Models of some atoms of a molecule, put back into it: gradients, and what the atoms left out do to the fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.compose import OnAtoms
from openmm_hybrid.sgdml import train
from openmm_hybrid.testing import TorchModelSuite
from tests.helpers.sgdml_data import labelled, water

PROPENE = Molecule.from_smiles("CC=C", n_conformers=1)
METHYL = [h for h in range(9) if [0, h] in PROPENE.bonds.tolist() and PROPENE.atomic_numbers[h] == 1]
#: Carbons and the methyl group's hydrogens, not in the molecule's order.
CHOSEN = [METHYL[2], 0, 2, 1, METHYL[0], METHYL[1]]


def propene(n_frames: int) -> Frames:
    shifts = np.random.default_rng(3).normal(scale=0.03, size=(n_frames, 9, 3))
    return labelled(PROPENE.atomic_numbers, PROPENE.positions + shifts)


@pytest.fixture(scope="module")
def model() -> OnAtoms:
    part = train(propene(20), sigma=5, lam=1e-4, atoms=CHOSEN, progress=False)
    assert len(part.perms) == 6  # the methyl group's
    return OnAtoms(part, CHOSEN, PROPENE.atomic_numbers)


class TestModelOfSomeAtoms(TorchModelSuite):
    """In the whole molecule's coordinates."""

    @pytest.fixture
    def positions(self) -> NDArray[np.float64]:
        return propene(24).positions[20:]

    def test_no_force_on_atoms_left_out(self, model: OnAtoms, positions: NDArray[np.float64]) -> None:
        _, forces = model.predict(positions)
        left_out = np.setdiff1d(np.arange(9), CHOSEN)
        assert (forces[:, left_out] == 0.0).all()
        assert (np.abs(forces[:, CHOSEN]).max(axis=(0, 2)) > 1.0).all()

    def test_permuted_atoms_get_permuted_forces(self, model: OnAtoms, positions: NDArray[np.float64]) -> None:
        turned = np.arange(9)
        turned[METHYL] = np.roll(METHYL, 1)
        energies, forces = model.predict(positions)
        turned_energies, turned_forces = model.predict(positions[:, turned])
        np.testing.assert_allclose(turned_energies, energies, rtol=1e-10)
        np.testing.assert_allclose(turned_forces, forces[:, turned], atol=1e-7)


def test_all_atoms_chosen_is_the_whole_model() -> None:
    frames = water()
    whole, chosen = train(frames, sigma=2, progress=False), train(frames, sigma=2, atoms=[0, 1, 2], progress=False)
    np.testing.assert_allclose(
        chosen.predict(frames.positions)[1], whole.predict(frames.positions)[1], rtol=0, atol=1e-5
    )


def test_noise_of_the_atoms_left_out_asks_for_a_larger_lam(reference_data: Callable[[str], Path]) -> None:
    """Ethanol without its C–H hydrogens, 200 points, sigma 10: MAE 19.7 with lam 1e-10, 14.9 with 1e-6; the forces' own
    mean size is 25.1 (our measurement). What the other atoms do, which no function of the chosen ones gives, remains.
    """
    frames, atoms = Frames.load(reference_data("md17_ethanol.npz"))[:400], [0, 1, 2, 8]
    assert frames.forces is not None
    errors = []
    for lam in (1e-10, 1e-6):
        model = train(frames, sigma=10, lam=lam, atoms=atoms, indices=range(150), progress=False)
        assert len(model.perms) == 1
        forces = model.predict(frames.positions[150:, atoms])[1]
        errors.append(np.abs(forces - frames.forces[150:, atoms]).mean())
    assert errors[1] < 0.9 * errors[0]
    assert errors[1] < 0.7 * np.abs(frames.forces[150:, atoms]).mean()
