"""Damaged files of every kind that the package reads, and what its readers do with them.

`good_files` writes one good file of each kind, `damaged_files` makes many bad ones of them with a seed, and `outcomes`
reads them in a process of their own, whose memory and time are limited. An outcome begins with "valid", "refused",
"raw" (an exception that is no HybridError), "invalid" (a number that is not finite), "executed", "hang" or "crash".
"""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import resource
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
SECONDS = 40
"""Longest time for one file."""
MEGABYTES = 1000
"""Memory that one file may take beyond that of the imported packages."""

FRAMES = ("frames.npz", "frames.xyz", "frames.h5")
ZIPPED = ("frames.npz", "forcefield.npz", "sgdml.npz", "correction.npz")
FOLDERS = ("system", "run")
KINDS = (
    *("frames.npz", "frames.xyz", "frames.h5", "forcefield.npz", "sgdml.npz", "correction.npz", "script.pt"),
    *("system", "journal", "molecule.sdf", "molecule.mol2", "molecule.pdb", "run"),
)


def good_files(folder: Path) -> None:
    """Write one good file or folder of each kind, named by its kind."""
    import openmm_hybrid as oh
    from openmm_hybrid.models.torchscript import export_torchscript
    from openmm_hybrid.models_io.correction import Correction
    from openmm_hybrid.systems.system_files import save_system
    from tests.helpers.molecule_files import GAFF_ACETATE, sdf
    from tests.helpers.morse import PairMorse
    from tests.helpers.oscillators import water
    from tests.helpers.sgdml_data import water as labelled_water

    frames = labelled_water()
    for name in FRAMES:
        frames.save(folder / name)
    oh.ForceField.load("ethanol-gaff").save(folder / "forcefield.npz")
    model = oh.sgdml.train(frames, n_train=8, n_valid=4, sigma=10, lam=1e-8, progress=False)
    model = getattr(model, "model", model)
    model.save(folder / "sgdml.npz")
    Correction(model).save(folder / "correction.npz")
    export_torchscript(PairMorse((8, 1, 1)), folder / "script.pt")
    system, topology, positions = water()
    save_system(folder / "system", system, topology, positions)
    run = {"n_steps": 200, "interval": 20, "seed": 1, "checkpoint_interval": 50, "platform": "Reference"}
    oh.sample(system, topology, positions, output=folder / "run", progress=False, **run)
    read_journal(folder / "labels.npz")
    (folder / "labels.npz.journal").rename(folder / "journal")
    molecule = oh.Molecule.from_smiles("C[NH2+]CC(=O)[O-]", n_conformers=2)
    (folder / "molecule.sdf").write_text(sdf(molecule))
    (folder / "molecule.mol2").write_text(GAFF_ACETATE)
    from rdkit import Chem

    Chem.MolToPDBFile(oh.Molecule.from_smiles("CCO").to_rdkit(), str(folder / "molecule.pdb"))


def read_journal(path: Path) -> Any:
    """The frames of a labelling job that resumes from the journal beside `path`."""
    import openmm_hybrid as oh
    from tests.helpers.spring_engine import POSITIONS, Spring

    return oh.reference.label(Spring(), np.array([1, 1]), POSITIONS, output=path, progress=False).frames


def damaged_files(good: Path, folder: Path, count: int, seed: int = 0) -> list[tuple[str, Path, str]]:
    """Write damaged files; returns kind, path and damage of each."""
    random, made = np.random.default_rng(seed), []
    for index in range(count):
        kind = KINDS[index % len(KINDS)]
        ways = _ways(kind)
        way = ways[(index // len(KINDS)) % len(ways)]
        path = folder / f"{index:03d}-{kind}"
        source = good / kind
        if kind in FOLDERS:
            shutil.copytree(source, path)
            files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != ".lock")
            file = files[int(random.integers(len(files)))]
            file.write_bytes(_WAYS[way](file.read_bytes(), random, folder))
            if kind == "system" and file.name != "manifest.json" and random.random() < 0.8:
                _sign(path, file)  # a hostile folder has a manifest that fits
            way = f"{way} in {file.name}"
        else:
            path.write_bytes(_WAYS[way](source.read_bytes(), random, folder))
        made.append((kind, path, way))
    return made


def _sign(folder: Path, file: Path) -> None:
    from openmm_hybrid.core.files import sha256

    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][file.name] = sha256(file)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _ways(kind: str) -> list[str]:
    general = ["flip", "cut", "garbage", "repeat", "flips", "swap"]
    if kind in ZIPPED:
        return [*general, "huge", "nan", "pickle", "bomb", "missing", "reshaped", "retyped", "description", "method"]
    if kind == "script.pt":
        return [*general, "bomb", "pickle", "missing", "flip", "cut", "method"]
    if kind == "frames.h5":
        return [*general, "h5 huge", "h5 nan", "h5 object", "h5 texts", "flip", "flips", "garbage"]
    return [*general, "number", "number", "nested", "number", "lines", "zeros"]


