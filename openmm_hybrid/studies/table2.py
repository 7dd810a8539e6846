"""Table II of the paper: GAFF and extended forms, fitted to ab initio frames, compared with sGDML.

Sauceda, Gastegger, Chmiela, Müller, Tkatchenko, J. Chem. Phys. 153, 124109 (2020), section III B.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast, final

import numpy as np

from openmm_hybrid import gaff
from openmm_hybrid.analysis.error_table import ErrorTable, error_table
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.result_document import write_json
from openmm_hybrid.core.same_job import finished, lock_folder
from openmm_hybrid.data.formats.npz import dataset_md5
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.data.selection import split
from openmm_hybrid.fitting import fit
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.sgdml.train import train
from openmm_hybrid.studies.kept_charges import kept_charges
from openmm_hybrid.studies.study import Study, option
from openmm_hybrid.studies.table2_result import Cell, Table, cell_from_json, cell_key

FORMS: dict[str, dict[str, Any]] = {
    "gaff": {},
    "morse": {"bonds": "morse", "propers": "fourier8", "impropers": "fourier4"},
    "nn": {"bonds": "neural", "angles": "neural", "propers": "neural"},
    "spline": {"bonds": "spline", "angles": "spline", "propers": "spline"},
    "cross": {"propers": "fourier4", "cross": True},
    "sgdml": {},
}
"""Row of the table → keyword arguments of `ForceField.edit`. The paper has no rows "spline" and "cross". One linear
solve gives the best splines, which are a lower bound for the error of "nn"."""

SIGMA = 20.0
"""Length of the sGDML row's kernel, 1/Å."""

RESTRAINT = 0.01
"""Restraint of the fits to their initial parameters, (kcal/mol/Å)²."""

FormName = Literal["gaff", "morse", "nn", "spline", "cross", "sgdml"]


@final
@dataclass(frozen=True)
class Table2Settings:
    """Settings of the table II study; see the help of each field.

    Raises
    ------
    InputError
        A form is unknown, or a number is too small.
    """

    frames: tuple[Path, ...] = option(help="Labelled frames, one file per molecule (npz, xyz, h5).")
    n_train: tuple[int, ...] = option((110, 1100, 7000), help="Number of training frames.")
    forms: tuple[FormName, ...] = option(
        ("gaff", "morse", "nn", "spline", "cross", "sgdml"),
        help="Row of the table: a form of the force field, or sGDML.",
    )
    seeds: int = option(3, help="Random splits of the frames per cell, each with its own initial networks.")
    n_test: int = option(1000, help="Unseen frames to test each fit on.")
    sgdml_limit: int = option(1100, help="Largest number of training frames for sGDML, whose cost grows quadratically.")

    def __post_init__(self) -> None:
        for form in self.forms:
            if form not in FORMS:
                raise InputError(f"unknown row {form!r} of the table", expected=f"one of {', '.join(FORMS)}")
        if not self.n_train or min(self.n_train) < 10 or self.seeds < 1 or self.n_test < 1:
            raise InputError(
                f"n_train {self.n_train}, seeds {self.seeds}, n_test {self.n_test}",
                expected="10 training frames or more, one seed and one test frame at least",
            )


@final
class Table2Study(Study):
    """Fits GAFF in several forms, and sGDML, to growing numbers of frames."""

    name = "table2"
    summary = "Fit GAFF in several forms, and sGDML, to growing numbers of frames, as table II of the paper does."
    Settings = Table2Settings

    def run(self, settings: Table2Settings, output: Path, *, progress: bool = True) -> Table:
        """See `Study.run`.

        The folder gets ``table2.json``, rewritten after each cell, the models (``models/``) and the charges. A later
        run may ask for more sizes, forms or seeds.
        """
        data = [Frames.load(path) for path in settings.frames]
        _check_names(settings.frames, data)
        job = _job(data, settings)
        journal = output / "table2.json"
        for frames in data:
            for n in settings.n_train:
                split(frames, n, 0, settings.n_test, 0)  # refuses too few frames before anything is fitted
        read = partial(finished, journal, job, key="cells", make=cell_from_json, what="table")
        read()  # refuses the journal of another job before anything is written
        with lock_folder(output):
            done = {one.key: one for one in read()}
            for frames in data:
                built = _built(frames, output, progress)
                for form, n, seed in _wanted(settings):
                    key = cell_key(_name(frames), form, n, seed)
                    if key in done:
                        continue
                    done[key] = _cell(frames, built, form, n, seed, settings, output, progress)
                    write_json(journal, Table(job, tuple(done.values())).as_dict())
                    if progress:
                        print(done[key], file=sys.stderr)
        return Table(job, tuple(done.values()))


