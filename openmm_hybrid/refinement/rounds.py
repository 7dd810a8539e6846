"""Refinement of a base force field for one molecule, or for several together: `refine` and `refine_series`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

from openmm_hybrid import reference
from openmm_hybrid.analysis.error_table import error_table
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import as_file_name, expanded, fingerprint, read_json
from openmm_hybrid.core.result_document import write_json
from openmm_hybrid.core.same_job import ignored, lock_folder, note_job
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.fitting.fit import fit
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.reference import ReferenceEngine
from openmm_hybrid.reference.engine_files import engine_files
from openmm_hybrid.refinement.course import Course
from openmm_hybrid.refinement.member import Member
from openmm_hybrid.refinement.refined import FORCEFIELD, Refined
from openmm_hybrid.refinement.settings import RefineSettings
from openmm_hybrid.refinement.source import Source, read_source

_LEFT_OUT = 8  # one of this many labelled frames tests the fit
FREE = ("rounds", "factor", "target", "max_minutes", "max_labels", "hot_ps", "frequencies", "solvate", "correct")
"""Settings that change no round: when the rounds end, and what follows."""


def refine(
    molecule: Any,
    output: str | Path,
    settings: RefineSettings | None = None,
    *,
    template: str = "",
    engine: ReferenceEngine | None = None,
    progress: bool = True,
) -> Refined:
    """Make a force field for a molecule: GAFF's or OpenFF's terms with cross terms, fitted to reference labels.

    The base force field runs dynamics from several conformers and turns each rotor. Frames far from each other are
    labelled and a force field is fitted. Each round then runs dynamics of the fitted force field, labels random frames
    of these and compares the error there with that on unseen training frames. The rounds end when the error on the own
    dynamics is within `factor` of the other and below `target`, and all checks pass: torsion profiles, minima, and a
    run at 1.5 times the temperature. Otherwise these frames, those farthest from all others, and those of the checks
    are added, and the next round fits again. The force field of the result is one whose dynamics were checked.

    Every label, run and fit is stored as soon as it is finished; the same call resumes after a stop. A call with
    another factor, target, budget, box of water or `correct` continues from there.

    Parameters
    ----------
    molecule : Molecule, openff.toolkit.Molecule, or str or Path
        A SMILES, an SDF, MOL, MOL2 or PDB file, or a folder of `openmm-hybrid build`. Base force field and charges of
        such a folder, and partial charges of an OpenFF molecule, are used; the settings may not name others.
    output : path
        Folder for the result (see `Refined`).
    settings : RefineSettings, optional
    template : str
        SMILES whose bond orders and charges the molecule of a file gets, for PDB files, which have none.
    engine : ReferenceEngine, optional
        Engine of the labels, in place of the name in the settings.
    progress : bool

    Raises
    ------
    InputError
        The molecule cannot be read or built, or the engine refuses it.
    MismatchError
        The folder belongs to another molecule or other settings, the template is another molecule, or the settings
        name another base force field or other charges than those that come with the molecule.
    NumericalError
        No frame could be labelled, or the dynamics lost all bonds.
    HybridError
        A program failed, or a file cannot be written.

    Warns
    -----
    UserWarning
        The base force field has notes on the molecule, or frames could not be labelled.
    """
    (result,) = _refined([read_source(molecule, template)], expanded(output), settings, engine, progress)
    return result


def refine_series(
    molecules: Sequence[Any],
    output: str | Path,
    settings: RefineSettings | None = None,
    *,
    engine: ReferenceEngine | None = None,
    progress: bool = True,
) -> tuple[Refined, ...]:
    """`refine` for several molecules at once: terms of equal GAFF types have the same parameters in all of them.

    Each round fits all molecules together. The rounds end when every molecule meets the conditions of `refine`.

    Parameters
    ----------
    molecules : sequence of Molecule, openff.toolkit.Molecule, or str or Path
        Two or more different molecules.
    output : path
        Folder for the results. Each molecule gets a folder of its own there, such as ``1-aspirin``.
    settings : RefineSettings, optional
        For all of them. The base force field must be one of GAFF, since OpenFF's types are not shared.
    engine : ReferenceEngine, optional
    progress : bool

    Returns
    -------
    tuple of Refined
        In the order of the molecules.

    Raises
    ------
    InputError
        There are fewer than two molecules, one is there twice, or the base force field is not one of GAFF; and as in
        `refine`.
    MismatchError
        The molecules come with different base force fields; and as in `refine`.
    NumericalError, HybridError
        As in `refine`.

    Warns
    -----
    UserWarning
        As in `refine`.
    """
    if isinstance(molecules, str | Path) or len(molecules) < 2:
        raise InputError(f"refine_series got {molecules!r}", expected="a sequence of two or more molecules")
    sources = [read_source(molecule) for molecule in molecules]
    names = [source.molecule.smiles for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name} is given {names.count(name)} times", expected="different molecules")
    return _refined(sources, expanded(output), settings, engine, progress)


def _refined(
    sources: Sequence[Source],
    output: Path,
    settings: RefineSettings | None,
    engine: ReferenceEngine | None,
    progress: bool,
) -> tuple[Refined, ...]:
    """The results of all molecules; one alone has the whole folder."""
    members = []
    for number, source in enumerate(sources, 1):
        folder = output if len(sources) == 1 else output / f"{number}-{as_file_name(source.molecule.name)}"
        members.append(settled_member(source, folder, settings or RefineSettings(), engine, progress=progress))
    return refine_members(members)


def settled_member(
    source: Source, folder: Path, settings: RefineSettings, engine: ReferenceEngine | None = None, *, progress: bool
) -> Member:
    """A molecule in its folder, with the base force field, the charges and the engine filled in.

    Raises
    ------
    MismatchError
        The settings name another base force field or other charges than those of the source.
    InputError
        There is no such engine, or it takes no charge.
    """
    settled, charge = source.settled(settings), source.molecule.charge
    options: dict[str, Any] = {"charge": charge} if charge else {}
    return Member(source, folder, settled, engine or reference.engine(settled.engine, **options), progress)


def refine_members(members: Sequence[Member]) -> tuple[Refined, ...]:
    """Refine a molecule, or several together, each in its folder.

    Raises
    ------
    InputError
        Several molecules do not have a GAFF base, or another process is at one of the folders; and as in `refine`.
    MismatchError, NumericalError, HybridError
        As in `refine_series`.
    """
    check_common_base([member.settings.base for member in members])
    together = " ".join(member.molecule.smiles for member in members) if len(members) > 1 else ""
    with ExitStack() as locks:
        for member in members:
            locks.enter_context(lock_folder(member.folder))
            job = asdict(member.settings) | {"engine": f"{member.engine.theory} ({member.engine.program})"}
            job |= {"max_minutes": str(member.settings.max_minutes), "charges_given": member.source.charges_key}
            job |= {"smiles": member.molecule.smiles, "together": together} | files_of(member.settings)
            # Files of one molecule may have its atoms in different orders.
            job |= {"atoms": fingerprint(member.molecule.atomic_numbers, member.molecule.bonds)}
            note_job(
                member.folder / "job.json", job, what="refinement", hint="choose another folder",
                rules=dict.fromkeys(FREE, ignored) | {"atoms": _same_atoms},
            )  # fmt: skip
        return _Refinement(tuple(members)).run()


def files_of(settings: RefineSettings) -> dict[str, str]:
    """The hash of the files that the engine of the settings names, under the name "engine_files", if it names some."""
    files = engine_files(settings.engine)
    return {"engine_files": files} if files else {}


def _same_atoms(found: Any, wanted: Any) -> str:
    """The rule for the order of the atoms, which earlier versions did not note."""
    return "" if found in (None, wanted) else "the order of its atoms differs"


def check_common_base(bases: Sequence[str]) -> None:
    """Refuse base force fields of molecules that cannot share parameters.

    Raises
    ------
    MismatchError
        They differ.
    InputError
        They are the same, but not one of GAFF.
    """
    if len(set(bases)) > 1:
        raise MismatchError(
            f"the molecules come with {' and '.join(sorted(set(bases)))}", expected="one base force field",
            hint="give all of them as SMILES or SDF, and name the base",
        )  # fmt: skip
    if len(bases) > 1 and not bases[0].startswith("gaff"):
        raise InputError(
            f"molecules with {bases[0]} share no parameters", expected="a GAFF base for several molecules",
            hint="refine each of them alone",
        )  # fmt: skip


@final
@dataclass(frozen=True, eq=False)
class _Refinement:
    """Rounds of fits to the labels of one molecule, or of several together."""

    members: tuple[Member, ...]
    started: float = field(default_factory=time.monotonic)

    @property
    def settings(self) -> RefineSettings:
        return self.members[0].settings

    def run(self) -> tuple[Refined, ...]:
        """All rounds, and the files of the results."""
        courses = [Course.begun(member) for member in self.members]
        for number in range(1, self.settings.rounds + 1):
            for course, (model, fitted) in zip(courses, self._fits(number, courses), strict=True):
                course.assess(model, fitted)
            if all(course.good for course in courses) or self._budget(courses):
                break
            for course in courses:
                course.extend()
        return tuple(course.finish(self._budget(courses)) for course in courses)

    def _fits(self, number: int, courses: Sequence[Course]) -> list[tuple[ForceField, dict[str, Any]]]:
        """The force fields of a round and the errors of their fit, from files if they are there."""
        folders = [member.folder / f"round-{number}" for member in self.members]
        if not all((folder / "fit.json").is_file() for folder in folders):
            self._fit(folders, [Frames.concatenate(course.labels) for course in courses])
        return [
            (
                ForceField.load(folder / FORCEFIELD),
                read_json(folder / "fit.json", expected="the errors of a fit", hint="remove it: it is made again"),
            )
            for folder in folders
        ]

    def _fit(self, folders: Sequence[Path], labels: Sequence[Frames]) -> None:
        settings, first = self.settings, self.members[0]
        distinct = [len(frames) - sum(len(group) - 1 for group in frames.duplicates()) for frames in labels]
        n_test = max(1, min(distinct) // _LEFT_OUT)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = fit(
                [member.base.edit(propers="fourier4", cross=True) for member in self.members], labels,
                n_train=[number - n_test for number in distinct], n_test=n_test, seed=settings.seed,
                progress=first.progress, md_steps=0,  # the round runs dynamics
            )  # fmt: skip
        notes = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
        for folder, frames, member, found in zip(folders, labels, self.members, result.molecules, strict=True):
            test = frames[found.split.test]
            found.forcefield.save(folder / FORCEFIELD)
            fitted = {
                "n_labels": len(frames),
                "n_train": len(found.split.train),
                "left_out": found.split.test.tolist(),
                "unseen": (found.test or found.train).as_dict(),
                "base": error_table(test, member.base.predict(test.positions)).as_dict(),
                "notes": notes,
                "seconds": result.seconds,
            }
            write_json(folder / "fit.json", fitted)

    def _budget(self, courses: Sequence[Course]) -> str:
        """The budget that leaves no further round, or an empty text."""
        settings, rounds = self.settings, len(courses[0].rounds)
        if rounds >= settings.rounds:
            return f"{settings.rounds} round{'s' * (settings.rounds > 1)}"
        next_labels = max(course.rounds[-1].n_labels for course in courses) + settings.n_more + settings.n_fresh
        if settings.max_labels is not None and next_labels > settings.max_labels:
            return f"{settings.max_labels} labels"
        if time.monotonic() - self.started > 60.0 * settings.max_minutes:
            return f"{settings.max_minutes:g} minutes"
        return ""
