"""All studies of one molecule, and one report of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

from openmm_hybrid import bases
from openmm_hybrid.charges import METHODS
from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.sgdml.train import check_sigma
from openmm_hybrid.studies import STUDIES
from openmm_hybrid.studies.energy_models import is_engine
from openmm_hybrid.studies.lineup import (
    Lineup,
    check_refinement,
    refined_lineup,
    refined_names,
    subject,
    trained_lineup,
    trained_names,
)
from openmm_hybrid.studies.options_file import read_toml, settings_of
from openmm_hybrid.studies.overview_result import Overview
from openmm_hybrid.studies.study import (
    Study,
    StudyResult,
    claim,
    frames_as_dict,
    option,
    read_sigma,
    settings_as_dict,
)
from openmm_hybrid.studies.study_tasks import run_as_tasks
from openmm_hybrid.studies.subject import model_key, model_labels
from openmm_hybrid.tasks import DaskRunner

Part = Literal["minima", "surfaces", "ensembles", "spectra", "relabel"]
PARTS: tuple[Part, ...] = ("minima", "surfaces", "ensembles", "spectra", "relabel")
"""The studies in the order of the report, which is that of their cost."""

_FREE = ("molecule", "template", "name", "frames", "leave_out", "options", "workers", "scheduler")
"""Settings that may change between two calls: molecule and frames must have the same content."""

_BRIEF: dict[str, dict[str, Any]] = {
    "ensembles": {"starts": 8, "duration": 5.0, "equilibration": 1.0},
    "spectra": {"temperatures": [100.0, 400.0], "n_runs": 8, "picoseconds": 5.0},
    "relabel": {"n_train": [100, 200], "n_test": 100, "n_runs": 16, "picoseconds": 2.0},
}
"""Settings of studies with dynamics, if a reference engine is the reference: it is slow, and molecules are larger."""


@final
@dataclass(frozen=True)
class OverviewSettings:
    """Settings of all studies of a molecule; see the help of each field.

    Raises
    ------
    InputError
        A name is unknown, or a number is out of range.
    """

    molecule: str = option(help="SMILES, SDF, MOL2 or PDB file, folder of `build`, or folder of `refine`.")
    template: str = option("", help="SMILES that gives a PDB file its bond orders.")
    name: str = option("", help="Name for the report and the files; by default that of the file, or the SMILES.")
    frames: Path | None = option(
        None, help="Labelled frames of the molecule. An sGDML model of them is then the reference."
    )
    engine: str = option("gfn2", help="Reference engine for a molecule without frames; a force field is refined to it.")
    base: str = option("gaff-2.2.20", help="Base force field.")
    charges: str = option("am1-bcc", help="Charges of the base force field.", metavar="<openmm_hybrid.charges:METHODS>")
    models: tuple[str, ...] = option((), help="Further model to compare.")
    n_train: int = option(800, help="Frames of the file for training; the others test the models.")
    sigma: float | str = option(
        20.0, help='Length of the sGDML kernel, or "search" to search for it.', parse=read_sigma, metavar="1/Å|search"
    )
    temperature: float = option(500.0, help="Temperature of the studies ensembles and relabel, K.")
    leave_out: tuple[Part, ...] = option((), help="Study to leave out.")
    options: Path | None = option(
        None,
        help="TOML file with a table for each study whose options differ from the defaults. Its name is the study's.",
    )
    workers: int = option(1, help="Studies at a time, once the models are made; more than one needs Dask.")
    scheduler: str = option(
        "", help="Use a running Dask cluster, whose workers run in this directory.", metavar="ADDRESS"
    )
    seed: int = option(0, help="Seed of everything that is random.")

    def __post_init__(self) -> None:
        if self.base not in bases.names():
            raise InputError(f"unknown base {self.base!r}", expected=f"one of {', '.join(bases.names())}")
        if self.frames is None and not is_engine(self.engine):
            raise InputError(f"unknown engine {self.engine!r}", expected="a reference engine", hint="see doctor")
        if self.n_train < 20 or not self.temperature > 0.0 or self.seed < 0:
            raise InputError(
                f"n_train = {self.n_train}, temperature = {self.temperature}, seed = {self.seed}",
                expected="n_train ≥ 20, temperature > 0 and seed ≥ 0",
            )
        METHODS.load(self.charges)
        check_sigma(self.sigma, 0.0)
        if self.runner is not None:
            self.runner.check()

    @property
    def runner(self) -> DaskRunner | None:
        """The cluster that runs the studies; None for one study after another in this process."""
        if self.workers == 1 and not self.scheduler:
            return None
        return DaskRunner(self.workers, scheduler=self.scheduler)


@final
class OverviewStudy(Study):
    """Runs all studies of a molecule, with models that it makes.

    With labelled frames, the models are the base force field, the same with cross terms fitted to the frames, and an
    sGDML model of the frames, the reference. Otherwise they are the base force field, what `refine` makes of it, and
    the engine of the labels, the reference.
    """

    name = "all"
    summary = "Make models of a molecule, run all studies of them, and write one report."
    Settings = OverviewSettings

    def run(self, settings: OverviewSettings, output: Path, *, progress: bool = True) -> Overview:
        """See `Study.run`. Each study has a folder of its own, and the report grows with each that is done.

        A study that the molecule or a model does not allow is left out, and the report says why.

        Raises
        ------
        MismatchError
            As in `Study.run`, or the molecule is the folder of a refinement with another engine, base force field or
            method of charges.
        """
        changes = _changes(settings)
        frames = None if settings.frames is None else Frames.load(settings.frames).unique()
        molecule = subject(settings.molecule, settings.template, frames)
        molecule = replace(molecule, name=settings.name or molecule.name)
        job = settings_as_dict(settings, without=_FREE)
        job |= {"smiles": molecule.smiles, "atoms": fingerprint(molecule.atomic_numbers, molecule.bonds)}
        job |= {"frames": None} if frames is None else frames_as_dict(frames)
        job |= {"name": settings.name} if settings.name else {}  # files have it
        if frames is None and model_key(settings.engine) != settings.engine:
            job |= {"engine": model_key(settings.engine)}
        _plans(
            settings, Lineup(molecule, Path("molecule.sdf"), (settings.base, "reference")), changes
        )  # before all else
        if frames is None:
            names = refined_names(settings.molecule, settings.engine, settings.base, settings.models, output)
        else:
            names = trained_names(settings.base, settings.models, output)
        model_labels(names)
        for name in settings.models:
            model_key(name)
        if frames is None:
            check_refinement(settings.molecule, molecule, settings.engine, settings.base, settings.charges)
        claim(output, job, "study of all")
        with lock_folder(output):
            if frames is None:
                lineup = refined_lineup(
                    settings.molecule, molecule, settings.engine, settings.base, settings.charges, settings.models,
                    output, seed=settings.seed, progress=progress,
                )  # fmt: skip
            else:
                lineup = trained_lineup(
                    frames, molecule, settings.base, settings.charges, settings.models, output,
                    n_train=settings.n_train, sigma=settings.sigma, seed=settings.seed, progress=progress,
                )  # fmt: skip
            plans = _plans(settings, lineup, changes)
            if settings.runner is None:
                order = _in_turn(plans, progress)
            else:
                order = run_as_tasks(plans, job, output, settings.runner, progress=progress)
            return _collected(lineup, plans, order, output, progress)


def _in_turn(plans: Mapping[str, Any], progress: bool) -> Iterator[str]:
    for name in plans:
        if progress:
            print(f"study {name}", file=sys.stderr, flush=True)
        yield name


def _collected(
    lineup: Lineup, plans: Mapping[str, Any], order: Iterable[str], output: Path, progress: bool
) -> Overview:
    """Run the studies in an order, or read those that tasks have run, and write the report after each."""
    results: dict[str, StudyResult] = {}
    left_out: dict[str, str] = {}
    for name in order:
        try:
            result = STUDIES.load(name)().run(plans[name], output / name, progress=progress)
        except MismatchError:  # the folder of a study belongs to other options
            raise
        except (InputError, NumericalError) as error:
            left_out[name] = str(error)
        else:
            result.save(output / name)
            found = results | {name: result}
            results = {each: found[each] for each in plans if each in found}
        Overview(lineup, results, left_out).write_report(output)
    return Overview(lineup, results, left_out)


def _changes(settings: OverviewSettings) -> dict[str, dict[str, Any]]:
    """Study → its options in the file."""
    if settings.options is None:
        return {}
    found = read_toml(settings.options)
    for name, table in found.items():
        if name not in PARTS or not isinstance(table, dict):
            raise InputError(f"{settings.options} has {name!r}", expected=f"tables named {', '.join(PARTS)}")
    return found


def _plans(settings: OverviewSettings, lineup: Lineup, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Study → its settings."""
    common: dict[str, Any] = {"molecule": str(lineup.file), "charges": settings.charges, "seed": settings.seed}
    compared = common | {"models": lineup.models, "reference": lineup.reference}
    pair = {"sampler": lineup.base, "teacher": lineup.reference, "temperature": settings.temperature}
    given: dict[Part, dict[str, Any]] = {
        "minima": compared,
        "surfaces": compared,
        "ensembles": compared | {"temperature": settings.temperature},
        "spectra": common | {"models": lineup.fast},
        "relabel": common | pair,
    }
    defaults = _BRIEF if is_engine(lineup.reference) else {}
    plans: dict[str, Any] = {}
    for name in PARTS:
        if name not in settings.leave_out:
            options = defaults.get(name, {}) | dict(changes.get(name, {}))
            where = f"the study {name}"
            plans[name] = settings_of(STUDIES.load(name).Settings, given[name], options, where)
    return plans