def _flip(content: bytes, random: np.random.Generator, count: int) -> bytes:
    changed = bytearray(content)
    for place in random.integers(len(content), size=count):
        changed[place] ^= 1 << int(random.integers(8))
    return bytes(changed)


def _garbage(content: bytes, random: np.random.Generator, _: Path) -> bytes:
    start = int(random.integers(len(content)))
    length = int(random.integers(1, 200))
    return content[:start] + random.bytes(length) + content[start + length :]


def _repeat(content: bytes, random: np.random.Generator, _: Path) -> bytes:
    start, end = sorted(random.integers(len(content), size=2).tolist())
    return content[:end] + content[start:end] + content[end:]


def _swap(content: bytes, random: np.random.Generator, _: Path) -> bytes:
    a, b, c = sorted(random.integers(len(content), size=3).tolist())
    return content[:a] + content[b:c] + content[a:b] + content[c:]


_BAD_NUMBERS = ("nan", "inf", "1e999", "-1", "99999999999", "0", "1e-320", "-9" * 40, "9" * 5000, "", "null", "[]", "²")


def _number(content: bytes, random: np.random.Generator, _: Path) -> bytes:
    """Replace one number of a text by a bad one."""
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?(e[-+]?\d+)?", content))
    if not numbers:
        return content[: len(content) // 2]
    chosen = numbers[int(random.integers(len(numbers)))]
    bad = _BAD_NUMBERS[int(random.integers(len(_BAD_NUMBERS)))]
    return content[: chosen.start()] + bad.encode() + content[chosen.end() :]


def _nested(content: bytes, random: np.random.Generator, _: Path) -> bytes:
    """A text whose last line is nested deeply, as a parser that recurses does not expect it."""
    return content[: content.rfind(b"\n", 0, -1) + 1] + b'{"frame":' + b"[" * 100_000 + b"\n"


def _lines(content: bytes, random: np.random.Generator, _: Path) -> bytes:
    lines = content.split(b"\n")
    return b"\n".join(lines[place] for place in random.permutation(len(lines)))


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _array(content: bytes) -> Any:
    # The error tables of sgdml's layout are object arrays. Only members of our own good files are read here.
    return np.load(io.BytesIO(content), allow_pickle=True)


def _member(change: Callable[[bytes, np.random.Generator, Path], bytes | None]) -> Callable[..., bytes]:
    """Change one member of a zip file."""

    def changed(content: bytes, random: np.random.Generator, folder: Path) -> bytes:
        members = _members(content)
        name = sorted(members)[int(random.integers(len(members)))]
        new = change(members.pop(name), random, folder)
        return _zipped(members if new is None else members | {name: new})

    return changed


def _huge(content: bytes, random: np.random.Generator, _: Path) -> bytes:
    shapes = [(10**12,), (2**31, 2**31), (10**9, 3), (2**62,), (-1, 3), (10**4, 10**4, 10**4)]
    shape = shapes[int(random.integers(len(shapes)))]
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + content[128:]


def _nan(content: bytes, random: np.random.Generator, _: Path) -> bytes:
    array = _array(content)
    if array.dtype.kind != "f" or not array.size:
        return _npy(np.array([np.nan, np.inf]))
    flat = array.copy().reshape(-1)
    flat[int(random.integers(flat.size))] = [np.nan, np.inf, 1e308, -np.inf][int(random.integers(4))]
    return _npy(flat.reshape(array.shape))


class Payload:
    """An object whose pickle writes a file when it is read."""

    def __init__(self, folder: Path) -> None:
        self.marker = str(folder / "EXECUTED")

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.marker, "w")


