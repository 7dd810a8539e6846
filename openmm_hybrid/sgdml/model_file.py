"""Model files: sGDML's npz. We read its current layout and the one of 2018, and write the current one (sgdml 1.0.3).

We read plain arrays only. The entries that sgdml pickles (its error tables) are never opened, and a pickled entry that
is needed is refused, so that no file can run code here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded, reading_npz, replacing
from openmm_hybrid.core.units import energy_factor, length_factor
from openmm_hybrid.sgdml.descriptor import pair_permutations
from openmm_hybrid.sgdml.model import SGDMLModel

#: Current name of an entry → its name in files of 2018, where the two differ.
_OLD_NAMES = {"R_desc": "Rt_desc", "R_d_desc_alpha": "Rt_d_desc_alpha", "dataset_name": "dataset"}
_KINDS = {"d": "a data set (Frames.load reads it)", "t": "a training task"}
_CODE_VERSION = "1.0.3"  # version of sgdml whose layout we write
_LARGEST = 1e100  # no coefficient of a model comes near it
_NO_ERRORS = {"mae": np.nan, "rmse": np.nan}


def load(path: str | Path) -> SGDMLModel:
    """Read an sGDML model file in the current layout or the one of 2018.

    Raises
    ------
    InputError
        The file is missing or damaged, is not a model, needs pickle, or its entries contradict each other; or the
        model is periodic, which this package does not evaluate.
    """
    with reading_npz(path, "an sGDML model") as archive:
        return from_arrays(archive, path)


def save(model: SGDMLModel, path: str | Path) -> Path:
    """Write the current layout, whole or not at all. The path must end in .npz."""
    path = expanded(path)
    if path.suffix != ".npz":
        raise InputError(f"a model cannot be written to {path}", expected="a name that ends in .npz")
    # sgdml's commands read the error tables as pickled dictionaries. Nothing else in the file is pickled.
    tables = {"f_err": _NO_ERRORS} | ({"e_err": _NO_ERRORS} if model.use_E else {})
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **to_arrays(model), **tables)  # type: ignore[arg-type]
    return path


def to_arrays(model: SGDMLModel) -> dict[str, NDArray[Any]]:
    """The plain arrays that sgdml 1.0.3 writes after training, without its pickled error tables.

    `from_arrays` reads them; a file of another format can hold them under a prefix.
    """
    n_pairs = model.descriptors.shape[1]
    moves = pair_permutations(model.perms)
    unknown = np.zeros(0, dtype=np.int64)
    md5 = np.bytes_(model.md5_train.encode("ascii", "replace"))
    # sgdml's torch predictor truncates sigma to an integer, so we write an integral sigma as an integer.
    sigma = int(model.sigma) if float(model.sigma).is_integer() else model.sigma
    entries: dict[str, Any] = {
        "type": "m",
        "code_version": _CODE_VERSION,
        "dataset_name": model.name,
        "dataset_theory": model.theory,
        "solver_name": "analytic",
        "z": model.atomic_numbers.astype(np.uint8),
        "idxs_train": model.idxs_train,
        "md5_train": md5,
        "idxs_valid": unknown,
        "md5_valid": md5,
        "n_test": 0,
        "md5_test": np.bytes_(b""),
        "R_desc": model.descriptors.T,
        "R_d_desc_alpha": model.descriptor_alphas,
        "c": model.c,
        "std": model.std,
        "sig": sigma,
        "lam": model.lam,
        "perms": model.perms,
        "tril_perms_lin": (moves + n_pairs * np.arange(len(moves))[:, None]).ravel(order="F"),
        "use_E": model.use_E,
        "r_unit": "Ang",
        "e_unit": "kcal/mol",
    }
    if model.alphas is not None:
        entries["alphas_F"] = model.alphas.ravel()
    if model.alphas_E is not None:
        entries["alphas_E"] = model.alphas_E
    return {name: np.asarray(value) for name, value in entries.items()}


def from_arrays(arrays: Mapping[str, NDArray[Any]], source: str | Path) -> SGDMLModel:
    """The model of the arrays that `to_arrays` made, or of a file in sGDML's layout.

    Parameters
    ----------
    arrays : mapping of str to array
    source : path
        File that holds them, for messages.

    Raises
    ------
    InputError
        An entry is missing, pickled or of another type, or the entries contradict each other.
    """
    return _model(_Entries(Path(source), arrays))


@final
class _Entries:
    """The arrays of an open file, by their current names."""

    def __init__(self, path: Path, archive: Mapping[str, NDArray[Any]]) -> None:
        self.path = path
        self._archive = archive
        self.is_old = "Rt_desc" in archive

    def __contains__(self, name: str) -> bool:
        return self._stored(name) in self._archive

    def _stored(self, name: str) -> str:
        return _OLD_NAMES.get(name, name) if self.is_old else name

    def array(self, name: str) -> NDArray[np.generic]:
        """A required entry."""
        stored = self._stored(name)
        if stored not in self._archive:
            raise InputError(f"{self.path} lacks {stored!r}", expected="an sGDML model file", hint="train it again")
        try:
            return self._archive[stored]
        except ValueError as error:
            raise InputError(
                f"{self.path}: the entry {stored!r} cannot be read safely ({error})",
                expected="a plain array",
                hint="do not trust this file; get the model from its source again",
            ) from error

    def number(self, name: str, default: float | None = None) -> float:
        """An entry of one number, or the default if the entry is missing."""
        if name not in self and default is not None:
            return default
        value = self.array(name)
        if value.size != 1 or value.dtype.kind not in "iuf":
            raise InputError(f"{self.path}: {name!r} is not a number")
        number = float(value.item())
        if not abs(number) < _LARGEST and name != "lam":
            raise InputError(f"{self.path}: {name!r} is {number}, not finite or far too large")
        return number

    def text(self, name: str, default: str) -> str:
        """An entry of one string (characters or bytes), or the default if the entry is missing."""
        if name not in self:
            return default
        value = self.array(name)
        if value.size != 1 or value.dtype.kind not in "US":
            raise InputError(f"{self.path}: {name!r} is not a string")
        item = value.item()
        return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)


def _model(entries: _Entries) -> SGDMLModel:
    kind = entries.text("type", "m" if entries.is_old else "")
    if kind != "m":
        what = _KINDS.get(kind, "no sGDML model")
        raise InputError(f"{entries.path} is {what}", expected="an sGDML model file", hint="give a trained model")
    if "lattice" in entries:
        raise InputError(f"{entries.path} is periodic", expected="a model of one molecule")
    length = length_factor(entries.text("r_unit", "Ang"))
    energy = energy_factor(entries.text("e_unit", "kcal/mol"))
    perms = _integers(entries, "perms")
    descriptors = _floats(entries, "R_desc").T / length
    alphas = _floats(entries, "R_d_desc_alpha")
    n_atoms = len(entries.array("z"))
    try:
        return SGDMLModel(
            atomic_numbers=_integers(entries, "z"),
            descriptors=descriptors,
            descriptor_alphas=alphas.reshape(alphas.shape[:2]) / length,
            perms=perms - 1 if entries.is_old else perms,
            sigma=entries.number("sig") / length,
            c=entries.number("c") * energy,
            std=entries.number("std", 1.0) * energy,
            lam=entries.number("lam", float("nan")),
            name=entries.text("dataset_name", "molecule"),
            theory=entries.text("dataset_theory", "unknown"),
            alphas=_floats(entries, "alphas_F").reshape(-1, n_atoms, 3) * length if "alphas_F" in entries else None,
            alphas_E=_floats(entries, "alphas_E").ravel() if "alphas_E" in entries else None,
            idxs_train=_integers(entries, "idxs_train") if "idxs_train" in entries else np.zeros(0, dtype=np.int64),
            md5_train=entries.text("md5_train", ""),
            use_E=bool(entries.array("use_E").item()) if "use_E" in entries else True,
        )
    except ValueError as error:
        if isinstance(error, InputError) and str(entries.path) in error.problem:
            raise
        raise InputError(f"{entries.path}: {error}", hint="get the model from its source again") from error


def _floats(entries: _Entries, name: str) -> NDArray[np.float64]:
    array = entries.array(name)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{entries.path}: {name!r} is not an array of numbers")
    if not (np.abs(array) < _LARGEST).all():
        raise InputError(f"{entries.path}: {name!r} holds a number that is not finite, or far too large")
    return array.astype(np.float64)


def _integers(entries: _Entries, name: str) -> NDArray[np.int64]:
    array = entries.array(name)
    if array.dtype.kind not in "iu":
        raise InputError(f"{entries.path}: {name!r} is not an array of integers")
    return array.astype(np.int64)
