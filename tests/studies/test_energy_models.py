"""Models by name: each kind against the object that it stands for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.studies.energy_models import energy_model
from openmm_hybrid.studies.kept_charges import kept_charges


@pytest.fixture
def ethanol() -> oh.Molecule:
    """Ethanol in the order of the shipped models."""
    return oh.Molecule.from_smiles("C(C)O", n_conformers=2)


def test_a_base_has_the_energies_of_its_system(ethanol: oh.Molecule, tmp_path: Path) -> None:
    model = energy_model("gaff-2.2.20", ethanol, tmp_path)
    charges = np.load(tmp_path / "charges-am1-bcc.npy")
    built = oh.build(ethanol, base="gaff-2.2.20", charges=charges, progress=False)
    energies, forces = built.model().predict(ethanol.conformers)
    np.testing.assert_allclose(model.predict(ethanol.conformers)[0], energies, atol=1e-5)
    np.testing.assert_allclose(model.predict(ethanol.conformers)[1], forces, atol=1e-4)
    again = energy_model("gaff-2.2.20", ethanol, tmp_path)
    np.testing.assert_array_equal(again.predict(ethanol.conformers)[0], model.predict(ethanol.conformers)[0])


def test_charges_of_another_order_of_atoms_are_computed_again(tmp_path: Path) -> None:
    def charges(smiles: str, folder: str) -> list[float]:
        energy_model("gaff-2.2.20", oh.Molecule.from_smiles(smiles), tmp_path / folder)
        return np.load(tmp_path / folder / "charges-am1-bcc.npy").tolist()  # type: ignore[no-any-return]

    first = charges("CO", "one")
    assert first != charges("OC", "one") == charges("OC", "two")


def test_kept_charges_are_read_unless_they_are_of_another_molecule(ethanol: oh.Molecule, tmp_path: Path) -> None:
    path, asked = tmp_path / "charges.npy", []

    def kept(molecule: oh.Molecule, value: float) -> float:
        def make() -> np.ndarray:
            asked.append(value)
            return np.full(molecule.n_atoms, value)

        return float(kept_charges(path, molecule, make)[0])

    other = oh.Molecule.from_smiles("CCO")
    assert [kept(ethanol, 1.0), kept(ethanol, 2.0), kept(other, 3.0), kept(other, 4.0)] == [1.0, 1.0, 3.0, 3.0]
    np.save(path, np.zeros(9))  # without a note, as earlier versions wrote them, and as a killed run leaves them
    assert [kept(other, 5.0), kept(other, 6.0)] == [5.0, 5.0]
    assert asked == [1.0, 3.0, 5.0]
    path.with_suffix(".json").write_text("{")
    with pytest.raises(InputError, match="remove it: it is made again"):
        kept(other, 7.0)


@pytest.mark.parametrize("name", ["gfn2", "mmff94"])
def test_an_engine_has_its_own_labels(name: str, ethanol: oh.Molecule, tmp_path: Path) -> None:
    model = energy_model(name, ethanol, tmp_path)
    engine = oh.reference.engine(name).for_molecule(ethanol)
    energies, forces = model.predict(ethanol.conformers)
    for frame, energy, force in zip(ethanol.conformers, energies, forces, strict=True):
        expected = engine.compute(ethanol.atomic_numbers, frame)
        assert energy == pytest.approx(expected[0], abs=1e-6)
        np.testing.assert_allclose(force, expected[1], atol=1e-5)
    assert model.predict(np.zeros((0, 9, 3)))[1].shape == (0, 9, 3)


def test_files_shipped_models_and_refinements(ethanol: oh.Molecule, tmp_path: Path) -> None:
    shipped = oh.ForceField.load("ethanol-cross")
    shipped.save(tmp_path / "model.npz")
    expected = shipped.predict(ethanol.conformers)[0]
    for name in ("ethanol-cross", str(tmp_path / "model.npz")):
        np.testing.assert_array_equal(energy_model(name, ethanol, tmp_path).predict(ethanol.conformers)[0], expected)


def test_names_of_nothing_and_of_other_molecules_are_refused(ethanol: oh.Molecule, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing"):
        energy_model("nothing", ethanol, tmp_path)
    oh.correction.Correction(oh.ForceField.load("ethanol-cross")).save(tmp_path / "correction.npz")
    with pytest.raises(InputError, match="is a correction"):
        energy_model(str(tmp_path / "correction.npz"), ethanol, tmp_path)
    with pytest.raises(MismatchError, match="has the bond 0-5"):
        energy_model("ethanol-cross", oh.Molecule.from_smiles("CCO"), tmp_path)
    with pytest.raises(MismatchError, match="instead of 9"):
        energy_model("ethanol-cross", oh.Molecule.from_smiles("CCCO"), tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gaff", "did you mean gaff-"),
        ("gaff-2.2", "did you mean gaff-2.2.20"),
        ("gnf2", "gfn2"),
        ("ethanol-cros", "ethanol-cross"),
        ("zzz", "base force fields: "),
    ],
)
def test_an_unknown_name_is_refused_with_what_it_may_have_meant(name: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"unknown model '{name}'; expected a base force field.*{hint}"):
        energy_model(name, oh.Molecule.from_smiles("CCO"), tmp_path)
