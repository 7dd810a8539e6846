"""The task of one molecule of a batch: a refinement in a folder of its own."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from openmm_hybrid.data.library_files import LibraryEntry
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.refinement.refined import Refined
from openmm_hybrid.refinement.rounds import refine
from openmm_hybrid.refinement.settings import RefineSettings
from openmm_hybrid.tasks import Task

_FUNCTION = f"{__name__}:refine_entry"


def entry_task(entry: LibraryEntry, settings: RefineSettings, folder: Path, time_limit: float | None) -> Task:
    """The task that refines a molecule of a library in a folder."""
    stored = asdict(settings) | {"max_minutes": str(settings.max_minutes)}  # JSON has no infinity
    return Task(
        _FUNCTION,
        {"name": entry.name, "smiles": entry.smiles, "block": entry.block, "settings": stored},
        {"output": str(folder)},
        name=entry.name,
        time_limit=time_limit,
    )


def refine_entry(name: str, smiles: str, block: str, settings: Mapping[str, Any], output: str) -> dict[str, Any]:
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

    Raises
    ------
    HybridError
        As in `refine`.
    """
    chosen = RefineSettings(**{**settings, "max_minutes": float(settings["max_minutes"])})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        molecule = _molecule(name, smiles, block)
        result = refine(molecule, output, chosen, progress=False)
    notes = [str(each.message) for each in caught if issubclass(each.category, UserWarning)]
    return summary(result) | {"n_atoms": molecule.n_atoms, "notes": list(dict.fromkeys(notes))}


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
