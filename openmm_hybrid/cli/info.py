"""``openmm-hybrid info``: what a file or folder of this package holds."""

from __future__ import annotations

import difflib
import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, final

from openmm_hybrid.cli.error_lines import print_result
from openmm_hybrid.cli.options import Json, argument
from openmm_hybrid.core.errors import HybridError, InputError
from openmm_hybrid.core.files import DAMAGE
from openmm_hybrid.core.forcefielddir import folder

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_ATOMIC_NUMBERS = ("atomic_numbers", "numbers", "z")
"""Names of the atomic numbers in files."""
_TOLD = ("format", "version", "name")
"""Keys of a file's description that have a separate line, or need none."""


@final
@dataclass(frozen=True)
class Description:
    """The description of a file or folder.

    Parameters
    ----------
    kind : str
        Such as "sGDML model".
    facts : dict of str to text, number, list or dict
        In the order in which they are printed.
    """

    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        known = {name: value for name, value in self.facts.items() if value not in (None, "", [], {})}
        width = max((len(name) for name in known), default=0)
        return "\n".join((self.kind, *(f"  {name.replace('_', ' '):{width}}  {_text(known[name])}" for name in known)))


def info(
    path: Annotated[Path, argument("File or folder of this package, or the name of a shipped force field.")],
    as_json: Json = False,
) -> None:
    """Show what a file or folder holds: its kind, molecule, level of theory, counts, errors and version."""
    found = describe(path)
    print_result(f"{path}: {found}", {"path": str(path), "kind": found.kind, **found.facts}, as_json=as_json)


def describe(path: Path) -> Description:
    """The description of a file or folder, or of a shipped force field by its name.

    Raises
    ------
    InputError
        It does not exist, is damaged, or is not a file that this package writes.
    """
    try:
        return _read(path)
    except DAMAGE as error:
        if isinstance(error, HybridError):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise InputError(f"{path} is damaged ({reason})", hint="copy it again") from error


def _read(path: Path) -> Description:
    if path.is_dir():
        return _folder(path)
    if len(path.parts) == 1 and (folder() / path / "manifest.json").is_file():
        return _folder(folder() / path)
    if not path.exists():
        near = difflib.get_close_matches(str(path), [file.parent.name for file in folder().glob("*/manifest.json")])
        raise InputError(f"{path} does not exist", hint=f"did you mean {' or '.join(near)}?" if near else "")
    readers = {
        ".npz": _npz,
        ".pt": _torchscript,
        ".pth": _torchscript,
        ".json": _result,
        ".journal": _journal,
        ".xyz": _frames,
        ".extxyz": _frames,
        ".h5": _frames,
        ".hdf5": _frames,
    }
    if path.suffix.lower() not in readers:
        raise InputError(
            f"{path} is not a file of this package",
            expected="frames, a model, a correction, a force field, a journal, a checkpoint, a result or a folder",
        )
    return readers[path.suffix.lower()](path)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        if {"value", "unit"} <= set(value) <= {"value", "unit", "error"}:
            unit = "" if value["unit"] == "1" else f" {value['unit']}"
            error = f" ± {value['error']:.2g}" if "error" in value else ""
            return f"{value['value']:.4g}{error}{unit}"
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _formula(atomic_numbers: ArrayLike) -> str:
    """The molecular formula, carbon and hydrogen first."""
    import numpy as np
    from ase.formula import Formula
    from ase.symbols import Symbols

    return str(Formula(str(Symbols(np.asarray(atomic_numbers, dtype=int)))).convert("hill"))


def _atoms(atomic_numbers: ArrayLike) -> dict[str, Any]:
    import numpy as np

    return {"atoms": int(np.size(atomic_numbers)), "formula": _formula(atomic_numbers)}


def _frames(path: Path) -> Description:
    from openmm_hybrid.data.frames import Frames

    # The unit of energies does not matter here, but files without one are refused.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is ignored$")
        frames = Frames.load(path, e_unit="kcal/mol")
    labels = [name for name in ("energies", "forces") if getattr(frames, name) is not None]
    return Description(
        "frames",
        {
            "name": frames.name,
            **_atoms(frames.atomic_numbers),
            "frames": frames.n_frames,
            "labels": labels or ["none"],
            "theory": frames.theory if labels else None,
        },
    )


def _npz(path: Path) -> Description:
    from openmm_hybrid.core.files import reading_npz

    with reading_npz(path, "a file of this package") as archive:
        names = set(archive)
        if "description" in names:
            return _described(archive)
        if {"R_desc", "Rt_desc"} & names:
            return _sgdml(archive)
    return _frames(path)


