"""A folder of files for a System with its topology, positions and attached models."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import openmm
import torch
from numpy.typing import ArrayLike, NDArray
from openmm import app, unit

import openmm_hybrid
from openmm_hybrid.core.errors import InputError, MismatchError, MissingDependencyError
from openmm_hybrid.core.files import expanded, read_npy, replacing, sha256
from openmm_hybrid.core.units import positions_to_angstrom
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models_io.any_model import AGAIN, UPGRADE, load_model, save_model, verified
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.systems.attach import attach
from openmm_hybrid.systems.backends.backend import Backend
from openmm_hybrid.systems.backends.torchforce import scriptable
from openmm_hybrid.systems.placement import locate
from openmm_hybrid.systems.plan import choose, known_backends, plan
from openmm_hybrid.systems.torch_wrapper import module_name, named_tensors
from openmm_hybrid.systems.xml import read_xml

SYSTEM, TOPOLOGY, POSITIONS, MANIFEST = "system.xml", "topology.pdb", "positions.npy", "manifest.json"
FORMAT, VERSION = "openmm-hybrid system", 1


@dataclass(frozen=True, eq=False)
class Attachment:
    """A model with the arguments of `attach`.

    Parameters
    ----------
    model, atoms, backend, force_group, scale, dtype
        See `attach`.
    """

    model: EnergyModel | Correction
    atoms: ArrayLike | None = None
    backend: str = "auto"
    force_group: int = 0
    scale: str | None = None
    dtype: str = "float64"


def save_system(
    folder: str | Path,
    system: openmm.System,
    topology: app.Topology,
    positions: Any,
    *,
    attachments: Sequence[Attachment] = (),
) -> Path:
    """Write a System with its attached models, for any platform, stack and OpenMM version. Returns the folder.

    The folder gets ``system.xml`` (OpenMM's XML without the torch forces), ``topology.pdb``, ``positions.npy`` (Å), one
    file for each model in a torch force, and ``manifest.json``: hashes of all files, units, atom order, versions, and
    the arguments of each model (atoms, force group, scale, dtype). Nothing is pickled. Models that `attach` wrote as
    OpenMM's own forces stay in the XML. The manifest is written last, so that `load_system` refuses an incomplete
    folder.

    Parameters
    ----------
    folder : path
        A leading ~ is expanded; missing folders are made.
    system, topology
        System with its models attached, and the topology of the same particles.
    positions : (n_atoms, 3), Å, or a Quantity
    attachments : sequence of Attachment
        The attached models. Every torch force in the System must belong to one of them.

    Raises
    ------
    MismatchError
        The torch forces in the System are not those of the attachments, or a model cannot be written.
    HybridError
        A file cannot be written.
    """
    folder = expanded(folder)
    parts = [part for attachment in attachments for part in _coded_parts(attachment, system, topology)]
    _check_models(system, parts)
    xml = _without_coded_forces(system, [backend.force_type for backend, _, _ in parts])
    angstrom = positions_to_angstrom(positions)
    with replacing(folder / TOPOLOGY) as temporary, temporary.open("w", encoding="utf-8") as file:
        app.PDBFile.writeFile(topology, angstrom * unit.angstrom, file, keepIds=True)
    with replacing(folder / SYSTEM) as temporary:
        temporary.write_text(xml, encoding="utf-8")
    with replacing(folder / POSITIONS) as temporary:
        np.save(temporary, angstrom, allow_pickle=False)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "versions": {
            "openmm_hybrid": openmm_hybrid.__version__,
            "openmm": openmm.version.version,
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "units": {SYSTEM: "nm, kJ/mol (OpenMM)", TOPOLOGY: "Å", POSITIONS: "Å", "models": "Å, kcal/mol"},
        "atomic_numbers": _atomic_numbers(topology),
        "files": {name: sha256(folder / name) for name in (SYSTEM, TOPOLOGY, POSITIONS)},
        "attachments": [_described(*part, folder) for part in parts],
    }
    with replacing(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return folder


def load_system(
    folder: str | Path, *, backend: str = "auto"
) -> tuple[openmm.System, app.Topology, NDArray[np.float64]]:
    """The System with its models attached, the topology and the positions (n_atoms, 3; Å) that `save_system` wrote.

    Parameters
    ----------
    backend : str
        "torchforce" or "pythonforce" for the torch models. "auto" takes the first that works here and takes all models,
        also if another one wrote the folder.

    Raises
    ------
    InputError
        A file is missing, damaged or not the saved one, the folder is of another version, or the System holds a
        PythonForce, which cannot be read safely.
    MissingDependencyError
        No torch backend works here, but the System needs one.
    MismatchError
        The numbers of particles in the files differ.
    """
    folder = expanded(folder)
    manifest = _manifest(folder)
    try:
        paths = {name: verified(folder, name, manifest["files"][name]) for name in (SYSTEM, TOPOLOGY, POSITIONS)}
        system = read_xml(paths[SYSTEM].read_text(encoding="utf-8"), paths[SYSTEM], openmm.System, hint=AGAIN)
        positions = np.asarray(read_npy(paths[POSITIONS], hint=AGAIN), dtype=np.float64)
        topology, _ = load_topology(folder)
        n_particles = system.getNumParticles()
        if topology.getNumAtoms() != n_particles or positions.shape != (n_particles, 3):
            raise MismatchError(
                f"the topology in {folder} has {topology.getNumAtoms()} atoms, the positions {positions.shape}",
                expected=f"the system's {n_particles} particles",
                hint=AGAIN,
            )
        if not np.isfinite(positions).all():
            raise InputError(f"the positions in {folder} are not finite", hint=AGAIN)
        if _atomic_numbers(topology) != manifest["atomic_numbers"]:
            raise MismatchError(f"the topology in {folder} has other elements than its manifest", hint=AGAIN)
        models = [load_model(node["model"], folder) for node in manifest["attachments"]]
        carrier = _torch_backend(backend, models) if models else backend
        for node, model in zip(manifest["attachments"], models, strict=True):
            attach(
                system,
                topology,
                model,
                atoms=node["atoms"],
                backend=carrier,
                force_group=node["force_group"],
                scale=node["scale"],
                dtype=node["dtype"],
                repeat=True,
            )
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{folder} is damaged ({type(error).__name__}: {error})", hint=AGAIN) from error
    return system, topology, positions


def load_topology(folder: str | Path) -> tuple[app.Topology, NDArray[np.float64]]:
    """Topology and positions (n_atoms, 3), Å, from ``topology.pdb`` in the folder of a System or a sampling run.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    path = expanded(folder) / TOPOLOGY
    if not path.is_file():
        raise InputError(f"{path} does not exist", expected="a folder of `build` or `sample`")
    try:
        pdb = app.PDBFile(str(path))
    except (
        ValueError,
        LookupError,
        AssertionError,
        TypeError,
        AttributeError,
        OverflowError,
        ZeroDivisionError,
    ) as error:
        raise InputError(f"{path} is damaged ({error})", hint="build it again") from None
    return pdb.topology, positions_to_angstrom(pdb.getPositions(asNumpy=True))


def load_xml(path: str | Path) -> tuple[openmm.System, NDArray[np.float64]]:
    """The System of an XML file, and the positions (n_atoms, 3), Å, of the ``topology.pdb`` beside it.

    Raises
    ------
    InputError
        A file is missing or damaged.
    """
    path = expanded(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist", expected="a System's XML file")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged ({error})", hint="write it again") from None
    return read_xml(text, path, openmm.System, hint="write it again"), load_topology(path.parent)[1]


def _coded_parts(
    attachment: Attachment, system: openmm.System, topology: app.Topology
) -> list[tuple[Backend, EnergyModel, Attachment]]:
    """The parts of an attachment whose forces hold code, one force each: backend, model, and arguments of `attach`.

    The finished System rules out the same backends as it did when the model was attached, because it never has forces
    that exclude each other.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # attach has warned of another order of atoms
        placement = locate(system, topology, attachment.model, atoms=attachment.atoms)
    planned = plan(placement.model, choose(attachment.backend), system)
    given = replace(attachment, atoms=placement.atoms)
    return [(backend, part, given) for backend, part in planned if backend.holds_code]


def _check_models(system: openmm.System, parts: Sequence[tuple[Backend, EnergyModel, Attachment]]) -> None:
    """Refuse attachments of other models, or on other particles, than the System's torch forces have.

    The names of the forces tell. Where a force has been renamed, or a model has no tensors, nothing is judged.

    Raises
    ------
    MismatchError
        The message names the attachment's model.
    """
    for kind in dict.fromkeys(backend for backend, _, _ in parts):
        prefix = f"Hybrid{kind.force_type} "
        present = [force.getName() for force in system.getForces() if force.getName().startswith(prefix)]
        given = [(model, attachment.atoms) for backend, model, attachment in parts if backend is kind]
        if len(present) != len(given) or not all(scriptable(model) for model, _ in given):
            continue
        for model, atoms in given:
            module = model.module()
            name = module_name(prefix.strip(), module, np.asarray(atoms))
            if named_tensors(module) and name not in present:
                raise MismatchError(
                    f"the attachment of a {type(model).__name__} is none of the System's torch forces: they hold "
                    "another model, or act on other atoms",
                    hint="give attachments=[oh.Attachment(model, atoms=…), …] as they were given to attach",
                )


def _without_coded_forces(system: openmm.System, expected: Sequence[str]) -> str:
    """XML of a System without its torch forces, whose types must be the expected ones."""
    root = ElementTree.fromstring(openmm.XmlSerializer.serialize(system))
    forces = root.find("Forces")
    types = {backend.force_type for backend in known_backends() if backend.holds_code}
    coded = [] if forces is None else [force for force in forces if force.get("type") in types]
    if sorted(force.get("type", "") for force in coded) != sorted(expected):
        raise MismatchError(
            f"the System has {len(coded)} torch forces, the attachments make {len(expected)}",
            expected="the System with every model attached, and an Attachment for each",
            hint="give attachments=[oh.Attachment(model, atoms=…, force_group=…), …] as they were given to attach",
        )
    if forces is not None:
        for force in coded:
            forces.remove(force)
    return ElementTree.tostring(root, encoding="unicode")


def _described(backend: Backend, model: EnergyModel, given: Attachment, folder: Path) -> dict[str, Any]:
    """The manifest's entry of an attachment; its model is written into the folder."""
    return {
        "model": save_model(model, folder),
        "atomic_numbers": model.atomic_numbers.tolist(),
        "atoms": np.asarray(given.atoms).tolist(),
        "backend": backend.name,
        "force_group": given.force_group,
        "scale": given.scale,
        "dtype": given.dtype,
    }


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        inner = sorted(str(found.parent) for found in folder.glob(f"*/{MANIFEST}"))
        raise InputError(
            f"{path} does not exist",
            expected="a folder that `openmm-hybrid build` or save_system wrote",
            hint=f"use {' or '.join(inner)}" if inner else "build it first",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error})", hint=AGAIN) from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{path} is not a manifest of this package", expected=f"a file of the format {FORMAT!r}")
    if manifest.get("version") != VERSION:
        raise InputError(f"{path} is of version {manifest.get('version')}", expected=str(VERSION), hint=UPGRADE)
    return manifest


def _torch_backend(name: str, models: Sequence[EnergyModel]) -> str:
    """The torch backend to use for all models. "auto" excludes OpenMM's own forces, which would tabulate a model."""
    if name != "auto":
        return name
    coded = [backend for backend in known_backends() if backend.holds_code]
    states = {backend.name: backend.state() for backend in coded}
    working = [backend for backend in coded if states[backend.name].works]
    if working:
        return next((backend for backend in working if all(map(backend.takes, models))), working[0]).name
    raise MissingDependencyError(
        f"the System needs torch forces; {'; '.join(f'{known} is {state.status}' for known, state in states.items())}",
        hint=" or ".join(state.hint for state in states.values()),
    )


def _atomic_numbers(topology: app.Topology) -> list[int]:
    """Atomic number of each particle; 0 for a particle without element."""
    return [atom.element.atomic_number if atom.element else 0 for atom in topology.atoms()]
