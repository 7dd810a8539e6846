"""Bad input, as a user would give it: one line that says what to do, exit status 2, nothing half-written."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from openmm_hybrid import Frames, Molecule, gaff, sgdml
from openmm_hybrid.cli import app
from openmm_hybrid.core import ambertools
from openmm_hybrid.systems.build_folder import check_build_folder, write_build
from openmm_hybrid.systems.system_files import load_system, save_system

CHARGES = (0.117, -0.599, 0.028, 0.028, 0.028, 0.398)
"""Rounded AM1-BCC charges of methanol's atoms C O H H H H(O), e."""
SAMPLE = ("sample", "methanol", "-o", "out", "--duration", "0.1")
EXPORT = ("export", "spoilt.npz", "-o", "out.pt")
TRAIN = ("train", "sgdml", "spoilt.npz", "-o", "out.npz")
TRAIN_GOOD = ("train", "sgdml", "good.npz", "-o", "out.npz")
CORRECTION = ("train", "correction", "-o", "out.npz", "methanol")
CURVE = ("study", "learning-curve", "good.npz", "-o", "out")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good files to spoil: methanol's system, labelled frames, a trained and an exported model."""
    folder = tmp_path_factory.mktemp("stock")
    methanol = Molecule.from_smiles("CO", name="methanol")
    built = gaff.build(methanol, charges=CHARGES)
    save_system(folder / "methanol", built.system, built.topology, built.positions)
    shaken = methanol.positions + np.random.default_rng(0).normal(0.0, 0.05, (12, 6, 3))
    energies, forces = built.model().predict(shaken)
    Frames(methanol.atomic_numbers, shaken, energies, forces, name="methanol", theory="GAFF").save(folder / "good.npz")
    assert run("train", "sgdml", str(folder / "good.npz"), "-o", str(folder / "model.npz")).exit_code == 0
    assert run("export", str(folder / "model.npz"), "-o", str(folder / "model.pt")).exit_code == 0
    return folder


