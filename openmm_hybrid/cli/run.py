"""Verbs that run: what this machine can do, and simulations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmm_hybrid.cli.options import Output, Seed, read_indices
from openmm_hybrid.errors import InputError

if TYPE_CHECKING:
    from openmm_hybrid.models.base import EnergyModel


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Show what can run on this machine, and what to do about the rest; exit status 1 if the main job cannot."""
    from openmm_hybrid.studies.doctor import examine, print_report

    report = examine()
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print_report(report)
    raise typer.Exit(0 if report.ready else 1)


def sample(
    system: Annotated[Path, typer.Argument(help="Folder of `build`.")],
    output: Output,
    model: Annotated[Path | None, typer.Option(help="Model to add: npz of sGDML, or pt of `export`.")] = None,
    atoms: Annotated[str, typer.Option(help="Atoms of the model, such as 0-8,12; the first ones by default.")] = "",
    backend: Annotated[str, typer.Option(help="auto, torchforce or pythonforce.")] = "auto",
    duration: Annotated[float, typer.Option(help="Length of the run, ps.")] = 100.0,
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
    from openmm_hybrid.simulation.attach import attach
    from openmm_hybrid.simulation.sample import sample as run
    from openmm_hybrid.simulation.system_files import load_system

    if atoms and model is None:
        raise InputError("atoms were given without a model", mend="name the model that they belong to: --model")
    forces, topology, positions = load_system(system)
    if model is not None:
        loaded = _model(model)
        attach(forces, topology, loaded, atoms=read_indices(atoms) or range(loaded.n_atoms), backend=backend)
    result = run(
        forces,
        topology,
        positions,
        output=output,
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


def _model(path: Path) -> EnergyModel:
    from openmm_hybrid import sgdml
    from openmm_hybrid.models.artifact import load_torchscript

    return load_torchscript(path) if path.suffix in (".pt", ".pth") else sgdml.load(path)
