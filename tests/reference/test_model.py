"""Models of this package as reference engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid import reference
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.reference.model import ModelEngine
from openmm_hybrid.testing import ReferenceEngineSuite


def _water() -> oh.ForceField:
    molecule = oh.Molecule.from_smiles("O")
    built = oh.build(molecule, base="openff-2.3.0", charges=[-0.8, 0.4, 0.4], progress=False)
    return oh.ForceField.from_system(built.system, built.topology, name="water")


class TestModel(ReferenceEngineSuite):
    def make(self, charge=0, multiplicity=1):
        if multiplicity != 1:
            return reference.engine("model:ethanol-cross", charge=charge, multiplicity=multiplicity)
        return ModelEngine(_water(), "water", charge)


@pytest.fixture
def ethanol() -> oh.Molecule:
    """Ethanol in the order of the shipped models."""
    return oh.Molecule.from_smiles("C(C)O", n_conformers=3)


def test_labels_are_the_predictions_of_a_file(ethanol: oh.Molecule, tmp_path: Path) -> None:
    model = oh.ForceField.load("ethanol-cross")
    model.save(tmp_path / "teacher.npz")
    positions = np.array(ethanol.conformers)
    engine = reference.engine(f"model:{tmp_path}/teacher.npz")
    digits = engine.settings.removeprefix("model ")[:8]
    assert engine.theory == f"model teacher.npz {digits}"
    frames = reference.label(engine, ethanol, positions, output=tmp_path / "labels.npz", progress=False).frames
    energies, forces = model.predict(positions)
    np.testing.assert_allclose(frames.labels()[0], energies, rtol=0, atol=1e-9)
    np.testing.assert_allclose(frames.labels()[1], forces, rtol=0, atol=1e-9)
    shipped = reference.engine("model:ethanol-cross")
    assert shipped.settings == engine.settings != reference.engine("model:ethanol-gaff").settings


def test_another_molecule_or_order_of_atoms_is_refused(ethanol: oh.Molecule, tmp_path: Path) -> None:
    engine = reference.engine("model:ethanol-cross")
    other = oh.Molecule.from_smiles("CCO")  # the first atom is that of the methyl group
    with pytest.raises(MismatchError, match=r"is not the molecule of ethanol-cross: it has the bond 0-5.*SDF"):
        reference.label(engine, other, other.conformers, output=tmp_path / "labels.npz", progress=False)
    with pytest.raises(MismatchError, match="12 atoms instead of 9"):
        reference.label(
            engine, oh.Molecule.from_smiles("CCCO"), np.zeros((1, 12, 3)), output=tmp_path / "labels.npz",
            progress=False,
        )  # fmt: skip
    turned = ethanol.reordered([2, 1, 0, *range(3, 9)])
    with pytest.raises(MismatchError, match="atom 0 has the atomic number 8 instead of 6"):
        reference.label(engine, turned, turned.conformers, output=tmp_path / "labels.npz", progress=False)
    assert not list(tmp_path.iterdir())


def test_two_files_of_one_name_are_two_levels_of_theory(tmp_path: Path) -> None:
    for folder, name in (("a", "ethanol-cross"), ("b", "ethanol-gaff")):
        (tmp_path / folder).mkdir()
        oh.ForceField.load(name).save(tmp_path / folder / "teacher.npz")
    theories = [reference.engine(f"model:{tmp_path}/{folder}/teacher.npz").theory for folder in "ab"]
    assert theories[0] != theories[1]


def test_geometries_in_another_order_of_atoms_are_refused(ethanol: oh.Molecule, tmp_path: Path) -> None:
    """The hydrogen of the hydroxyl group and one of a methyl group change places: the elements are the same."""
    engine = reference.engine("model:ethanol-cross")
    settings = {"output": tmp_path / "labels.npz", "progress": False}
    hydroxyl = int(np.argmin(np.linalg.norm(ethanol.positions[3:] - ethanol.positions[2], axis=1))) + 3
    changed = np.array(ethanol.conformers)
    changed[:, [3, hydroxyl]] = changed[:, [hydroxyl, 3]]
    with pytest.raises(MismatchError, match=r"the bond .* of the molecule of model ethanol-cross .* Å long"):
        reference.label(engine, ethanol.atomic_numbers, changed, **settings)
    assert not list(tmp_path.iterdir())
    assert len(reference.label(engine, ethanol.atomic_numbers, ethanol.conformers, **settings).frames) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model", "needs a model"),
        ("model:nothing.npz", "nothing.npz"),
        ("model:nothing", "nothing"),
    ],
)
def test_texts_that_name_no_model_are_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        reference.engine(text)


def test_a_correction_is_refused(tmp_path: Path) -> None:
    oh.correction.Correction(oh.ForceField.load("ethanol-cross")).save(tmp_path / "correction.npz")
    with pytest.raises(InputError, match="is a correction"):
        reference.engine(f"model:{tmp_path}/correction.npz")
