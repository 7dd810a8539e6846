"""Converting files: data sets between formats, sGDML models to the current layout."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.formats import check_ending
from openmm_hybrid.data.frames import Frames

_MODEL_ENTRIES = {"R_desc.npy", "Rt_desc.npy"}  # of today and of 2018


def run(source: Path, target: Path, *, r_unit: str = "", e_unit: str = "") -> str:
    """Write a data set in the format of the target's ending, or a model in the current layout; says what it was.

    Parameters
    ----------
    source : Path
        npz, extended XYZ or HDF5 of frames, or npz of an sGDML model of any layout.
    target : Path
        Takes the place of a file of this name, whole or not at all.
    r_unit, e_unit : str
        Units of frames that do not name them.

    Raises
    ------
    InputError
        The source cannot be read, the target's ending does not suit it, or the two are one file.
    """
    if source.exists() and target.exists() and source.samefile(target):
        raise InputError(f"{target} is the file to convert itself", hint="give another name for the result")
    if _is_model(source):
        from openmm_hybrid import sgdml

        if target.suffix != ".npz":
            raise InputError(
                f"{source} is a model, which cannot be written to {target}",
                expected="a name that ends in .npz",
                hint="for TorchScript use export",
            )
        model = sgdml.load(source)
        model.save(target)
        return f"sGDML model of {model.name}, {model.n_train} points"
    check_ending(target)
    frames = Frames.load(source, r_unit=r_unit, e_unit=e_unit)
    frames.save(target)
    return f"{frames.n_frames} frames of {frames.name}"


def _is_model(path: Path) -> bool:
    """Whether a file holds what only models hold; what cannot be read is left to the reader of frames to refuse."""
    if path.suffix.lower() != ".npz" or not is_zipfile(path):
        return False
    try:
        with ZipFile(path) as archive:
            return bool(_MODEL_ENTRIES & set(archive.namelist()))
    except BadZipFile:
        return False
