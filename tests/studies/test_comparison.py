"""Molecules, names and starts of comparisons of models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.studies.compared_model import ComparedModel
from openmm_hybrid.studies.comparison import molecule_and_starts
from openmm_hybrid.studies.energy_models import energy_model
from openmm_hybrid.studies.minima import MinimaSettings
from openmm_hybrid.studies.subject import study_molecule


def test_molecules_of_files_and_smiles(tmp_path: Path) -> None:
    from rdkit import Chem

    molecule = oh.Molecule.from_smiles("C[C@H](O)F")
    Chem.MolToMolFile(molecule.to_rdkit(), str(tmp_path / "chiral.sdf"))
    assert study_molecule("C[C@H](O)F").smiles == molecule.smiles
    found, starts = molecule_and_starts(MinimaSettings(str(tmp_path / "chiral.sdf"), n_conformers=5))
    np.testing.assert_array_equal(found.bonds, molecule.bonds)
    # All starts have the handedness of the file.
    corners = [0, 2, 3, 7]
    hands = [np.linalg.det(frame[corners[1:]] - frame[corners[0]]) for frame in (*molecule.conformers, *starts)]
    assert len({np.sign(hand) for hand in hands}) == 1
    with pytest.raises(InputError):
        study_molecule(str(tmp_path / "missing.sdf"))


def test_starts_are_reproducible_and_not_symmetric() -> None:
    settings = MinimaSettings("CC", n_conformers=3)
    _, starts = molecule_and_starts(settings)
    np.testing.assert_array_equal(starts, molecule_and_starts(settings)[1])
    assert np.linalg.svd(starts[0] - starts[0].mean(axis=0))[1].min() > 0.01


def test_a_methyl_group_that_turns_freely_makes_no_minima(tmp_path: Path) -> None:
    """Source: the barrier of 2-butyne is below 0.01 kcal/mol in MMFF94, as in experiment."""
    molecule = oh.Molecule.from_smiles("CC#CC")
    model = energy_model("mmff94", molecule, tmp_path)
    compared = ComparedModel("mmff94", model, molecule.bonds, tmp_path)
    angles = np.radians([0.0, 20.0, 40.0, 60.0])
    starts = np.repeat(molecule.conformers[:1], 4, axis=0)
    axis = starts[0, 3] - starts[0, 2]
    for start, angle in zip(starts, angles, strict=True):
        start[7:10] = _rotated(start[7:10] - start[3], axis / np.linalg.norm(axis), angle) + start[3]
    found = compared.relaxed("turned", starts)
    assert np.ptp(found.energies) < 0.01
    assert len(compared.minima(found)) == 1


def _rotated(vectors: np.ndarray, axis: np.ndarray, angle: float) -> np.ndarray:
    along = (vectors @ axis)[:, None] * axis
    return along + np.cos(angle) * (vectors - along) + np.sin(angle) * np.cross(axis, vectors)
