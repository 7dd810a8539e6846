"""One way to read every model: by its file or name, or from a folder whose manifest knows the hash of each file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded, replacing, sha256
from openmm_hybrid.core.versioned_npz import format_of
from openmm_hybrid.forcefield import ForceField, archive
from openmm_hybrid.models import storage
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.torchscript import load_torchscript
from openmm_hybrid.models_io import correction
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.sgdml import model_file

AGAIN = "copy the folder again, or build it again"
UPGRADE = "upgrade openmm-hybrid"
_SCRIPTS = (".pt", ".pth")

_READERS: Mapping[str, Callable[[Path], EnergyModel | Correction]] = {
    "": model_file.load,  # sGDML's npz files have no description
    archive.FORMAT.name: ForceField.load,
    correction.FORMAT.name: correction.read,
    storage.FORMAT.name: storage.load,
}
"""Format of an npz file → function that reads it."""


def load(source: str | Path) -> EnergyModel | Correction:
    """Read a model: any file that this package or the sgdml package writes, or a shipped model by its name.

    Arrays are read without pickle. A model of a kind without arrays is a TorchScript module; see `load_torchscript`.

    Parameters
    ----------
    source : str or Path
        A file (.npz of an sGDML model in any layout, a force field, a correction or another model; .pt of
        `export_torchscript`), or a name such as "ethanol-cross" (`openmm_hybrid.forcefield.names`).

    Returns
    -------
    EnergyModel or Correction
        A `Correction` if the file holds one: a model with the atoms that it is for. Otherwise the model.

    Raises
    ------
    InputError
        The file is missing, damaged, not a model or of a newer version, or nothing is shipped under this name.
    """
    path = expanded(source)
    if path.suffix in _SCRIPTS:
        return load_torchscript(path)
    if path.suffix != ".npz":
        return ForceField.load(source)
    name = format_of(path)
    if name not in _READERS:
        raise InputError(f"{path} is a file of the format {name!r}", expected="a model")
    return _READERS[name](path)


def load_correction(source: str | Path) -> Correction:
    """Read a correction. A model in a file without atoms becomes a correction of all atoms. See `load`."""
    found = load(source)
    return found if isinstance(found, Correction) else Correction(found)


def save_model(model: EnergyModel, folder: Path) -> dict[str, Any]:
    """Write a model into a folder; returns the description by which `load_model` finds it, for a JSON manifest.

    The file's name contains the hash of its content, so that it never replaces a file of another manifest.

    Raises
    ------
    MismatchError
        The model has no file form.
    HybridError
        The file cannot be written.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = model.save(Path(scratch) / "model.npz")
        content, digest = path.read_bytes(), sha256(path)
    name = f"model-{digest[:12]}.npz"
    with replacing(folder / name) as temporary:
        temporary.write_bytes(content)
    return {"kind": model.kind, "file": name, "sha256": digest}


def load_model(description: Mapping[str, Any], folder: Path) -> EnergyModel:
    """The model that `save_model` described.

    Raises
    ------
    InputError
        The file is missing, damaged or another one, or the kind of model is not registered.
    """
    if description["kind"] not in storage.MODELS.names():
        raise InputError(
            f"a model of the kind {description['kind']!r}",
            expected=f"one of {', '.join(storage.MODELS.names())}",
            hint=UPGRADE,
        )
    found = load(verified(folder, description["file"], description["sha256"]))
    if isinstance(found, Correction):
        raise InputError(f"{description['file']} in {folder} holds a correction", expected="a model", hint=AGAIN)
    return found


def verified(folder: Path, name: str, digest: str) -> Path:
    """The path of a file in the folder, after its SHA-256 has been compared with `digest`.

    Raises
    ------
    InputError
        The file is missing, damaged or another one, or its name leads out of the folder.
    """
    if Path(name).name != name:
        raise InputError(f"the manifest in {folder} names the file {name!r}", expected="files of the folder itself")
    path = folder / name
    if not path.is_file():
        raise InputError(f"{path} does not exist", expected="all files of the folder", hint=AGAIN)
    if sha256(path) != digest:
        raise InputError(f"{path} is damaged or another file: its hash is not the manifest's", hint=AGAIN)
    return path
