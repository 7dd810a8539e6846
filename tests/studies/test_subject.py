"""Molecules and models of studies: where they come from, their names, charges and minima."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.studies.subject import (
    Equilibrium,
    intact,
    model_key,
    model_labels,
    partial_charges,
    predictor,
    study_molecule,
)
from tests.helpers.hydrogen_chloride import CHLORIDE, LENGTH, WAVENUMBER, Morse, harmonic


def test_molecules_of_files_and_names_of_models(tmp_path: Path) -> None:
    assert study_molecule("CCO").n_atoms == 9
    with pytest.raises(InputError):
        study_molecule(str(tmp_path))
    named = ("gfn2", "a/b.npz", "pyscf:pbe/def2-svp", str(tmp_path))
    assert list(model_labels(named)) == ["gfn2", "b", "pyscf_pbe_def2-svp", tmp_path.name]
    for names in ((), ("a/m.npz", "b/m.npz")):
        with pytest.raises(InputError, match="different names"):
            model_labels(names)
    np.testing.assert_allclose(partial_charges(oh.Sum((Morse(), harmonic()))), [-0.2, 0.2])
    assert partial_charges(Morse()) is None
    np.testing.assert_allclose(partial_charges(harmonic()), [-0.2, 0.2])
    inner = oh.ForceField.load("ethanol-cross")
    assert partial_charges(inner) is not None


def test_the_key_of_an_engine_changes_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "teacher.npz"
    names = (f"model:{path}", f"ase:tblite.ase:TBLite?method=GFN2-xTB&model={path}")
    keys = []
    for content in (b"one", b"two", b"one"):
        path.write_bytes(content)
        keys.append([model_key(name) for name in names])
    assert keys[0] == keys[2]
    assert all(one != two for one, two in zip(keys[0], keys[1], strict=True))
    for name in (
        "gfn2",
        "pyscf:pbe/def2-svp",
        "ase:tblite.ase:TBLite?method=GFN2-xTB",
        "model:ethanol-cross",
        f"ase:some.module:Class?txt={path}",
    ):  # as earlier versions have them
        assert model_key(name) == name


def test_the_molecule_of_a_refinement_has_its_order_of_atoms(tmp_path: Path) -> None:
    model, molecule = oh.ForceField.load("ethanol-cross"), oh.Molecule.from_smiles("C(C)O", n_conformers=3)
    energies, forces = np.array([1.0, 0.0, 2.0]), np.zeros((3, 9, 3))
    oh.Frames(molecule.atomic_numbers, molecule.conformers, energies, forces).save(tmp_path / "labels.npz")
    model.save(tmp_path / "forcefield.npz")
    checks = {"minima": None, "hot_run": None, "profiles": [], "left_out": [], "problems": []}
    content = {"rounds": [], "chosen": 1, "verdict": "", "converged": True, "checks": checks, "correction": None}
    (tmp_path / "result.json").write_text(json.dumps(content | {"molecule": "CCO"}))
    found = study_molecule(str(tmp_path))
    np.testing.assert_array_equal(found.bonds, model.bonds)
    np.testing.assert_allclose(found.positions, molecule.conformers[1])


def test_the_lowest_minimum_is_kept_in_its_file(tmp_path: Path) -> None:
    model, molecule = oh.ForceField.load("ethanol-gaff"), oh.Molecule.from_smiles("C(C)O")
    made, again = (
        Equilibrium.find(predictor(model), molecule, tmp_path / "minimum.npz", n_conformers=n, seed=0) for n in (6, 1)
    )
    np.testing.assert_array_equal(again.positions, made.positions)
    np.testing.assert_array_equal(again.harmonic, made.harmonic)
    assert len(made.harmonic) == 21
    assert made.harmonic.min() > 100.0
    assert np.abs(model.predict(made.positions)[1]).max() < 0.01
    others = [
        Equilibrium.find(predictor(model), molecule, tmp_path / f"{n}.npz", n_conformers=n, seed=0) for n in (1, 3)
    ]
    lowest = model.predict(made.positions)[0]
    assert all(model.predict(other.positions)[0] >= lowest - 1e-6 for other in others)


def test_a_diatomic_has_its_length_and_frequency(tmp_path: Path) -> None:
    found = Equilibrium.find(Morse().evaluate, CHLORIDE, tmp_path / "minimum.npz", n_conformers=5, seed=0)
    assert np.linalg.norm(found.positions[1] - found.positions[0]) == pytest.approx(LENGTH, abs=1e-5)
    assert found.harmonic == pytest.approx([WAVENUMBER], abs=1.0)  # the third derivative cancels, the fourth does not


def test_a_minimum_with_a_broken_bond_does_not_count(tmp_path: Path) -> None:
    def falling(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A minimum at 3 Å."""
        difference = positions[:, 1] - positions[:, 0]
        r = np.linalg.norm(difference, axis=-1)
        pull = (20.0 * (r - 3.0) / r)[:, None] * difference
        return 10.0 * (r - 3.0) ** 2, np.stack([pull, -pull], axis=1)

    with pytest.raises(NumericalError, match="intact bonds"):
        Equilibrium.find(falling, CHLORIDE, tmp_path / "minimum.npz", n_conformers=1, seed=0)
    assert not list(tmp_path.iterdir())


def test_geometries_with_long_bonds_or_without_numbers_are_not_intact() -> None:
    start = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    geometries = np.stack([start, 1.4 * start, 1.6 * start, start + np.nan])
    assert intact(geometries, start, CHLORIDE.bonds).tolist() == [True, True, False, False]