def _pickle(content: bytes, random: np.random.Generator, folder: Path) -> bytes:
    if not content.startswith(b"\x93NUMPY"):
        return pickle.dumps(Payload(folder))
    array = np.empty(1, dtype=object)
    array[0] = Payload(folder)
    return _npy(array)


def _bomb(content: bytes, random: np.random.Generator, _: Path) -> bytes:
    """100 MB of zeros, which deflate to 0.1 MB."""
    return _npy(np.zeros(100_000_000 // 8)) if content.startswith(b"\x93NUMPY") else bytes(100_000_000)


def _reshaped(content: bytes, random: np.random.Generator, _: Path) -> bytes:
    array = _array(content)
    return _npy([array[None], array.reshape(-1), array.reshape(-1)[:1], array.reshape(-1)[:0]][int(random.integers(4))])


def _retyped(content: bytes, random: np.random.Generator, _: Path) -> bytes:
    array = _array(content)
    kinds = [np.complex128, np.bool_, "S5", "U5", np.int8, "datetime64[s]", "V3", np.float16]
    with np.errstate(all="ignore"):
        try:
            return _npy(array.astype(kinds[int(random.integers(len(kinds)))]))
        except (TypeError, ValueError):
            return _npy(np.zeros(array.shape, dtype="V0"))


def _description(content: bytes, random: np.random.Generator, folder: Path) -> bytes:
    """Change a number or a letter of the JSON description, if there is one."""
    members = _members(content)
    if "description.npy" not in members:
        return _member(_retyped)(content, random, folder)
    text = str(np.load(io.BytesIO(members["description.npy"])))
    changed = _number(text.encode(), random, folder).decode()
    return _zipped(members | {"description.npy": _npy(np.array(changed))})


def _hdf5(change: Callable[[Any, np.random.Generator], None]) -> Callable[..., bytes]:
    def changed(content: bytes, random: np.random.Generator, _: Path) -> bytes:
        import h5py

        stream = io.BytesIO(content)
        with h5py.File(stream, "a") as file:
            key = ("E", "F", "R", "z")[int(random.integers(4))]
            change((file, key), random)
        return stream.getvalue()

    return changed


def _h5_huge(at: Any, random: np.random.Generator) -> None:
    file, key = at
    del file[key]
    shape = [(10**7, 3, 3), (10**6, 10**6), (2**40,)][int(random.integers(3))]
    file.create_dataset(key, shape, "f8", chunks=(1,) * (len(shape) - 1) + (3,), compression="gzip")


def _h5_nan(at: Any, random: np.random.Generator) -> None:
    file, key = at
    array = file[key][()].astype(float)
    array.reshape(-1)[0] = np.nan
    del file[key]
    file[key] = array


def _h5_object(at: Any, random: np.random.Generator) -> None:
    import h5py

    file, key = at
    del file[key]
    file.create_dataset(key, (3,), h5py.vlen_dtype(np.int32))[0] = [1, 2]


def _h5_texts(at: Any, random: np.random.Generator) -> None:
    file = at[0]
    file.attrs["e_unit"] = np.bytes_(b"x" * 100)
    file["many"] = ["text"] * 5000


_WAYS: dict[str, Callable[[bytes, np.random.Generator, Path], bytes]] = {
    "flip": lambda content, random, _: _flip(content, random, 1),
    "flips": lambda content, random, _: _flip(content, random, 20),
    "cut": lambda content, random, _: content[: int(random.integers(len(content)))],
    "garbage": _garbage,
    "repeat": _repeat,
    "swap": _swap,
    "number": _number,
    "nested": _nested,
    "lines": _lines,
    "zeros": lambda content, random, _: bytes(len(content)),
    "huge": _member(_huge),
    "nan": _member(_nan),
    "pickle": _member(_pickle),
    "bomb": _member(_bomb),
    "missing": _member(lambda content, random, _: None),
    "reshaped": _member(_reshaped),
    "retyped": _member(_retyped),
    "description": _description,
    "method": lambda content, random, _: _zipped(_members(content), zipfile.ZIP_LZMA),
    "h5 huge": _hdf5(_h5_huge),
    "h5 nan": _hdf5(_h5_nan),
    "h5 object": _hdf5(_h5_object),
    "h5 texts": _hdf5(_h5_texts),
}


def randomly_damaged(content: bytes, random: np.random.Generator, folder: Path) -> bytes:
    """Content with bytes that are changed, lost or moved, as by a bad disk or transfer."""
    ways = ("flip", "flips", "cut", "garbage", "swap", "repeat")
    return _WAYS[ways[int(random.integers(len(ways)))]](content, random, folder)


def read(kind: str, path: Path, scratch: Path) -> list[Any]:
    """Read a file as a user would; returns numbers that must be finite."""
    import openmm_hybrid as oh
    from tests.helpers.oscillators import water

    if kind in FRAMES:
        frames = oh.Frames.load(path)
        return [frames.positions, *(each for each in (frames.energies, frames.forces) if each is not None)]
    if kind.startswith("molecule"):
        return [oh.Molecule.from_file(path).conformers]
    if kind == "journal":
        shutil.copy(path, scratch / f"{path.name}.npz.journal")
        return [read_journal(scratch / f"{path.name}.npz").forces]
    if kind == "run":
        run = oh.SampleResult.open(path)
        found = [run.positions, run.speed, np.zeros(len(run.log))]  # a log may hold NaN
        system, topology, positions = water()
        more = {"n_steps": 240, "interval": 20, "seed": 1, "checkpoint_interval": 50, "platform": "Reference"}
        return [*found, oh.sample(system, topology, positions, output=path, progress=False, **more).positions]
    if kind == "system":
        return [oh.load_system(path)[2]]
    model = oh.load(path)
    model = getattr(model, "model", model)
    rows = np.random.default_rng(0).normal(size=(1, model.n_atoms, 3))
    return list(model.predict(rows))


def outcomes(made: list[tuple[str, Path, str]], folder: Path) -> list[str]:
    """The outcome of each damaged file, in the order of `made`."""
    found: list[str] = []
    while len(found) < len(made):
        rest = made[len(found) :]
        (folder / "list.json").write_text(json.dumps([[kind, str(path)] for kind, path, _ in rest]))
        command = [sys.executable, "-m", "tests.faults.damaged", str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        lines = [json.loads(line[1:]) for line in done.stdout.splitlines() if line.startswith("\t")]
        found += lines[: len(rest)]
        if len(lines) < len(rest):
            if not lines and "ready" not in done.stdout:
                raise RuntimeError(done.stderr)
            hung = done.returncode == -signal.SIGALRM
            found.append("hang" if hung else f"crash {done.returncode}: {done.stderr[-300:]}")
    return found


def _work(folder: Path) -> Iterator[str]:
    import warnings

    from openmm_hybrid.cli.info import describe
    from openmm_hybrid.core.errors import HybridError

    warnings.simplefilter("ignore")
    for kind, path in json.loads((folder / "list.json").read_text()):
        signal.alarm(SECONDS)
        try:
            numbers = read(kind, Path(path), folder)
            finite = all(np.isfinite(np.asarray(each, dtype=float)).all() for each in numbers)
            outcome = "valid" if finite else "invalid"
        except HybridError as error:
            outcome = f"refused: {error}" if "\n" not in str(error) else f"raw: several lines: {error}"
        except BaseException as error:  # noqa: BLE001
            outcome = f"raw: {type(error).__name__}: {error}"
        if not outcome.startswith(("raw", "invalid")) and not kind.startswith("molecule"):
            try:
                describe(Path(path))
            except HybridError:
                pass
            except BaseException as error:  # noqa: BLE001
                outcome = f"raw in info: {type(error).__name__}: {error}"
        signal.alarm(0)
        if list(folder.glob("EXECUTED")):
            outcome = "executed"
        yield outcome


def main(folder: Path) -> None:
    """Read the files of the list in `folder` and print one line for each."""
    import ase  # noqa: F401
    import h5py  # noqa: F401
    import rdkit.Chem  # noqa: F401

    import openmm_hybrid as oh

    oh.load("ethanol-gaff").predict(np.random.default_rng(0).normal(size=(1, 9, 3)))
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEGABYTES * 2**20, resource.RLIM_INFINITY))
    print("ready", flush=True)
    for outcome in _work(folder):
        print("\t" + json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
