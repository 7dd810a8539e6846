"""Molecules, names and starts of comparisons of models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.studies.compared_model import ComparedModel
from openmm_hybrid.studies.comparison import compared_molecule, conformers, label
from openmm_hybrid.studies.energy_models import energy_model
from openmm_hybrid.studies.minima import MinimaSettings


def test_the_molecule_of_a_refinement_has_the_order_of_its_labels(tmp_path: Path) -> None:
    order = [8, 2, 0, 1, 3, 4, 5, 6, 7]
    molecule = oh.Molecule.from_smiles("C(C)O", n_conformers=2).reordered(order)
    frames = oh.Frames(
        molecule.atomic_numbers, molecule.conformers, np.array([1.0, 0.0]), np.zeros_like(molecule.conformers)
    )
    frames.save(tmp_path / "labels.npz")
    (tmp_path / "result.json").write_text(json.dumps({"molecule": "CCO"}))
    found = compared_molecule(str(tmp_path))
    np.testing.assert_array_equal(found.atomic_numbers, molecule.atomic_numbers)
    np.testing.assert_array_equal(found.bonds, molecule.bonds)
    np.testing.assert_allclose(found.positions, molecule.conformers[1], atol=1e-6)
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        compared_molecule(str(tmp_path))


def test_molecules_of_files_and_smiles(tmp_path: Path) -> None:
    from rdkit import Chem

    molecule = oh.Molecule.from_smiles("C[C@H](O)F")
    Chem.MolToMolFile(molecule.to_rdkit(), str(tmp_path / "chiral.sdf"))
    assert compared_molecule("C[C@H](O)F").smiles == molecule.smiles
    found, starts = conformers(MinimaSettings(str(tmp_path / "chiral.sdf"), n_conformers=5))
    np.testing.assert_array_equal(found.bonds, molecule.bonds)
    # All starts have the handedness of the file.
    corners = [0, 2, 3, 7]
    hands = [np.linalg.det(frame[corners[1:]] - frame[corners[0]]) for frame in (*molecule.conformers, *starts)]
    assert len({np.sign(hand) for hand in hands}) == 1
    with pytest.raises(InputError):
        compared_molecule(str(tmp_path / "missing.sdf"))


def test_starts_are_reproducible_and_not_symmetric() -> None:
    settings = MinimaSettings("CC", n_conformers=3)
    _, starts = conformers(settings)
    np.testing.assert_array_equal(starts, conformers(settings)[1])
    assert np.linalg.svd(starts[0] - starts[0].mean(axis=0))[1].min() > 0.01


def test_labels_of_models(tmp_path: Path) -> None:
    (tmp_path / "refined").mkdir()
    assert label("gaff-2.2.20") == "gaff-2.2.20"
    assert label("pyscf:pbe/def2-svp") == "pyscf:pbe/def2-svp"
    assert label(str(tmp_path / "models" / "teacher.npz")) == "teacher"
    assert label(str(tmp_path / "refined")) == "refined"


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
