"""Folders of a System: what is read back, and XML that must not be read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import openmm
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError, MissingDependencyError
from openmm_hybrid.core.files import sha256
from openmm_hybrid.models.compose import Difference, OnAtoms, Sum
from openmm_hybrid.models_io.any_model import load_model, save_model
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.sgdml.gate import Gated
from openmm_hybrid.systems.backends import torchforce
from openmm_hybrid.systems.backends.backend import BackendState
from openmm_hybrid.systems.system_files import Attachment, load_system, save_system
from tests.helpers.boxes import NUMBERS, RECTANGULAR, Case, evaluate, make
from tests.helpers.morse import PairMorse
from tests.helpers.oscillators import water

PYTHONFORCE = '<Force forceGroup="0" function="80049514" name="f" type="{}" usesPeriodic="0" version="2"/>'


def exchange(folder: Path, xml: str) -> None:
    """Another system.xml, with a manifest that says so."""
    (folder / "system.xml").write_text(xml)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["system.xml"] = sha256(folder / "system.xml")
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    case = make(box=RECTANGULAR, n_waters=10)
    save_system(tmp_path, case.system, case.topology, case.whole)
    system, topology, positions = load_system(tmp_path)
    assert openmm.XmlSerializer.serialize(system) == openmm.XmlSerializer.serialize(case.system)
    assert [atom.element for atom in topology.atoms()] == [atom.element for atom in case.topology.atoms()]
    np.testing.assert_array_equal(positions, case.whole)


@pytest.mark.parametrize(
    "force",
    [
        PYTHONFORCE.format("PythonForce"),
        PYTHONFORCE.format("Python&#70;orce"),
        "<Force><CollectiveVariables>" + PYTHONFORCE.format("PythonForce") + "</CollectiveVariables></Force>",
    ],
    ids=["plain", "encoded", "inside another"],
)
def test_a_pickle_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: str) -> None:
    system, topology, positions = water()
    save_system(tmp_path, system, topology, positions)
    exchange(tmp_path, (tmp_path / "system.xml").read_text().replace("<Forces>", f"<Forces>{force}"))
    monkeypatch.setattr(openmm.XmlSerializer, "deserialize", lambda text: pytest.fail("it was read"))
    with pytest.raises(InputError, match=r"holds a PythonForce.*save_system") as caught:
        load_system(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_torchforce_without_its_plugin_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, topology, positions = water()
    save_system(tmp_path, system, topology, positions)
    exchange(tmp_path, (tmp_path / "system.xml").read_text().replace("<Forces>", '<Forces><Force type="TorchForce"/>'))
    broken = BackendState("incompatible", "SIGSEGV", "pip install it")
    monkeypatch.setattr(torchforce.TorchForceBackend, "state", lambda self: broken)
    with pytest.raises(MissingDependencyError, match=r"torchforce is incompatible \(SIGSEGV\); pip install it"):
        load_system(tmp_path)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<System", "is damaged"),
        ('<System type="System" version="1"/>', "is damaged"),
        (
            openmm.XmlSerializer.serialize(openmm.VerletIntegrator(0.001)),
            "another object .Integrator.; expected an OpenMM System",
        ),
        (
            openmm.XmlSerializer.serialize(openmm.System()),
            "topology in .* has 3 atoms, .*; expected the system's 0 particles",
        ),
    ],
)
def test_files_that_are_no_such_system(tmp_path: Path, xml: str, message: str) -> None:
    system, topology, positions = water()
    save_system(tmp_path, system, topology, positions)
    exchange(tmp_path, xml)
    with pytest.raises((InputError, MismatchError), match=message):
        load_system(tmp_path)


def sgdml_model(numbers: tuple[int, ...] = NUMBERS) -> oh.sgdml.SGDMLModel:
    """Three training points with arbitrary weights."""
    rng = np.random.default_rng(3)
    n_pairs = len(numbers) * (len(numbers) - 1) // 2
    return oh.sgdml.SGDMLModel(
        atomic_numbers=np.array(numbers), descriptors=rng.uniform(0.2, 1.0, (3, n_pairs)),
        perms=np.arange(len(numbers))[None], descriptor_alphas=rng.normal(size=(3, n_pairs)), sigma=2.0, c=1.5,
    )  # fmt: skip


def attached(folder: Path, model: oh.EnergyModel | Correction, **options: object) -> Case:
    """Two ethanols in a box of water with a model, saved."""
    case = make(box=RECTANGULAR, n_copies=2, n_waters=20)
    options = {"force_group": 3, "scale": "lam", **options}
    oh.attach(case.system, case.topology, model, atoms=case.atoms, **options)
    attachment = Attachment(model, atoms=case.atoms, **options)
    save_system(folder, case.system, case.topology, case.wrapped, attachments=[attachment])
    return case


MODELS = {
    "sgdml": sgdml_model(),
    "gated": Gated(sgdml_model(), oh.sgdml.training_distance(sgdml_model()), 0.5, 20.0),
    "scripted": PairMorse(NUMBERS),
    "composed": Sum(
        (Difference(sgdml_model(), PairMorse(NUMBERS, 0.5)), OnAtoms(sgdml_model((8, 6, 1)), (2, 0, 8), NUMBERS))
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_forces_are_the_same_after_saving_and_reading(tmp_path: Path, kind: str) -> None:
    """1e-6 relative in float64 is the project's acceptance; on one stack it is exact to rounding."""
    case = attached(tmp_path, MODELS[kind])
    system, topology, positions = load_system(tmp_path)
    assert "TorchForce" not in (tmp_path / "system.xml").read_text()
    assert "PythonForce" not in (tmp_path / "system.xml").read_text()
    assert system.getNumForces() == case.system.getNumForces()
    expected = evaluate(case.system, case.wrapped, "Reference", group=3, scale=("lam", 0.5))
    for platform in ("Reference", "CPU"):
        got = evaluate(system, positions, platform, group=3, scale=("lam", 0.5))
        assert got[0] == pytest.approx(expected[0], rel=1e-6)
        np.testing.assert_allclose(got[1], expected[1], rtol=0, atol=1e-6 * np.abs(expected[1]).max())
    np.testing.assert_allclose(expected[1], 0.5 * case.labels(MODELS[kind])[1], rtol=0, atol=1e-6)
    again = tmp_path / "again"
    made = [Attachment(MODELS[kind], atoms=case.atoms, force_group=3, scale="lam")]
    save_system(again, system, topology, positions, attachments=made)
    assert sha256(again / "system.xml") == sha256(tmp_path / "system.xml")


