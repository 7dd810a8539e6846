"""Correction files: an sGDML model with its gate and the atoms that it is for, as one npz of plain arrays."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid import __version__
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import reading_npz, replacing
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.sgdml import SGDMLModel, TrainingDistance
from openmm_hybrid.sgdml import load as load_sgdml
from openmm_hybrid.sgdml.gate import Gated

FORMAT, VERSION = "openmm-hybrid correction", 1


@final
@dataclass(frozen=True, eq=False)
class Stored:
    """What a file holds.

    Parameters
    ----------
    model : EnergyModel
        SGDMLModel, Gated or ForceField.
    atoms : (model.n_atoms,) or None
        Atoms of the molecule that it is for; None for all of them.
    """

    model: EnergyModel
    atoms: NDArray[np.int64] | None = None

    def on(self, molecule: ArrayLike) -> NDArray[np.int64]:
        """The particles to give to `attach` as ``atoms``.

        Parameters
        ----------
        molecule : (n_atoms,) or (n_copies, n_atoms)
            Particles of the whole molecule, in the atom order of the data that the correction was made from.

        Raises
        ------
        MismatchError
            The molecule has too few or too many atoms.
        """
        particles = np.asarray(molecule)
        n_atoms = particles.shape[-1] if particles.ndim else 0
        if self.atoms is None and n_atoms != self.model.n_atoms:
            raise MismatchError(
                f"{n_atoms} atoms were given", expected=f"{self.model.n_atoms}, the correction's number"
            )
        if self.atoms is None:
            return particles
        if n_atoms <= self.atoms.max():
            raise MismatchError(
                f"{n_atoms} atoms were given",
                expected=f"the whole molecule: the correction is for atom {self.atoms.max()}",
            )
        return particles[..., self.atoms]


def save(model: SGDMLModel | Gated, path: str | Path, *, atoms: ArrayLike | None = None) -> Path:
    """Write a correction; the file appears complete or not at all.

    Parameters
    ----------
    model : SGDMLModel or Gated
        The gate of an sGDML model. A distilled correction is a ForceField and has a `save` of its own.
    path : path
        Must end in .npz.
    atoms : (model.n_atoms,), optional
        Atoms of the molecule that it is for, in the model's order.

    Raises
    ------
    InputError
        Another ending or kind of model.
    MismatchError
        The number of atoms is not the model's.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise InputError(f"a correction cannot be written to {path}", expected="a name that ends in .npz")
    inner = model.model if isinstance(model, Gated) else model
    if not isinstance(inner, SGDMLModel):
        raise InputError(f"a {type(inner).__name__} has no place in a correction's file", expected="an sGDML model")
    chosen = None if atoms is None else np.asarray(atoms)
    if chosen is not None and (chosen.shape != (model.n_atoms,) or chosen.dtype.kind not in "iu" or chosen.min() < 0):
        raise MismatchError(
            f"atoms are {chosen.dtype} of shape {chosen.shape}", expected=f"{model.n_atoms} indices, 0 or above"
        )
    description: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "written_by": f"openmm-hybrid {__version__}",
        "units": {"length": "Å", "energy": "kcal/mol"},
        "gate": None,
    }
    arrays: dict[str, NDArray[Any]] = {"model": _packed(inner)}
    if chosen is not None:
        arrays["atoms"] = chosen.astype(np.int64)
    if isinstance(model, Gated):
        description["gate"] = {"lower": model.lower, "upper": model.upper, "offset": model.offset}
        for name in ("descriptors", "perms", "landmarks"):
            arrays[name] = getattr(model.distance, name)
    arrays["description"] = np.array(json.dumps(description, ensure_ascii=False))
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
    return path


def load(path: str | Path) -> Stored:
    """Read a correction of any recipe: a file of `save`, an sGDML model, a force field, or a ready set by its name.

    Raises
    ------
    InputError
        The file is missing, damaged, of another kind or of a newer version, or no set has this name.
    """
    if Path(path).suffix != ".npz":
        return Stored(ForceField.load(path))
    with reading_npz(path, "a correction") as archive:
        kind = _kind(archive)
        if kind.get("format") == FORMAT:
            return _stored(archive, kind)
    return Stored(ForceField.load(path) if kind else load_sgdml(path))


def _kind(archive: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The description in a file; empty where it has none, as sGDML's files."""
    if "description" not in archive or archive["description"].dtype.kind != "U":
        return {}
    known = json.loads(archive["description"].item())
    return known if isinstance(known, dict) else {}


def _stored(archive: Mapping[str, NDArray[Any]], description: Mapping[str, Any]) -> Stored:
    if description["version"] != VERSION:
        raise InputError(
            f"version {description['version']} of the format", expected=f"{VERSION}", hint="update openmm-hybrid"
        )
    inner = _unpacked(archive["model"])
    atoms = archive["atoms"].astype(np.int64) if "atoms" in archive else None
    if atoms is not None and atoms.shape != (inner.n_atoms,):
        raise InputError(f"{len(atoms)} atoms for a model of {inner.n_atoms}", hint="copy it again")
    limits = description["gate"]
    if limits is None:
        return Stored(inner, atoms)
    parts = [archive[name] for name in ("descriptors", "perms", "landmarks")]
    distance = TrainingDistance(inner.atomic_numbers, *parts)
    return Stored(Gated(inner, distance, *(float(limits[name]) for name in ("lower", "upper", "offset"))), atoms)


def _packed(model: SGDMLModel) -> NDArray[np.uint8]:
    """The bytes of the model's own file, backwards: a zip file inside this one would be found in the place of a damaged
    outer one, and the model read without its gate."""
    with tempfile.TemporaryDirectory() as folder:
        return np.frombuffer(model.save(Path(folder) / "model.npz").read_bytes()[::-1], dtype=np.uint8)


def _unpacked(content: NDArray[Any]) -> SGDMLModel:
    if content.dtype != np.uint8 or content.ndim != 1:
        raise InputError("it holds no model", expected="the bytes of an sGDML file")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        path.write_bytes(content.tobytes()[::-1])
        return load_sgdml(path)