def _wanted(settings: Table2Settings) -> list[tuple[str, int, int]]:
    """Form, number of training frames and seed of every cell of a molecule."""
    return [
        (form, n, seed)
        for n in settings.n_train
        for form in settings.forms
        for seed in range(settings.seeds)
        if form != "sgdml" or n <= settings.sgdml_limit
    ]


def _cell(
    frames: Frames,
    built: gaff.BuiltSystem,
    form: str,
    n: int,
    seed: int,
    settings: Table2Settings,
    folder: Path,
    progress: bool,
) -> Cell:
    path = folder / "models" / f"{cell_key(_name(frames), form, n, seed)}.npz"
    clock = time.monotonic()
    if form == "sgdml":
        parts = split(frames, n, 0, settings.n_test, seed)  # the split of the fits
        model = train(frames[parts.train], sigma=SIGMA, seed=seed, progress=progress)
        model.save(path)
        test = frames[parts.test]
        errors = error_table(test, model.predict(test.positions))
    else:
        # Cross terms of equal GAFF types share parameters; the paper's forms have parameters for each class of atoms.
        types = built.atom_types if form == "cross" else None
        start = ForceField.from_system(built.system, built.topology, types=types, name=_name(frames))
        edited = start.edit(**FORMS[form], seed=seed)
        result = fit(
            edited, frames, n_train=n, n_test=settings.n_test, seed=seed, restraint=RESTRAINT, progress=progress
        )
        result.model.save(path)
        errors = cast(ErrorTable, result.test)  # not None: there is at least one test frame
    seconds = time.monotonic() - clock
    return Cell(_name(frames), form, n, seed, seconds, errors)


def _built(frames: Frames, folder: Path, progress: bool) -> gaff.BuiltSystem:
    """GAFF 1.81 with RESP charges of the frames' molecule. The charges are computed once."""
    energies, _ = frames.labels()
    lowest = int(np.argmin(energies))
    molecule = Molecule.from_geometry(frames.atomic_numbers, frames.positions[lowest], name=_name(frames))
    path = folder / f"{_name(frames)}-resp.npy"
    charges = kept_charges(path, molecule, lambda: gaff.assign_charges(molecule, "resp", progress=progress))
    return gaff.build(molecule, version="1.81", charges=charges)


def _name(frames: Frames) -> str:
    """The molecule's name: the frames' name without the data set's ("md17_ethanol" is ethanol)."""
    return frames.name.lower().rsplit("_", 1)[-1]


def _check_names(files: Sequence[Path], data: Sequence[Frames]) -> None:
    """Refuse two files whose molecules have one name, which would share charges, cells and models."""
    first: dict[str, Path] = {}
    for path, frames in zip(files, data, strict=True):
        name = _name(frames)
        if name in first:
            raise InputError(
                f"the molecules of {first[name]} and {path} both have the name {name!r}",
                expected="frames whose names end differently after the last underscore",
                hint="save one of them with another name (Frames.name)",
            )
        first[name] = path


def _job(data: Sequence[Frames], settings: Table2Settings) -> dict[str, Any]:
    """Settings and data that decide the cells, as JSON holds them."""
    return {
        "n_test": settings.n_test,
        "sigma": SIGMA,
        "restraint": RESTRAINT,
        "data": {
            _name(frames): {
                "theory": frames.theory,
                "frames": frames.n_frames,
                "md5": dataset_md5(frames),
            }
            for frames in data
        },
    }