def test_a_folder_is_read_in_a_process_that_has_not_loaded_the_plugin(tmp_path: Path) -> None:
    """openmm comes first, so that its import could not load the plugin."""
    case = attached(tmp_path, sgdml_model(), scale=None)
    code = (
        "import openmm, sys; from openmm_hybrid.systems.system_files import load_system\n"
        "system, _, positions = load_system(sys.argv[1])\n"
        "context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform('Reference'))\n"
        "context.setPositions(positions / 10)\n"
        "print(context.getState(energy=True, groups={3}).getPotentialEnergy()._value / 4.184)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    expected = evaluate(case.system, case.wrapped, "Reference", group=3)[0]
    assert float(ended.stdout) == pytest.approx(expected, rel=1e-9)


def test_the_manifest_tells_what_is_there(tmp_path: Path) -> None:
    case = attached(tmp_path, sgdml_model())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (node,) = manifest["attachments"]
    assert node["atoms"] == case.atoms.tolist()
    assert (node["force_group"], node["scale"], node["dtype"]) == (3, "lam", "float64")
    assert node["atomic_numbers"] == list(NUMBERS)
    assert (tmp_path / node["model"]["file"]).suffix == ".npz"
    assert manifest["atomic_numbers"] == [atom.element.atomic_number for atom in case.topology.atoms()]
    assert set(manifest["versions"]) == {"openmm_hybrid", "openmm", "torch", "numpy"}


def test_a_correction_is_stored_as_its_model_and_the_atoms_of_that_model(tmp_path: Path) -> None:
    case = attached(tmp_path, Correction(sgdml_model((8, 6, 1)), atoms=(2, 0, 8), atomic_numbers=NUMBERS))
    (node,) = json.loads((tmp_path / "manifest.json").read_text())["attachments"]
    assert node["atoms"] == case.atoms[:, [2, 0, 8]].tolist()
    assert node["atomic_numbers"] == [8, 6, 1]
    expected = evaluate(case.system, case.wrapped, "Reference", group=3)[0]
    system, _, positions = load_system(tmp_path)
    assert evaluate(system, positions, "Reference", group=3)[0] == pytest.approx(expected, rel=1e-9)


def test_torch_forces_that_no_attachment_explains_are_refused(tmp_path: Path) -> None:
    case = make()
    oh.attach(case.system, case.topology, PairMorse(NUMBERS), atoms=case.atoms)
    with pytest.raises(MismatchError, match=r"has 1 torch forces, the attachments make 0; .*oh\.Attachment"):
        save_system(tmp_path / "no", case.system, case.topology, case.whole)
    twice = [Attachment(PairMorse(NUMBERS), atoms=case.atoms)] * 2
    with pytest.raises(MismatchError, match="has 1 torch forces, the attachments make 2"):
        save_system(tmp_path / "no", case.system, case.topology, case.whole, attachments=twice)
    assert not (tmp_path / "no").exists()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _edit(folder: Path, change: object) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)  # type: ignore[operator]
    path.write_text(json.dumps(manifest))


