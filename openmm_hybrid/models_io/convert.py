"""Convert files: data sets between formats, and sGDML models to the current layout."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.formats import check_ending
from openmm_hybrid.data.frames import Frames

_MODEL_ENTRIES = {"R_desc.npy", "Rt_desc.npy"}  # entries of model files in the current layout and the one of 2018


def convert(source: Path, target: Path, *, r_unit: str = "", e_unit: str = "") -> str:
    """Write a data set in the format of the target's ending, or an sGDML model in the current layout.

    Parameters
    ----------
    source : Path
        npz, extended XYZ or HDF5 file of frames, or npz file of an sGDML model in any layout.
    target : Path
        File to write, whole or not at all; an existing one is replaced.
    r_unit, e_unit : str
        Units of frames whose file does not name them.

    Returns
    -------
    str
        Description of the content for a reader.

    Raises
    ------
    InputError
        The source cannot be read, the target has another ending than the content needs, or both are the same file.
    """
    if source.exists() and target.exists() and source.samefile(target):
        raise InputError(f"{target} is the file to convert itself", hint="give another name for the result")
    if _holds(source, _MODEL_ENTRIES):
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
    if _holds(source, {"description.npy"}):
        raise InputError(f"{source} is a model in its only layout", expected="frames, or an sGDML model")
    check_ending(target)
    frames = Frames.load(source, r_unit=r_unit, e_unit=e_unit)
    frames.save(target)
    return f"{frames.n_frames} frames of {frames.name}"


def _holds(path: Path, entries: set[str]) -> bool:
    """Whether an npz file has one of these entries. An unreadable file has none; the reader of frames refuses it."""
    if path.suffix.lower() != ".npz" or not is_zipfile(path):
        return False
    try:
        with ZipFile(path) as archive:
            return bool(entries & set(archive.namelist()))
    except BadZipFile:
        return False
