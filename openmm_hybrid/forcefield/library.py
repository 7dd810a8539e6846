"""The shipped force fields, one folder each: parameters, a manifest and, if OpenMM can express it, an XML file.

forcefields/<name>/forcefield.npz
forcefields/<name>/manifest.json
forcefields/<name>/<name>.xml
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from openmm_hybrid import __version__
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import expanded, replacing, sha256
from openmm_hybrid.core.forcefielddir import folder
from openmm_hybrid.forcefield import archive
from openmm_hybrid.forcefield.tables import Tables
from openmm_hybrid.forcefield.write_xml import write_ffxml

FILE, MANIFEST = "forcefield.npz", "manifest.json"
REQUIRED = ("data", "level", "errors", "command", "versions", "sha256")


def names(root: str | Path | None = None) -> tuple[str, ...]:
    """Names of the shipped force fields, in `root` or among those that come with the package."""
    return tuple(sorted(path.parent.name for path in expanded(root or folder()).glob(f"*/{MANIFEST}")))


def manifest(name: str, root: str | Path | None = None) -> dict[str, Any]:
    """The manifest of a shipped force field: data, level, errors, command, versions, SHA-256 of its file.

    Raises
    ------
    InputError
        The name is unknown, or the manifest is damaged.
    """
    known = names(root)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        raise InputError(
            f"unknown force field {name!r}",
            expected=f"a path that ends in .npz, or one of {', '.join(known) or 'none: no set is installed'}",
            hint=_hint(name, near),
        )
    path = expanded(root or folder()) / name / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error})", hint="install the package again") from error
    missing = set(REQUIRED) - set(found) if isinstance(found, dict) else set(REQUIRED)
    if missing:
        raise InputError(f"{path} lacks {', '.join(sorted(missing))}", hint="install the package again")
    return dict(found)


def _hint(name: str, near: Sequence[str]) -> str:
    """What a path that is no force field may have meant, or names like it."""
    path = expanded(name)
    if path.suffix == ".xml":
        return "openmm.app.ForceField reads XML files"
    if os.path.isfile(path / "forcefield.npz"):  # Path.is_file fails for a long name
        return f"use {path / 'forcefield.npz'}"
    if os.path.isfile(path / "system.xml"):
        return "this is the folder of a System, which load_system reads"
    return f"did you mean {' or '.join(near)}?" if near else ""


def load(name: str, root: str | Path | None = None) -> Tables:
    """Load the shipped force field of this name, after a check of its file against the manifest.

    Raises
    ------
    InputError
        The name is unknown, the manifest or the file is damaged, or the file is not the one in the manifest.
    """
    expected = manifest(name, root)["sha256"]
    path = expanded(root or folder()) / name / FILE
    if not path.is_file():
        raise InputError(f"{path} does not exist", hint="install the package again")
    if sha256(path) != expected:
        raise InputError(
            f"{path} is not the file that its manifest describes",
            expected=f"the SHA-256 {expected}",
            hint="install the package again, or run the manifest's command again",
        )
    return archive.load(path)


def write_set(
    forcefield: Tables,
    name: str,
    root: str | Path,
    *,
    data: str,
    level: str,
    errors: Mapping[str, Any],
    command: str,
) -> Path:
    """Write a force field to ship into the folder `root`/`name`, and return the folder.

    Parameters
    ----------
    forcefield : Tables
    name : str
        Name of letters, digits, hyphens and dots, such as "ethanol-cross".
    root : str or Path
        Parent folder, such as the checkout's folder forcefields.
    data, level : str
        The frames of the fit, and the level of theory of their labels.
    errors : mapping
        Errors on unseen frames, with their units, such as {"force_rmse": {"value": 1.9, "unit": "kcal/mol/Å"}}.
    command : str
        Command that makes the force field again.

    Raises
    ------
    InputError
        The name has other characters, or JSON cannot hold the errors.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", name):
        raise InputError(f"a force field cannot be named {name!r}", expected="letters, digits, hyphens and dots")
    target = expanded(root) / name
    notes = {"data": data, "level": level, "errors": dict(errors), "command": command}
    archive.save(forcefield, target / FILE, notes)
    try:
        write_ffxml(forcefield, target / f"{name}.xml")
    except MismatchError:  # OpenMM's XML cannot express these forms, so the set has no XML file
        (target / f"{name}.xml").unlink(missing_ok=True)
    versions = {"openmm-hybrid": __version__, **{package: version(package) for package in ("openmm", "torch", "numpy")}}
    described = {"name": name, "molecule": forcefield.name, **notes, "versions": versions}
    described["sha256"] = sha256(target / FILE)
    with replacing(target / MANIFEST) as temporary:
        temporary.write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return target