@pytest.fixture
def files(stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with copies of the good files."""
    shutil.copytree(stock, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def entries(folder: Path) -> dict[str, bytes]:
    """Content of every file in a folder, hidden ones included; the lock of a run that was refused may stay."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def assert_refused(folder: Path, before: dict[str, bytes], status: int, stderr: str, expected: str) -> None:
    assert status == 2, stderr
    lines = stderr.strip().splitlines()
    assert len([line for line in lines if line.startswith("error: ")]) == 1, stderr
    assert lines[-1].startswith("error: "), stderr
    assert expected in lines[-1]
    assert "Traceback" not in stderr
    assert entries(folder) == before


def nested() -> None:
    Path("outer").mkdir()
    Path("methanol").rename("outer/system")


def refined() -> None:
    Path("refined").mkdir()
    Path("refined/forcefield.npz").touch()


def built_methanol() -> None:
    methanol = Molecule.from_smiles("CO", name="methanol")
    write_build(Path("built"), gaff.build(methanol, charges=CHARGES), base="gaff-2.2.20", method="am1-bcc")


def respoil(**changes: np.ndarray | str) -> None:
    """good.npz as spoilt.npz, with entries changed, or removed where they are empty texts."""
    with np.load("good.npz", allow_pickle=False) as archive:
        content = dict(archive) | changes
    np.savez("spoilt.npz", **{key: value for key, value in content.items() if not isinstance(value, str) or value})


class Hostile:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (Path("owned"),)


def hostile(entry: str) -> None:
    """model.npz or good.npz with one entry that is a hostile pickle."""
    source = "good.npz" if entry == "R" else "model.npz"
    with np.load(source, allow_pickle=False) as archive:
        content = {key: archive[key] for key in archive.files if key not in ("f_err", "e_err")}
    np.savez("spoilt.npz", **{**content, entry: np.array(Hostile(), dtype=object)})


def npy() -> bytes:
    """A file with one array."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def twice(entry: str) -> None:
    shutil.copy("good.npz", "spoilt.npz")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile("spoilt.npz", "a") as archive:
        archive.writestr(f"{entry}.npy", npy())


def cut(name: str, spoilt: str, share: float) -> None:
    content = Path(name).read_bytes()
    Path(spoilt).write_bytes(content[: int(share * len(content))])


def array(name: str) -> np.ndarray:
    """A copy of an entry of good.npz."""
    with np.load("good.npz", allow_pickle=False) as archive:
        return np.array(archive[name])


def poisoned(name: str) -> np.ndarray:
    values = array(name)
    values[3] = np.nan
    return values


def collapsed() -> np.ndarray:
    positions = array("R")
    positions[:, 1] = positions[:, 0]
    return positions


def ethanol_frames() -> None:
    ethanol = Molecule.from_smiles("CCO")
    shaken = ethanol.positions + np.random.default_rng(0).normal(0.0, 0.05, (10, 9, 3))
    forces = shaken - shaken.mean(axis=1, keepdims=True)
    energies = -0.5 * (forces**2).sum(axis=(1, 2))
    Frames(ethanol.atomic_numbers, shaken, energies, forces).save("spoilt.npz")


def reordered() -> None:
    order = [1, 0, 2, 3, 4, 5]
    respoil(z=array("z")[order], R=array("R")[:, order], F=array("F")[:, order])


def text(name: str, content: str) -> None:
    Path(name).write_text(content)


def overlapping() -> None:
    system, topology, positions = load_system("methanol")
    positions[1] = positions[0]
    save_system("methanol", system, topology, positions)


def solvated() -> None:
    """PME, as a solvated system has."""
    system, topology, positions = load_system("methanol")
    for force in system.getForces():
        if hasattr(force, "setNonbondedMethod"):
            force.setNonbondedMethod(force.PME)
    save_system("methanol", system, topology, positions)


CASES: dict[str, tuple[Callable[[], object] | None, tuple[str, ...], str]] = {
    "broken SMILES": (None, ("build", "C1CC", "-o", "out"), "check brackets"),
    "radical": (None, ("build", "C[CH2]", "-o", "out"), "radical"),
    "metal": (None, ("build", "C[Mg]C", "-o", "out"), "Mg"),
    "two molecules": (None, ("build", "CO.O", "-o", "out"), "one part at a time"),
    "unknown version": (None, ("build", "CO", "-o", "out", "--base", "gaff-3.0"), "1.81"),
    "unknown charges": (None, ("build", "CO", "-o", "out", "--charges", "rsep"), "did you mean resp"),
    "unknown constraints": (None, ("build", "CO", "-o", "out", "--constraints", "all"), "HBonds"),
    "hydrogen in g": (None, ("build", "CO", "-o", "out", "--hydrogen-mass", "5e-24"), "1.5 to 4 Da"),
    "missing molecule file": (None, ("build", "none.sdf", "-o", "out"), "does not exist"),
    "empty molecule file": (lambda: text("empty.sdf", ""), ("build", "empty.sdf", "-o", "out"), "no molecule"),
    "unknown water": (
        None,
        ("build", "CO", "-o", "out", "--charges", "am1-bcc", "--padding", "10", "--water", "tip9p"),
        "tip3p",
    ),
    "unknown engine": (None, ("label", "good.npz", "-o", "out.npz", "--engine", "gfn3"), "gfn2"),
    "wrong charge": (None, ("label", "good.npz", "-o", "out.npz", "--charge", "1"), "multiplicity"),
    "unknown ending of frames": (None, ("label", "good.npz", "-o", "out.txt"), ".npz"),
    "too many frames": (None, ("label", "good.npz", "-o", "out.npz", "--count", "99"), "1 to 12"),
    "missing frames": (None, TRAIN, "does not exist"),
    "empty frames": (lambda: text("spoilt.npz", ""), TRAIN, "spoilt.npz"),
    "corrupt frames": (lambda: cut("good.npz", "spoilt.npz", 0.7), TRAIN, "spoilt.npz"),
    "hostile frames": (lambda: hostile("R"), TRAIN, "spoilt.npz"),
    "key twice": (lambda: twice("R"), TRAIN, "twice"),
    "NaN": (lambda: respoil(F=poisoned("F")), TRAIN, "frame 3"),
    "unknown unit": (lambda: respoil(e_unit="furlong"), TRAIN, "furlong"),
    "atom counts differ": (lambda: respoil(z=array("z")[:5]), TRAIN, "shape"),
    "no forces": (lambda: respoil(F=""), TRAIN, "forces"),
    "sigma below zero": (None, (*TRAIN_GOOD, "--sigma", "-1"), "sigma > 0"),
    "more training than frames": (None, (*TRAIN_GOOD, "--n-train", "99"), "1 to 12"),
    "sigma in words": (None, (*TRAIN_GOOD, "--sigma", "big"), "or search"),
    "sigma NaN": (None, (*TRAIN_GOOD, "--sigma", "nan"), "sigma > 0"),
    "unknown symmetries": (None, (*TRAIN_GOOD, "--perms", "all"), "--perms"),
    "unknown selection": (None, (*TRAIN_GOOD, "--n-train", "5", "--selection", "best"), "--selection"),
    "too many to validate on": (
        None,
        (*TRAIN_GOOD, "--n-train", "8", "--n-valid", "9"),
        "0 to 4",
    ),
    "nothing to validate on": (
        None,
        (*TRAIN_GOOD, "--n-train", "12", "--sigma", "search"),
        "n_valid",
    ),
    "unknown solver": (None, (*TRAIN_GOOD, "--solver", "magic"), "magic"),
    "unknown device": (None, (*TRAIN_GOOD, "--device", "abacus"), "--device"),
    "no memory": (None, (*TRAIN_GOOD, "--max-memory", "0.000001"), "memory"),
    "atoms that do not exist": (None, (*TRAIN_GOOD, "--atoms", "4-6"), "0 to 5"),
    "an atom to train on twice": (None, (*TRAIN_GOOD, "--atoms", "1,1"), "once"),
    "curve in words": (None, (*CURVE, "--n-train", "all"), "--n-train"),
    "curve backwards": (None, (*CURVE, "--n-train", "8", "--n-train", "4"), "100, 200, 400"),
    "curve without test frames": (None, (*CURVE, "--n-train", "6", "--n-train", "12"), "left to test"),
    "curve beyond the frames": (None, (*CURVE, "--n-train", "6", "--n-train", "13"), "1 to 12"),
    "unknown study": (None, ("study", "learning-curv", "good.npz", "-o", "out"), "did you mean learning-curve"),
    "unknown ending of a report": (
        None,
        (*TRAIN_GOOD, "--report", "out.txt"),
        ".json",
    ),
    "curve of something else": (
        lambda: (Path("out").mkdir(), text("out/learning_curve.json", "{}")),
        (*CURVE, "--n-train", "8"),
        "learning_curve.json",
    ),
    "convert onto itself": (None, ("convert", "good.npz", "-o", "good.npz"), "itself"),
    "convert a model to frames": (None, ("convert", "model.npz", "-o", "out.xyz"), "export"),
    "convert to an unknown ending": (None, ("convert", "good.npz", "-o", "out.pdb"), "ends in"),
    "convert nothing": (None, ("convert", "none.npz", "-o", "out.xyz"), "does not exist"),
    "convert a corrupt model": (
        lambda: cut("model.npz", "spoilt.npz", 0.7),
        ("convert", "spoilt.npz", "-o", "out.npz"),
        "spoilt.npz",
    ),
    "convert a hostile model": (lambda: hostile("R_desc"), ("convert", "spoilt.npz", "-o", "out.npz"), "do not trust"),
    "unknown ending of a model": (None, ("train", "sgdml", "good.npz", "-o", "out.txt"), ".npz"),
    "frames of another molecule": (
        ethanol_frames,
        (*CORRECTION, "spoilt.npz"),
        "expected",
    ),
    "wrong atom order": (reordered, (*CORRECTION, "spoilt.npz"), "order"),
    "unknown recipe": (
        None,
        (*CORRECTION, "good.npz", "--recipe", "x"),
        "--recipe",
    ),
    "a step down in temperature": (None, (*SAMPLE, "--exchange", "400"), "ladder"),
    "quiet and verbose": (None, ("-q", "-v", "export", "model.npz", "-o", "out.pt"), "exclude each other"),
    "info on nothing": (None, ("info", "none.npz"), "does not exist"),
    "info on a text": (lambda: text("notes.txt", "x"), ("info", "notes.txt"), "not a file of this package"),
    "info on a damaged model": (lambda: cut("model.npz", "spoilt.npz", 0.7), ("info", "spoilt.npz"), "spoilt.npz"),
    "info on a folder of others": (lambda: Path("bare").mkdir(), ("info", "bare"), "not a folder of this package"),
    "data set as model": (None, ("export", "good.npz", "-o", "out.pt"), "data set"),
    "array as model": (lambda: Path("spoilt.npz").write_bytes(npy()), EXPORT, "not an npz file"),
    "array as frames": (lambda: Path("spoilt.npz").write_bytes(npy()), TRAIN, "npz"),
    "hostile model": (lambda: hostile("R_desc"), EXPORT, "do not trust"),
    "corrupt model": (lambda: cut("model.npz", "spoilt.npz", 0.7), EXPORT, "spoilt.npz"),
    "unknown dtype": (None, ("export", "model.npz", "-o", "out.pt", "--dtype", "float16"), "--dtype"),
    "damaged system": (lambda: cut("methanol/system.xml", "methanol/system.xml", 0.5), SAMPLE, "build it again"),
    "missing system": (lambda: Path("methanol/system.xml").unlink(), SAMPLE, "does not exist"),
    "missing manifest": (lambda: Path("methanol/manifest.json").unlink(), SAMPLE, "build it first"),
    "a folder around a system": (nested, ("sample", "outer", "-o", "out"), "use outer/system"),
    "build among other files": (None, ("build", "O", "-o", "methanol", "--charges", "nagl"), "but no build"),
    "build over another molecule": (
        built_methanol,
        ("build", "O", "-o", "built", "--charges", "nagl"),
        "a build of CO",
    ),
    "a folder as molecule": (None, ("build", "methanol", "-o", "out"), "cannot read a molecule from methanol"),
    "a folder as force field": (refined, ("replace", "methanol", "refined", "-o", "out"), "use refined/forcefield.npz"),
    "overlapping start": (overlapping, SAMPLE, "overlap"),
    "temperature of zero": (None, (*SAMPLE, "--temperature", "0"), "greater than 0"),
    "temperature NaN": (None, (*SAMPLE, "--temperature", "nan"), "greater than 0"),
    "unknown platform": (None, (*SAMPLE, "--platform", "Abacus"), "Reference"),
    "unknown format": (None, (*SAMPLE, "--format", "trr"), "--format"),
    "unknown backend": (None, (*SAMPLE, "--model", "model.npz", "--backend", "torchfarce"), "torchforce"),
    "atoms out of range": (None, (*SAMPLE, "--model", "model.npz", "--atoms", "1-6"), "out of range"),
    "an atom twice": (None, (*SAMPLE, "--model", "model.npz", "--atoms", "0-4,4"), "twice"),
    "atoms backwards": (None, (*SAMPLE, "--model", "model.npz", "--atoms", "5-0"), "0-8,12"),
    "an open range of atoms": (None, (*SAMPLE, "--model", "model.npz", "--atoms", "0-"), "0-8,12"),
    "atoms without a model": (None, (*SAMPLE, "--atoms", "0-5"), "--model"),
    "padding below the cutoff": (None, ("build", "CO", "-o", "out", "--padding", "5"), "raise the padding"),
    "solvated force field": (solvated, (*CORRECTION, "good.npz"), "--padding"),
    "a ladder that falls": (None, (*SAMPLE, "--exchange", "600", "--exchange", "550"), "500, 600, 550 K"),
    "atoms in words": (None, (*SAMPLE, "--model", "model.npz", "--atoms", "all"), "0-8,12"),
    "damaged TorchScript": (lambda: cut("model.pt", "spoilt.pt", 0.7), (*SAMPLE, "--model", "spoilt.pt"), "spoilt.pt"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(files: Path, case: str) -> None:
    spoil, arguments, expected = CASES[case]
    if spoil is not None:
        spoil()
    before = entries(files)
    result = run(*arguments)
    assert_refused(files, before, result.exit_code, result.stderr, expected)
    assert not result.stdout


def test_frames_without_a_unit_of_energy(files: Path) -> None:
    """An extended XYZ as ASE writes it: refused until the unit is given."""
    frames = Frames.load("good.npz")
    frames.save("frames.xyz")
    plain = Path("frames.xyz").read_text().replace("e_unit=eV ", "")
    Path("frames.xyz").write_text(plain)
    before = entries(files)
    result = run("train", "sgdml", "frames.xyz", "-o", "out.npz")
    assert_refused(files, before, result.exit_code, result.stderr, "give e_unit")
    assert run("train", "sgdml", "frames.xyz", "-o", "out.npz", "--e-unit", "eV").exit_code == 0
    positions = frames.positions
    predicted, expected = (sgdml.load(name).predict(positions)[1] for name in ("out.npz", "model.npz"))
    np.testing.assert_allclose(predicted, expected, atol=1e-6)


def test_labels_of_overlapping_atoms(files: Path) -> None:
    """Every frame fails; the journal keeps the reasons."""
    respoil(R=collapsed())
    before = entries(files)
    result = run("label", "spoilt.npz", "-o", "out.npz")
    Path("out.npz.journal").unlink()
    assert_refused(files, before, result.exit_code, result.stderr, "overlap")


def test_labels_of_a_periodic_run(files: Path) -> None:
    assert run(*SAMPLE).exit_code == 0
    topology = Path("out/topology.pdb")
    topology.write_text("CRYST1   30.000   30.000   30.000  90.00  90.00  90.00 P 1\n" + topology.read_text())
    before = entries(files)
    result = run("label", "out", "-o", "labels.npz")
    assert_refused(files, before, result.exit_code, result.stderr, "periodic")


def test_model_of_another_molecule(files: Path) -> None:
    ethanol_frames()
    assert run("train", "sgdml", "spoilt.npz", "-o", "ethanol.npz").exit_code == 0
    before = entries(files)
    result = run(*SAMPLE, "--model", "ethanol.npz")
    assert_refused(files, before, result.exit_code, result.stderr, "expected")


def test_missing_antechamber(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setattr(ambertools, "_bundle", lambda: None)
    before = entries(files)
    result = run("build", "CO", "-o", "out")
    assert_refused(files, before, result.exit_code, result.stderr, "openmm-hybrid[gaff]")


@pytest.mark.parametrize(("package", "extra"), [("pyscf", "gaff"), ("tblite", "labels")])
def test_missing_package(files: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    before = entries(files)
    verb = ("build", "CO", "-o", "out") if package == "pyscf" else ("label", "good.npz", "-o", "out.npz")
    result = run(*verb)
    assert_refused(files, before, result.exit_code, result.stderr, extra)


def test_another_run_in_the_folder(files: Path) -> None:
    assert run(*SAMPLE).exit_code == 0
    before = entries(files)
    result = run(*SAMPLE, "--temperature", "300")
    assert_refused(files, before, result.exit_code, result.stderr, "temperature")


def test_output_below_a_file(files: Path) -> None:
    before = entries(files)
    result = run("train", "sgdml", "good.npz", "-o", "model.npz/out.npz")
    assert_refused(files, before, result.exit_code, result.stderr, "model.npz")


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (TRAIN_GOOD, ""),
        (("export", "model.npz", "-o", "out.pt"), ""),
        (("label", "good.npz", "-o", "out.h5"), "out.h5.journal"),
        ((*SAMPLE, "--interval", "1", "--duration", "0.2"), "out"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_full_disk(files: Path, arguments: tuple[str, ...], kept: str) -> None:
    """No file may grow beyond 4 kB: the operating system's answer is that of a full disk, another number apart."""
    before = entries(files)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))"
    program = f"{limit}; from openmm_hybrid.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    for name in set(entries(files)) - set(before):
        if kept and Path(name).relative_to(files).parts[0] == kept:
            Path(name).unlink()
    assert_refused(files, before, done.returncode, done.stderr, "cannot write")


def test_a_model_of_some_atoms_needs_their_indices(files: Path) -> None:
    trained = run("train", "sgdml", "good.npz", "-o", "part.npz", "--atoms", "0-2", "--n-train", "6")
    assert trained.exit_code == 0, trained.stderr
    before = entries(files)
    result = run(*SAMPLE, "--model", "part.npz")
    expected = (
        "part.npz is a model of 3 atoms and does not tell which of the molecule's 6; name them in the model's order"
    )
    assert_refused(files, before, result.exit_code, result.stderr, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        ran = run(*SAMPLE, "--model", "part.npz", "--atoms", "0-2", "--platform", "Reference")
    assert ran.exit_code == 0
    assert "holds a molecule together by itself" in " ".join(ran.stderr.split())


def test_exports_have_the_ending_by_which_they_are_read(files: Path) -> None:
    before = entries(files)
    result = run("export", "model.npz", "-o", "model.txt")
    assert_refused(files, before, result.exit_code, result.stderr, "ends in .pt")


def test_build_again_takes_its_own_folder(files: Path) -> None:
    built_methanol()
    check_build_folder(Path("built"), Molecule.from_smiles("OC"))
    check_build_folder(Path("fresh"), Molecule.from_smiles("O"))
