"""Energy models as files, each in its own format and named by its hash."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import fingerprint, replacing, sha256
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.models.compose import Difference, OnAtoms, Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.torchscript import export_torchscript, load_torchscript
from openmm_hybrid.models_io.correction import load as load_correction
from openmm_hybrid.models_io.correction import save as save_correction
from openmm_hybrid.sgdml.gate import Gated
from openmm_hybrid.sgdml.model import SGDMLModel


def save_model(model: EnergyModel, folder: Path) -> dict[str, Any]:
    """Write a model into a folder; returns what `load_model` reads it by, for a JSON manifest.

    sGDML models, gated or not, and force fields go into their npz files; sums, differences and models on some atoms
    into the manifest, part by part; every other model into a TorchScript file. The file's name holds its content's
    hash, so that no file of another manifest is overwritten.

    Raises
    ------
    MismatchError
        The model has no file format and no TorchScript form.
    HybridError
        A file cannot be written.
    """
    match model:
        case Sum():
            return {"kind": "sum", "parts": [save_model(part, folder) for part in model.parts]}
        case Difference():
            return {
                "kind": "difference",
                "parts": [save_model(model.minuend, folder), save_model(model.subtrahend, folder)],
            }
        case OnAtoms():
            numbers = model.atomic_numbers.tolist()
            inner = save_model(model.model, folder)
            return {"kind": "on atoms", "parts": [inner], "atoms": model.atoms.tolist(), "atomic_numbers": numbers}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.npz"
        kind = "torchscript"
        if isinstance(model, SGDMLModel | ForceField):
            kind = "sgdml" if isinstance(model, SGDMLModel) else "force field"
            model.save(path)
        elif isinstance(model, Gated) and isinstance(model.model, SGDMLModel):
            kind = "correction"
            save_correction(model, path)
        else:
            path = export_torchscript(model, path.with_suffix(".pt"))
        content = path.read_bytes()
    digest = fingerprint(content)
    name = f"model-{digest[:12]}{path.suffix}"
    with replacing(folder / name) as temporary:
        temporary.write_bytes(content)
    return {"kind": kind, "file": name, "sha256": digest}


def load_model(node: Mapping[str, Any], folder: Path) -> EnergyModel:
    """The model that `save_model` described by `node`.

    Raises
    ------
    InputError
        A file is missing, damaged or not the one that was saved, or the description is of an unknown kind.
    """
    kind = node["kind"]
    parts = [load_model(part, folder) for part in node.get("parts", ())]
    if kind == "sum":
        return Sum(parts)
    if kind == "difference":
        return Difference(*parts)
    if kind == "on atoms":
        return OnAtoms(parts[0], node["atoms"], node["atomic_numbers"])
    if kind not in ("sgdml", "force field", "correction", "torchscript"):
        raise InputError(f"a model of the kind {kind!r}", expected="a kind that save_model writes", hint=UPGRADE)
    path = verified(folder, node["file"], node["sha256"])
    # load_correction reads sGDML models and force fields too.
    return load_torchscript(path) if kind == "torchscript" else load_correction(path).model


def verified(folder: Path, name: str, digest: str) -> Path:
    """The path of a file in the folder whose content has this SHA-256.

    Raises
    ------
    InputError
        It is missing, damaged or another, or the name leads out of the folder.
    """
    if Path(name).name != name:
        raise InputError(f"the manifest in {folder} names the file {name!r}", expected="files of the folder itself")
    path = folder / name
    if not path.is_file():
        raise InputError(f"{path} does not exist", expected="all files of the folder", hint=AGAIN)
    if sha256(path) != digest:
        raise InputError(f"{path} is damaged or another file: it has not the hash of the manifest", hint=AGAIN)
    return path


AGAIN = "copy the folder again, or build it again"
UPGRADE = "upgrade openmm-hybrid"