def _described(archive: Mapping[str, NDArray[Any]]) -> Description:
    """A force field or correction, whose description is JSON."""
    known = json.loads(archive["description"].item())
    kind = str(known["format"]).removeprefix("openmm-hybrid ")
    facts: dict[str, Any] = {"name": known.get("name")}
    number_entries = [name for name in archive if name.rpartition("/")[2] in _ATOMIC_NUMBERS]
    if number_entries:
        facts |= _atoms(archive[min(number_entries, key=len)])
    if "terms" in known:
        facts["terms"] = [f"{entry['group']} ({entry['form']['family']})" for entry in known["terms"]]
    if "parameters" in known:
        facts["parameters"] = len(known["parameters"]["names"])
    if "atoms" in archive:
        facts["atoms_of_the_molecule"] = archive["atoms"].tolist()
    if "model" in known:
        facts |= _inner(known, archive)
    if "solution" in archive:
        facts["equations"] = len(archive["solution"])
    notes = known.get("notes", {})
    theory = notes.get("theory", notes.get("level", facts.get("theory")))
    facts |= {"theory": theory, "data": notes.get("data", facts.get("data"))}
    facts |= {key: known[key] for key in known if key not in _TOLD and isinstance(known[key], int | float)}
    facts |= {"errors": notes.get("errors") or _fit_errors(notes), "written_by": known.get("written_by")}
    return Description(kind, facts)


def _inner(known: Mapping[str, Any], archive: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Kind, gate, recipe, result and data of the model inside a correction or another model's file."""
    kind, settings = known["model"]["kind"], known["model"]["settings"]
    facts = {"model": "sGDML" if kind == "sgdml" else kind}
    if kind == "gated":
        inner = settings["model"]["kind"]
        facts["model"] = "sGDML" if inner == "sgdml" else inner
        facts["gate"] = f"fades between the distances {settings['lower']:g} and {settings['upper']:g}"
    facts |= {"recipe": known.get("recipe"), "result": known.get("report", {}).get("summary")}
    for key, name in (("dataset_theory", "theory"), ("dataset_name", "data")):
        entries = [entry for entry in archive if entry.endswith(f"/{key}")]
        facts |= {name: _entry(archive, entries[0], None)} if len(entries) == 1 else {}
    return facts


def _fit_errors(notes: Mapping[str, Any]) -> dict[str, Any]:
    """Test errors of a fitted force field, from the notes of `train forcefield`."""
    for molecule in notes.get("fit", {}).get("molecules", ()):
        test = molecule.get("test") if isinstance(molecule, Mapping) else None
        if test:
            return {name: value for name, value in test.items() if name.endswith(("mae", "rmse"))}
    return {}


def _sgdml(archive: Mapping[str, NDArray[Any]]) -> Description:
    old = "Rt_desc" in archive
    descriptors = archive["Rt_desc" if old else "R_desc"]
    name, theory = (
        _entry(archive, key, "") for key in (("dataset", "theory") if old else ("dataset_name", "dataset_theory"))
    )
    lam = float(_entry(archive, "lam", float("nan")))  # files of 2018 do not hold it
    return Description(
        "sGDML model",
        {
            "name": name,
            **_atoms(archive["z"]),
            "theory": theory,
            "training_frames": int(descriptors.shape[1]),
            "permutations": len(archive["perms"]),
            "sigma": {"value": float(archive["sig"]), "unit": "1/Å"},
            "lambda": None if lam != lam else lam,
            "trained_on_energies": "alphas_E" in archive,
            "written_by": "the layout of 2018" if old else f"the layout of sgdml {_entry(archive, 'code_version', '')}",
        },
    )


def _entry(archive: Mapping[str, NDArray[Any]], name: str, default: Any) -> Any:
    if name not in archive:
        return default
    value = archive[name].item()
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _torchscript(path: Path) -> Description:
    notes = None
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if re.search(r"/extra/[^/]*\.json$", name)]
            notes = json.loads(archive.read(names[0])) if names else None
    if not isinstance(notes, dict) or not str(notes.get("format", "")).startswith("openmm-hybrid"):
        raise InputError(f"{path} is not a TorchScript file of this package, or is damaged")
    return Description(
        "TorchScript model",
        {
            "name": notes.get("name"),
            **_atoms(notes["atomic_numbers"]),
            "theory": notes.get("theory"),
            "units": notes.get("units"),
            "dtype": notes.get("dtype"),
            "written_by": f"openmm-hybrid {notes.get('versions', {}).get('openmm_hybrid', 'of unknown version')}",
        },
    )


