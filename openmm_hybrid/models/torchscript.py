"""Models as TorchScript files, which plain libtorch loads without this package."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

import openmm_hybrid
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import DAMAGE, check_zip, expanded, replacing
from openmm_hybrid.core.versioned_npz import Arrays
from openmm_hybrid.models.energy_model import EnergyModel, TorchModel

METADATA = "metadata.json"
"""Name of the extra file inside the TorchScript file."""

FORMAT = "openmm-hybrid-torchscript"
FORMAT_VERSION = 1
_DTYPES = {"float64": torch.float64, "float32": torch.float32}
_CALLING = "forward(positions (n, n_atoms, 3) Å) -> (energies (n,) kcal/mol, forces (n, n_atoms, 3) kcal/mol/Å)"


def export_torchscript(
    model: EnergyModel, path: str | Path, *, name: str = "", theory: str = "", dtype: str = "float64"
) -> Path:
    """Write a model as one TorchScript file.

    ``torch.jit.load(path)``, or ``torch::jit::load`` in C++, gives a module with
    forward(positions (n, n_atoms, 3) Å) → (energies (n,) kcal/mol, forces (n, n_atoms, 3) kcal/mol/Å). The extra file
    ``metadata.json`` inside names units, elements in the atom order, dtype and versions. For a file that TorchForce
    can load directly, see `openmm_hybrid.systems.torch_wrapper.export_torchforce`.

    Parameters
    ----------
    model : EnergyModel
        A model with a TorchScript form.
    path : path
        The file is written whole or not at all.
    name, theory : str
        Strings for the metadata; `theory` is the level of theory of the model.
    dtype : {"float64", "float32"}
        Precision in which the module computes.

    Raises
    ------
    MismatchError
        The model has no TorchScript form.
    InputError
        Unknown dtype.
    """
    script = torch.jit.script(model.module().to(torch_dtype(dtype)).eval())
    return write_script(script, path, metadata(model, name=name, theory=theory, dtype=dtype, convention="model"))


def load_torchscript(path: str | Path) -> ScriptedModel:
    """Read a model that `export_torchscript` wrote. It can be exported, attached and added like any other.

    A TorchScript file is a program, but can only run torch operations. An untrusted file can still waste time and
    memory.

    Raises
    ------
    InputError
        The file is missing, damaged, not from this package, or of a newer format.
    """
    script, notes = read_script(path)
    if notes.get("convention") != "model":
        raise MismatchError(
            f"{path} was exported for OpenMM (nm, kJ/mol)",
            expected="a file of export_torchscript",
            hint="give it to openmmtorch.TorchForce, or export the model again",
        )
    return ScriptedModel(script=script, metadata=notes)


@final
@dataclass(frozen=True, eq=False)
class ScriptedModel(TorchModel):
    """A model from a TorchScript file; `load_torchscript` makes it.

    Parameters
    ----------
    script : torch.jit.ScriptModule
        Scripted module, which must not be changed.
    metadata : mapping
        Metadata of the file: name, theory, elements, dtype, versions.
    """

    script: torch.jit.ScriptModule = field(repr=False)
    metadata: Mapping[str, Any]
    kind: ClassVar[str] = "torchscript"

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """See `EnergyModel.atomic_numbers`."""
        return np.array(self.metadata["atomic_numbers"], dtype=np.int64)

    @property
    def bonds(self) -> NDArray[np.int64] | None:
        """See `EnergyModel.bonds`: those in the metadata; None for a file without them."""
        pairs = self.metadata.get("bonds")
        return None if pairs is None else np.array(pairs, dtype=np.int64).reshape(-1, 2)

    def module(self) -> torch.nn.Module:
        """A copy of the scripted module, so that its conversion does not change the model."""
        return copy.deepcopy(self.script)

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `EnergyModel.evaluate`. InputError if the module's program fails."""
        try:
            return super().evaluate(positions)
        except (RuntimeError, ValueError, TypeError, MemoryError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise InputError(
                f"the TorchScript module of {self.metadata.get('name') or 'the model'} fails ({reason})",
                expected=_CALLING,
                hint="export the model again",
            ) from error

    @classmethod
    def from_arrays(cls, description: Mapping[str, Any], arrays: Arrays) -> ScriptedModel:
        """The model that `script_to_arrays` described."""
        content = arrays["script"]
        if content.dtype != np.uint8 or content.ndim != 1:
            raise InputError("it holds no TorchScript module", expected="the bytes of a TorchScript file")
        try:
            script = torch.jit.load(io.BytesIO(content.tobytes()), map_location="cpu")
        except (RuntimeError, ValueError, MemoryError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"its TorchScript module is damaged ({reason})") from None
        return cls(script=script, metadata=_checked_metadata(description, "the model"))


def script_to_arrays(model: EnergyModel) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The model's scripted module as a description, its metadata, and an array of bytes.

    Raises
    ------
    MismatchError
        The model has no TorchScript form.
    """
    script = torch.jit.script(model.module().eval())
    known = model.metadata if isinstance(model, ScriptedModel) else {}
    notes = metadata(model, name="", theory="", dtype="float64", convention="model") | dict(known)
    content = io.BytesIO()
    torch.jit.save(script, content)
    return notes, {"script": np.frombuffer(content.getvalue(), dtype=np.uint8)}


def torch_dtype(name: str) -> torch.dtype:
    """The torch dtype of a name, "float64" or "float32"; InputError for any other."""
    if name not in _DTYPES:
        raise InputError(f"unknown dtype {name!r}", expected=f"one of {', '.join(_DTYPES)}")
    return _DTYPES[name]


def metadata(
    model: EnergyModel, *, name: str, theory: str, dtype: str, convention: str, calling: str = _CALLING
) -> dict[str, Any]:
    """Metadata of a file. `convention` is "model" (Å, kcal/mol) or "openmm" (nm, kJ/mol)."""
    atomic_numbers = [int(number) for number in model.atomic_numbers]
    openmm = convention == "openmm"
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": name,
        "theory": theory,
        "convention": convention,
        "calling": calling,
        "units": {
            "length": "nm" if openmm else "Å",
            "energy": "kJ/mol" if openmm else "kcal/mol",
            "force": "kJ/mol/nm" if openmm else "kcal/mol/Å",
        },
        "elements": [chemical_symbols[number] for number in atomic_numbers],
        "atomic_numbers": atomic_numbers,
        "bonds": None if model.bonds is None else np.asarray(model.bonds).tolist(),
        "dtype": dtype,
        "versions": {"openmm_hybrid": openmm_hybrid.__version__, "torch": torch.__version__, "numpy": np.__version__},
    }


def write_script(script: torch.jit.ScriptModule, path: str | Path, notes: Mapping[str, Any]) -> Path:
    """Write a scripted module and its metadata, whole or not at all."""
    # Through memory: torch's own writer ends the process (std::terminate) if the disk is full.
    content = io.BytesIO()
    torch.jit.save(script, content, _extra_files={METADATA: json.dumps(notes, ensure_ascii=False, indent=1)})
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())
    return expanded(path)


def read_script(path: str | Path) -> tuple[torch.jit.ScriptModule, dict[str, Any]]:
    """A scripted module on the CPU and its checked metadata. Raises the errors of `load_torchscript`."""
    path = expanded(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    extra = {METADATA: ""}
    try:
        with zipfile.ZipFile(path) as archive:
            check_zip(archive, path)
        script = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
    except DAMAGE as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).strip().splitlines()
        raise InputError(
            f"{path} is not a TorchScript file, or is damaged ({reason[0] if reason else type(error).__name__})",
            expected="a file of export_torchscript",
            hint="export the model again",
        ) from None
    foreign = InputError(
        f"{path} is a TorchScript file without this package's metadata",
        expected=f"{METADATA} with format {FORMAT!r}",
        hint="write it with export_torchscript",
    )
    try:
        notes = json.loads(extra[METADATA])
    except (ValueError, RecursionError):
        raise foreign from None
    if not isinstance(notes, dict) or notes.get("format") != FORMAT:
        raise foreign
    return script, _checked_metadata(notes, path)


def _checked_metadata(notes: Mapping[str, Any], source: object) -> dict[str, Any]:
    if notes.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{source} is of format version {notes.get('format_version')}",
            expected=f"{FORMAT_VERSION}",
            hint="upgrade openmm-hybrid, or export the model again",
        )
    atomic_numbers = notes.get("atomic_numbers")
    if not isinstance(atomic_numbers, list) or not all(isinstance(number, int) for number in atomic_numbers):
        raise InputError(f"{source} does not name its atomic numbers", hint="export the model again")
    bonds = notes.get("bonds")
    if bonds is not None and not (
        isinstance(bonds, list) and all(_is_bond(pair, len(atomic_numbers)) for pair in bonds)
    ):
        raise InputError(f"the bonds in {source} are no pairs of its atoms", hint="export the model again")
    return dict(notes)


def _is_bond(pair: object, n_atoms: int) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(type(k) is int and 0 <= k < n_atoms for k in pair)