def _model_file(folder: Path) -> Path:
    return next(folder.glob("model-*.npz"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: _flip(folder / "system.xml"), r"system\.xml is damaged or another file"),
        (lambda folder: _flip(folder / "topology.pdb"), r"topology\.pdb is damaged or another file"),
        (lambda folder: _flip(folder / "positions.npy"), r"positions\.npy is damaged or another file"),
        (lambda folder: _flip(_model_file(folder)), r"model-.*\.npz is damaged or another file"),
        (lambda folder: sgdml_model((6, 1)).save(_model_file(folder)), r"model-.*\.npz is damaged or another file"),
        (lambda folder: _model_file(folder).unlink(), r"model-.*\.npz does not exist"),
        (lambda folder: (folder / "manifest.json").unlink(), r"manifest\.json does not exist"),
        (lambda folder: (folder / "manifest.json").write_text("{"), r"manifest\.json is damaged"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "is not a manifest of this package"),
        (lambda folder: _edit(folder, lambda it: it.update(version=2)), "version 2; expected 1; upgrade"),
        (lambda folder: _edit(folder, lambda it: it.pop("files")), "is damaged .KeyError"),
        (lambda folder: _edit(folder, lambda it: it["attachments"][0].update(atoms="x")), "expected integers of shape"),
        (lambda folder: _edit(folder, lambda it: it["attachments"][0]["model"].update(kind="pickle")), "kind 'pickle'"),
        (lambda folder: _edit(folder, lambda it: it["attachments"][0]["model"].update(file="../m")), "names the file"),
        (lambda folder: _edit(folder, lambda it: it["atomic_numbers"].reverse()), "other elements"),
    ],
)  # fmt: skip
def test_damaged_or_exchanged_files_are_refused(tmp_path: Path, spoil: object, message: str) -> None:
    attached(tmp_path, sgdml_model())
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(InputError, match=message) as caught:
        load_system(tmp_path)
    assert "\n" not in str(caught.value)


def test_models_are_stored_exactly_under_their_own_hash(tmp_path: Path) -> None:
    model = MODELS["composed"]
    node = json.loads(json.dumps(save_model(model, tmp_path)))
    positions = make().whole[None]
    for one, other in zip(model.predict(positions), load_model(node, tmp_path).predict(positions), strict=True):
        np.testing.assert_array_equal(one, other)
    assert {path.name.split("-")[1][:12] for path in tmp_path.iterdir()} == {
        sha256(path)[:12] for path in tmp_path.iterdir()
    }


@pytest.mark.torchforce
@pytest.mark.parametrize("wrong", ["model", "atoms"])
def test_another_model_or_other_atoms_are_refused(tmp_path: Path, wrong: str) -> None:
    case = make(box=RECTANGULAR, n_copies=2, n_waters=10)
    model, atoms = PairMorse(NUMBERS), case.atoms[0]
    oh.attach(case.system, case.topology, model, atoms=atoms, dtype="float32")
    given = Attachment(PairMorse(NUMBERS, 4.0), atoms) if wrong == "model" else Attachment(model, case.atoms[1])
    with pytest.raises(MismatchError, match="is none of the System's torch forces"):
        save_system(tmp_path, case.system, case.topology, case.whole, attachments=[given])
    save_system(tmp_path, case.system, case.topology, case.whole, attachments=[Attachment(model, atoms)])


@pytest.mark.torchforce
def test_a_correction_of_some_atoms_keeps_the_order_that_was_found(tmp_path: Path) -> None:
    """Ethanol in the order of CCO; the correction acts on three atoms of C(C)O."""
    ethanol = oh.Molecule.from_smiles("C(C)O")
    model = PairMorse((6, 6, 8))
    correction = Correction(model, np.array([0, 1, 2]), ethanol.atomic_numbers, bonds=ethanol.bonds)
    built = oh.gaff.build(oh.Molecule.from_smiles("CCO"), charges=np.zeros(9))
    with pytest.warns(UserWarning, match="not in the model's order"):
        oh.attach(built.system, built.topology, correction)
    attachments = [Attachment(correction)]
    save_system(tmp_path, built.system, built.topology, built.positions, attachments=attachments)
    node = json.loads((tmp_path / "manifest.json").read_text())["attachments"][0]
    assert np.ravel(node["atoms"]).tolist() == [1, 0, 2]
