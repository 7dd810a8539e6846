"""Shipped force fields: by name, checked against their manifest, and for OpenMM's own search."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.forcefielddir import folder
from openmm_hybrid.forcefield import ForceField, library, manifest, names
from tests.helpers.forcefield_molecules import built, from_file, read, refitted, shaken

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ABOUT = {"data": "md17_ethanol.npz", "level": "PBE+TS", "errors": {"force_rmse": 6.4}, "command": "make it"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sets: plain tables, and cross terms."""
    root = tmp_path_factory.mktemp("forcefields")
    refitted(read("ethanol")).write_set("ethanol-gaff", root, **ABOUT)
    read("ethanol").edit(cross=["angle"]).write_set("ethanol-cross", root, **ABOUT)
    return root


def test_sets_load_by_name(root: Path) -> None:
    assert names(root) == ("ethanol-cross", "ethanol-gaff")
    positions = shaken(built("ethanol"))
    for name, model in (("ethanol-gaff", refitted(read("ethanol"))), ("ethanol-cross", read("ethanol"))):
        found = ForceField(library.load(name, root))
        np.testing.assert_allclose(found.predict(positions)[0], model.predict(positions)[0], rtol=1e-14)
        known = manifest(name, root)
        assert {key: known[key] for key in ABOUT} == ABOUT
        assert set(known["versions"]) == {"openmm-hybrid", "openmm", "torch", "numpy"}
    assert (root / "ethanol-gaff" / "ethanol-gaff.xml").is_file()
    assert not (root / "ethanol-cross" / "ethanol-cross.xml").exists()


def test_xml_of_a_set_has_its_energies(root: Path) -> None:
    found = from_file(root / "ethanol-gaff" / "ethanol-gaff.xml", "ethanol")
    positions = shaken(built("ethanol"))
    expected = ForceField(library.load("ethanol-gaff", root)).predict(positions)[0]
    np.testing.assert_allclose(found.predict(positions)[0], expected, rtol=1e-9)


def test_changed_and_unknown_sets_are_refused(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "sets"
    shutil.copytree(root, copy)
    with pytest.raises(InputError, match=r"unknown force field 'ethanol-gaf'.*did you mean ethanol-gaff"):
        library.load("ethanol-gaf", copy)
    with pytest.raises(InputError, match="unknown force field"):
        library.load("../sets/ethanol-gaff", copy)
    shutil.copy(copy / "ethanol-cross" / "forcefield.npz", copy / "ethanol-gaff" / "forcefield.npz")
    with pytest.raises(InputError, match="not the file that its manifest describes"):
        library.load("ethanol-gaff", copy)
    path = copy / "ethanol-cross" / "manifest.json"
    path.write_text(json.dumps({"data": ""}))
    with pytest.raises(InputError, match="lacks command, errors, level, sha256, versions"):
        library.load("ethanol-cross", copy)
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        library.load("ethanol-cross", copy)


def test_names_of_sets_are_plain(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be named"):
        read("ethanol").write_set("../ethanol", tmp_path / "sets", **ABOUT)
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_no_path_is_looked_up() -> None:
    with pytest.raises(InputError, match="unknown force field 'CCCC"):
        ForceField.load(300 * "C")
    with pytest.raises(InputError, match="unknown force field 'no-such-set'"):
        ForceField.load("no-such-set")


@pytest.mark.parametrize("name", names())
def test_sets_of_the_package_are_whole(name: str) -> None:
    assert np.isfinite(ForceField.load(name).parameters.values).all()


def test_openmm_is_sent_to_the_folder_without_heavy_imports() -> None:
    """OpenMM loads the entry point whenever it looks for a file, in scripts that do not know this package too."""
    (target,) = PYPROJECT["project"]["entry-points"]["openmm.forcefielddir"].values()
    module, _, attribute = target.partition(":")
    assert getattr(import_module(module), attribute)() == str(folder())
    code = f"import sys, {module} as m; m.{attribute}(); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "openmm", "numpy"} & set(run.stdout.split())
