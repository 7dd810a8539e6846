"""The tasks of a batch: one refinement for each molecule, or one for all of them together."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from openmm_hybrid.core.errors import HybridError, InputError, MissingDependencyError
from openmm_hybrid.data.library_files import LibraryEntry
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.refinement.member import Member
from openmm_hybrid.refinement.refined import Refined
from openmm_hybrid.refinement.rounds import files_of, refine, refine_members, settled_member
from openmm_hybrid.refinement.settings import RefineSettings
from openmm_hybrid.refinement.source import read_source
from openmm_hybrid.tasks import Task, TaskResult

_ONE, _ALL = f"{__name__}:refine_entry", f"{__name__}:refine_entries"
_PARTS = "molecules"  # name in the result of `refine_entries`


def entry_task(entry: LibraryEntry, settings: RefineSettings, folder: Path, time_limit: float | None) -> Task:
    """The task that refines a molecule of a library in a folder."""
    return Task(
        _ONE,
        {**_arguments(entry), "settings": _stored(settings), **files_of(settings)},
        {"output": str(folder)},
        name=entry.name,
        time_limit=time_limit,
    )


def common_task(
    entries: Sequence[LibraryEntry], settings: RefineSettings, folders: Mapping[str, Path], time_limit: float | None
) -> Task:
    """The task that refines molecules of a library together, each in its folder, whatever their order in the library.

    Parameters
    ----------
    entries : sequence of LibraryEntry
        Two or more.
    settings : RefineSettings
    folders : mapping of str to Path
        Folder of each molecule by its name; all are in one folder.
    time_limit : float or None, s
    """
    ordered = sorted(entries, key=lambda entry: entry.name)
    described = [_arguments(entry) | {"folder": folders[entry.name].name} for entry in ordered]
    return Task(
        _ALL,
        {"entries": described, "settings": _stored(settings), **files_of(settings)},
        {"output": str(folders[ordered[0].name].parent)},
        name="the common fit",
        time_limit=time_limit,
    )


def outcome_of(outcome: TaskResult, name: str) -> TaskResult:
    """What the outcome of a task says of one of its molecules."""
    if not outcome.ok or _PARTS not in outcome.value:
        return outcome
    part = outcome.value[_PARTS][name]
    reason = part.get("reason", "")
    return replace(outcome, reason=reason, value={} if reason else part)


def refine_entry(
    name: str, smiles: str, block: str, settings: Mapping[str, Any], output: str, engine_files: str = ""
) -> dict[str, Any]:
    """Refine a molecule, or go on with it, and return what the summary of a batch shows.

    Parameters
    ----------
    name : str
    smiles : str
    block : str
        Record of an SDF, in place of a SMILES.
    settings : mapping
        Fields of `RefineSettings`; `max_minutes` is a text.
    output : str
        Folder of the refinement.
    engine_files : str
        Makes the task another one if the files of the engine are others; see `files_of`.

    Raises
    ------
    HybridError
        As in `refine`.
    """
    notes: list[str] = []
    with _noted(notes):
        molecule = _molecule(name, smiles, block)
        result = refine(molecule, output, _settings(settings), progress=False)
    return summary(result) | {"n_atoms": molecule.n_atoms, "notes": list(dict.fromkeys(notes))}


def refine_entries(
    entries: Sequence[Mapping[str, str]], settings: Mapping[str, Any], output: str, engine_files: str = ""
) -> dict[str, dict[str, Any]]:
    """Refine molecules together, or go on with them, without those that the base force field cannot describe.

    Parameters
    ----------
    entries : sequence of mapping
        The name, SMILES, block and folder of each molecule; see `refine_entry`.
    settings : mapping
        Fields of `RefineSettings`; `max_minutes` is a text.
    output : str
        Folder of their folders.
    engine_files : str
        See `refine_entry`.

    Returns
    -------
    dict
        "molecules": name of each molecule → what the summary of a batch shows, or the reason why it is left out.

    Raises
    ------
    InputError
        Fewer than two molecules are left.
    HybridError
        As in `refine_series`.
    """
    members: dict[str, Member] = {}
    parts: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name, notes = entry["name"], list[str]()
        try:
            with _noted(notes):
                source = read_source(_molecule(name, entry["smiles"], entry["block"]))
                member = settled_member(source, Path(output) / entry["folder"], _settings(settings), progress=False)
                n_atoms = member.built.topology.getNumAtoms()
        except MissingDependencyError:
            raise
        except HybridError as error:
            parts[name] = {"reason": str(error)}
            continue
        members[name] = member
        parts[name] = {"n_atoms": n_atoms, "notes": notes}
    if len(members) < 2:
        first = next(f"{name}: {part['reason']}" for name, part in parts.items() if "reason" in part)
        raise InputError(f"{len(members)} of {len(entries)} molecules are left for a common fit; {first}")
    common: list[str] = []
    with _noted(common):
        results = refine_members(list(members.values()))
    for name, result in zip(members, results, strict=True):
        parts[name] |= summary(result) | {"notes": list(dict.fromkeys([*parts[name]["notes"], *common]))}
    return {_PARTS: parts}


def summary(result: Refined) -> dict[str, Any]:
    """The numbers of a refinement that a batch shows, JSON-ready."""
    entry, profiles = result.rounds[result.chosen - 1], result.checks.profiles
    return {
        "verdict": result.verdict,
        "converged": result.converged,
        "rounds": len(result.rounds),
        "labels": result.rounds[-1].n_labels,
        "force": entry.own_force,
        "unseen_force": entry.unseen_force,
        "base_force": entry.base_force,
        "torsion_rms": max((profile.rms for profile in profiles), default=None),
        "base_torsion_rms": max((profile.base_rms for profile in profiles), default=None),
        "failed_checks": list(result.checks.failures),
    }


def _molecule(name: str, smiles: str, block: str) -> Molecule:
    if not block:
        return Molecule.from_smiles(smiles, name=name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.sdf"
        path.write_text(block, encoding="utf-8")
        return Molecule.from_file(path, name=name)


def _arguments(entry: LibraryEntry) -> dict[str, str]:
    return {"name": entry.name, "smiles": entry.smiles, "block": entry.block}


def _stored(settings: RefineSettings) -> dict[str, Any]:
    return asdict(settings) | {"max_minutes": str(settings.max_minutes)}  # JSON has no infinity


def _settings(stored: Mapping[str, Any]) -> RefineSettings:
    return RefineSettings(**{**stored, "max_minutes": float(stored["max_minutes"])})


@contextmanager
def _noted(notes: list[str]) -> Iterator[None]:
    """Add the warnings of a block to notes, in place of showing them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    notes += [str(each.message) for each in caught if issubclass(each.category, UserWarning)]
