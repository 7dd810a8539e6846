"""Libraries of molecules: names, places, molecules that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from rdkit import Chem

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.library_files import read_library


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_smiles_lines_with_names_comments_and_faults(tmp_path: Path) -> None:
    text = "SMILES Name\n# alcohols\nCO methanol\n\nCC\tethane, plain \nC1CC broken\nO\n"
    found = read_library(_written(tmp_path / "a.smi", text))
    assert [(each.name, each.place, each.smiles) for each in found] == [
        ("methanol", "line 3", "CO"),
        ("ethane, plain", "line 5", "CC"),
        ("broken", "line 6", "C1CC"),
        ("molecule-7", "line 7", "O"),
    ]
    assert [bool(each.problem) for each in found] == [False, False, True, False]
    assert "C1CC" in found[2].problem
    assert found[0].canonical == "CO"


def test_csv_columns_in_any_order(tmp_path: Path) -> None:
    text = 'id,Name,note,SMILES\n1,"phenol, pure",x,Oc1ccccc1\n2,,y,CC\n'
    found = read_library(_written(tmp_path / "a.csv", text))
    assert [(each.name, each.canonical) for each in found] == [("phenol, pure", "Oc1ccccc1"), ("molecule-3", "CC")]
    with pytest.raises(InputError, match="columns id, structure"):
        read_library(_written(tmp_path / "b.csv", "id,structure\n1,CC\n"))


def test_records_of_an_sdf_keep_their_coordinates(tmp_path: Path) -> None:
    blocks = []
    for smiles, name in (("CO", "methanol"), ("CC", "")):
        molecule = oh.Molecule.from_smiles(smiles, name=name)
        mol = molecule.to_rdkit()
        mol.SetProp("_Name", name)
        blocks.append(Chem.MolToMolBlock(mol))
    text = "$$$$\n".join([*blocks, "nothing\n\n\nxx\n", ""])
    found = read_library(_written(tmp_path / "a.sdf", text))
    assert [(each.name, each.canonical) for each in found] == [
        ("methanol", "CO"),
        ("molecule-1", "CC"),
        ("nothing", ""),
    ]
    assert found[2].problem
    assert found[0].block == blocks[0]


def test_what_is_no_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.smi"):
        read_library(tmp_path / "a.txt")
    with pytest.raises(InputError, match="does not exist"):
        read_library(tmp_path / "a.smi")
    with pytest.raises(InputError, match="holds no molecules"):
        read_library(_written(tmp_path / "a.smi", "# nothing\n"))
    with pytest.raises(InputError, match="name 'x' in line 1 and line 3"):
        read_library(_written(tmp_path / "b.smi", "CO x\nCC y\nCCC x\n"))