def _journal(path: Path) -> Description:
    lines = path.read_text(encoding="utf-8").splitlines()
    header = _json(path, lines[0] if lines else "")
    if not str(header.get("format", "")).startswith("openmm-hybrid labels"):
        raise InputError(f"{path} is not a label journal, or is damaged")
    read = [_json(path, line) for line in lines[1:] if line.endswith("}")]
    entries = {str(entry.get("frame")): entry for entry in read}  # the last one counts
    failed = sum("failed" in entry for entry in entries.values())
    return Description(
        "label journal",
        {
            **_atoms(header["atomic_numbers"]),
            "theory": header.get("theory"),
            "frames": header.get("n_frames"),
            "labelled": len(entries) - failed,
            "failed": failed,
            "written_by": header["format"],
        },
    )


def _json(path: Path, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{path} is not a JSON object, or is damaged")
    return found


def _result(path: Path) -> Description:
    content = _json(path, path.read_text(encoding="utf-8"))
    if "figures" not in content or "name" not in content:
        raise InputError(f"{path} is not the result of a study", expected="a JSON document with named figures")
    return Description(
        f"result of {content['name']}",
        {
            "written_by": f"openmm-hybrid {content.get('versions', {}).get('openmm-hybrid', 'of unknown version')}",
            "commit": content.get("commit"),
            "settings": content.get("job", content.get("settings")),
            **content["figures"],
        },
    )


def _folder(path: Path) -> Description:
    manifest, settings = path / "manifest.json", path / "settings.json"
    if manifest.is_file():
        content = _json(manifest, manifest.read_text(encoding="utf-8"))
        return _system(content) if "files" in content else _ready(content)
    if settings.is_file():
        content = _json(settings, settings.read_text(encoding="utf-8"))
        if "n_starts" in content:
            return _run(path, content)
    if (path / "round-0").is_dir() or (path / "refined.xml").is_file():
        return _refinement(path)
    documents = sorted(file for file in path.glob("*.json") if file != settings)
    results = [file for file in documents if "figures" in _json(file, file.read_text(encoding="utf-8"))] or documents
    if not results:
        raise InputError(
            f"{path} is not a folder of this package", expected="a folder of build, sample, refine or study"
        )
    if len(results) == 1:
        return _result(results[0])
    raise InputError(f"{path} holds several results", expected=f"one of {', '.join(file.name for file in results)}")


def _system(manifest: Mapping[str, Any]) -> Description:
    models = [f"{entry.get('backend', 'model')}" for entry in manifest.get("attachments", ())]
    return Description(
        "system",
        {
            "particles": len(manifest["atomic_numbers"]),
            "formula": _formula([number for number in manifest["atomic_numbers"] if number]),
            "models": models or ["none"],
            "written_by": f"openmm-hybrid {manifest.get('versions', {}).get('openmm_hybrid', 'of unknown version')}",
        },
    )


def _ready(manifest: Mapping[str, Any]) -> Description:
    names = ("name", "molecule", "level", "data", "errors", "command")
    versions = manifest.get("versions", {})
    written = f"openmm-hybrid {versions.get('openmm-hybrid', 'of unknown version')}"
    return Description("shipped force field", {**{name: manifest.get(name) for name in names}, "written_by": written})


def _refinement(path: Path) -> Description:
    result = path / "result.json"
    if not result.is_file():
        raise InputError(f"{path} holds no finished refinement", hint="repeat the command of refine, which resumes")
    content = _json(result, result.read_text(encoding="utf-8"))
    used = content["settings"]
    return Description(
        "refinement",
        {
            "molecule": content["molecule"],
            "base": f"{used['base']} with {used['charges']} charges",
            "level": content["theory"],
            "rounds": len(content["rounds"]),
            "labels": content["rounds"][-1]["n_labels"],
            "verdict": content["verdict"],
            "written_by": f"openmm-hybrid {content['versions'].get('openmm-hybrid', 'of unknown version')}",
        },
    )


def _run(path: Path, settings: Mapping[str, Any]) -> Description:
    from openmm_hybrid.sampling.sample_result import SampleResult

    run = SampleResult.open(path)
    temperature = settings["temperature"]
    kelvin = sorted(set(temperature)) if isinstance(temperature, list) else [temperature]
    return Description(
        "sampling run",
        {
            "starts": settings["n_starts"],
            "frames": len(run.log),
            "atoms": int(run.positions.shape[1]),
            "temperatures": [f"{value:g} K" for value in kelvin],
            "timestep": {"value": settings["timestep"], "unit": "fs"},
            "length_of_a_start": {"value": 1e-3 * settings["timestep"] * settings["n_steps"], "unit": "ps"},
            "platform": settings.get("platform"),
            "speed": {"value": run.speed, "unit": "ns/day"},
        },
    )
