"""Energy models in npz files: every kind of model has a name, arrays to write, and a class that reads them.

A new kind of model is a class with a `kind`, a `to_arrays` and a class method `from_arrays`, and one entry in `MODELS`:
here, or in the entry-point group ``openmm_hybrid.models`` of another distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.core.registry import Registry
from openmm_hybrid.core.versioned_npz import Arrays, NpzFormat, reading, write

if TYPE_CHECKING:
    from openmm_hybrid.models.energy_model import EnergyModel

MODELS = Registry(
    "kind of model",
    {
        "sgdml": "openmm_hybrid.sgdml.model:SGDMLModel",
        "force field": "openmm_hybrid.forcefield.model:ForceField",
        "sum": "openmm_hybrid.models.compose:Sum",
        "difference": "openmm_hybrid.models.compose:Difference",
        "on atoms": "openmm_hybrid.models.compose:OnAtoms",
        "gated": "openmm_hybrid.sgdml.gate:Gated",
        "torchscript": "openmm_hybrid.models.torchscript:ScriptedModel",
    },
    "openmm_hybrid.models",
)
"""Kind of a model → class whose `from_arrays` reads it."""

FORMAT: NpzFormat = NpzFormat("openmm-hybrid model", version=1, what="a model")


def pack(model: EnergyModel) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """A model of any kind as a JSON-ready description and plain arrays; `unpack` reads them.

    Raises
    ------
    MismatchError
        The model, or a part of it, has no file form.
    InputError
        Its kind is not registered.
    """
    if not model.kind:
        raise MismatchError(
            f"{type(model).__name__} has no file form", hint="keep what it was made of, such as the System"
        )
    MODELS.load(model.kind)  # a file of an unknown kind could not be read again
    settings, arrays = model.to_arrays()
    return {"kind": model.kind, "settings": settings}, arrays


def unpack(description: Mapping[str, Any], arrays: Arrays) -> EnergyModel:
    """The model of a description and arrays that `pack` made.

    Raises
    ------
    InputError
        The kind is not registered, or the arrays do not belong to it.
    """
    found: EnergyModel = MODELS.load(description["kind"]).from_arrays(description["settings"], arrays)
    return found


def save(model: EnergyModel, path: str | Path) -> Path:
    """Write a model of any kind. See `EnergyModel.save`."""
    description, arrays = pack(model)
    return write(path, FORMAT, {"model": description}, arrays)


def load(path: str | Path) -> EnergyModel:
    """The model in a file that `save` wrote.

    Raises
    ------
    InputError
        The file is missing, damaged, of another format or of a newer version, or its kind of model is not registered.
    """
    with reading(path, FORMAT) as (description, arrays):
        return unpack(description["model"], arrays)
