"""Verbs that run: what this machine can do, and simulations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmm_hybrid.cli.options import Output, Seed, read_indices
from openmm_hybrid.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from openmm_hybrid.models.energy_model import EnergyModel


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Show what can run on this machine, and what to do about the rest; exit status 1 if the main job cannot."""
    from openmm_hybrid.cli.doctor import examine, print_report

    report = examine()
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print_report(report)
    raise typer.Exit(0 if report.ready else 1)


def sample(
    system: Annotated[Path, typer.Argument(help="Folder of `build`.")],
    output: Output,
    model: Annotated[Path | None, typer.Option(help="Model to add: npz of `correct`, or pt of `export`.")] = None,
    atoms: Annotated[str, typer.Option(help="Atoms of the model, such as 0-8,12; its own or the first ones.")] = "",
    backend: Annotated[str, typer.Option(help="auto, or a backend that `doctor` lists.")] = "auto",
    duration: Annotated[float, typer.Option(help="Length of the run, ps.")] = 100.0,
    replicas: Annotated[int, typer.Option(help="Copies in vacuum, stepped together, each with its own noise.")] = 1,
    temperature: Annotated[float, typer.Option(help="K")] = 500.0,
    timestep: Annotated[float, typer.Option(help="fs")] = 0.5,
    friction: Annotated[float, typer.Option(help="1/ps")] = 1.0,
    interval: Annotated[int, typer.Option(help="Steps between frames.")] = 200,
    ensemble: Annotated[str, typer.Option(help="nvt or nve.")] = "nvt",
    platform: Annotated[str, typer.Option(help="auto, or an OpenMM platform.")] = "auto",
    format: Annotated[str, typer.Option(help="dcd or xtc.")] = "dcd",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Remove the run that is in the folder.")] = False,
    seed: Seed = 0,
) -> None:
    """Molecular dynamics with force field and model; started again, it goes on where it stopped."""
    from openmm_hybrid.models.compose import OnAtoms
    from openmm_hybrid.sampling.sample import sample as run
    from openmm_hybrid.systems.attach import attach
    from openmm_hybrid.systems.system_files import load_system

    if atoms and model is None:
        raise InputError("atoms were given without a model", hint="name the model that they belong to: --model")
    forces, topology, positions = load_system(system)
    loaded, places = (None, []) if model is None else _model(model)
    places = read_indices(atoms) or places
    together: list[EnergyModel] = []
    if loaded is not None and replicas > 1:
        together.append(OnAtoms(loaded, places, [atom.element.atomic_number for atom in topology.atoms()]))
    elif loaded is not None:
        attach(forces, topology, loaded, atoms=places, backend=backend)
    result = run(
        forces,
        topology,
        positions,
        output=output,
        models=together,
        replicas=replicas,
        duration=duration,
        temperature=temperature,
        timestep=timestep,
        friction=friction,
        interval=interval,
        ensemble=ensemble,
        platform=platform,
        format=format,
        overwrite=overwrite,
        seed=seed,
    )
    print(f"{len(result.positions)} frames in {output}, {result.speed:.3g} ns/day")
    if loaded is not None:
        _report_gate(loaded, places, topology, result.positions, output)


def _model(path: Path) -> tuple[EnergyModel, list[int]]:
    """A model, and the atoms that it is for: those that its file names, or the first ones."""
    from openmm_hybrid import correction
    from openmm_hybrid.models.torchscript import load_torchscript

    if path.suffix in (".pt", ".pth"):
        script = load_torchscript(path)
        return script, list(range(script.n_atoms))
    stored = correction.load(path)
    return stored.model, list(range(stored.model.n_atoms)) if stored.atoms is None else stored.atoms.tolist()


def _report_gate(
    model: EnergyModel, atoms: list[int], topology: Any, positions: NDArray[np.float64], output: Path
) -> None:
    """Say how often a gated model did not act in full, and keep the molecule's frames for relabelling."""
    from openmm_hybrid.correction import Gated, gate_report

    if not isinstance(model, Gated):
        return
    numbers = [atom.element.atomic_number for atom in next(topology.residues()).atoms()]
    report = gate_report(model, positions[:, : len(numbers)], atoms=atoms)
    print(report.summary())
    kept = report.save_hits(output / "gate_hits.npz", numbers)
    if kept is not None:
        print(f"these frames, for relabelling, in {kept}")
