"""Verbs that run: simulations, and the check of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from openmm_hybrid.cli.error_lines import print_result, progress_wanted
from openmm_hybrid.cli.models import load_model
from openmm_hybrid.cli.options import Json, OutputFolder, Seed, argument, named
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.studies.study import read_indices

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from openmm_hybrid.models.energy_model import EnergyModel
    from openmm_hybrid.systems.system_files import Attachment


def doctor(as_json: Json = False) -> None:
    """Show what can run on this machine, and how to install the rest.

    The exit status is 1 if the main job cannot run.
    """
    from openmm_hybrid.cli.doctor import examine, print_report

    report = examine()
    if as_json:
        print_result("", report.as_dict(), as_json=True)
    else:
        print_report(report)
    if not report.ready:
        raise typer.Exit(1)


def sample(
    ctx: typer.Context,
    system: Annotated[Path, argument("Folder of `build`.")],
    output: OutputFolder,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model to add: npz of `train`, pt of `export`, or a shipped name; a force field replaces the terms."
        ),
    ] = None,
    atoms: Annotated[
        str, typer.Option(help="Atoms of the model, such as 0-8,12; by default those in its file, or all.")
    ] = "",
    backend: Annotated[
        str, named("openmm_hybrid.systems.backends:BACKENDS", "auto", help="Kind of OpenMM force for the model.")
    ] = "auto",
    duration: Annotated[float, typer.Option(help="Length of the run, ps.")] = 100.0,
    replicas: Annotated[
        int, typer.Option(help="Copies of a molecule in vacuum that are stepped together, each with its own noise.")
    ] = 1,
    temperature: Annotated[float, typer.Option(help="Temperature, K.")] = 500.0,
    exchange: Annotated[
        list[float] | None,
        typer.Option(help="Higher temperature for replica exchange (parallel tempering), K; repeat it, rising."),
    ] = None,
    timestep: Annotated[float, typer.Option(help="Time step, fs.")] = 0.5,
    outer_timestep: Annotated[
        float | None,
        typer.Option(help="Time step of the model, fs: a multiple of --timestep, such as 2; by default --timestep."),
    ] = None,
    friction: Annotated[float, typer.Option(help="Friction of the thermostat, 1/ps.")] = 1.0,
    interval: Annotated[int, typer.Option(help="Steps between frames, and between exchange attempts.")] = 200,
    ensemble: Annotated[
        Literal["nvt", "nve"], typer.Option(help="Constant temperature (nvt) or constant energy (nve).")
    ] = "nvt",
    platform: Annotated[str, typer.Option(help="OpenMM platform, such as CPU or CUDA, or auto.")] = "auto",
    format: Annotated[Literal["dcd", "xtc"], typer.Option(help="Format of the trajectories.")] = "dcd",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Remove an earlier run from the folder.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Run molecular dynamics with the force field and, if given, a model; the same command resumes after a stop."""
    from openmm_hybrid.sampling.sample import sample as run
    from openmm_hybrid.systems.double_counting import is_complete
    from openmm_hybrid.systems.system_files import load_system

    if atoms and model is None:
        raise InputError("atoms were given without a model", hint="name the model that they belong to: --model")
    forces, topology, positions = load_system(system)
    n_atoms = None if atoms else len(list(next(topology.residues()).atoms()))
    loaded, indices = (None, []) if model is None else load_model(model, n_atoms)
    indices = list(read_indices(atoms)) or indices
    rungs = (temperature, *(exchange or ()))
    if list(rungs) != sorted(set(rungs)):
        raise InputError(
            f"the temperatures are {', '.join(f'{rung:g}' for rung in rungs)} K",
            expected="a rising ladder: --temperature, then each --exchange",
        )
    if outer_timestep is not None and loaded is not None and is_complete(loaded):
        raise InputError(
            "a complete force field replaces the terms, and takes no outer timestep",
            hint="leave out --outer-timestep, or name a model that is added to the terms",
        )
    models = [] if loaded is None else _add(forces, topology, loaded, indices, backend, temperature)
    result = run(
        forces,
        topology,
        positions,
        output=output,
        models=models,
        replicas=replicas * len(rungs),
        exchange=interval if len(rungs) > 1 else None,
        duration=duration,
        temperature=rungs * replicas if len(rungs) > 1 else temperature,
        timestep=timestep,
        outer_timestep=outer_timestep,
        friction=friction,
        interval=interval,
        ensemble=ensemble,
        platform=platform,
        format=format,
        overwrite=overwrite,
        seed=seed,
        progress=progress_wanted(ctx),
    )
    frames = result.positions
    text = f"{len(frames)} frames in {output}, {result.speed:.3g} ns/day"
    content: dict[str, Any] = {"frames": len(frames), "ns_per_day": result.speed, "output": str(output)}
    if len(rungs) > 1:
        content["exchange_rate"] = result.exchange_rate.tolist()
    if loaded is not None:
        lines, gate = _gate(loaded, indices, forces, topology, frames, output)
        text, content = "\n".join((text, *lines)), content | gate
    print_result(text, content, as_json=as_json)


def _add(
    system: Any, topology: Any, model: EnergyModel, atoms: list[int], backend: str, temperature: float
) -> list[Attachment]:
    """The model for `sample`; a complete force field goes into the System in place of its terms instead."""
    from openmm_hybrid.systems.double_counting import is_complete
    from openmm_hybrid.systems.replace import replace
    from openmm_hybrid.systems.system_files import Attachment

    if is_complete(model):
        replace(system, topology, model, atoms=atoms, backend=backend, temperature=temperature)
        return []
    return [Attachment(model, atoms=atoms, backend=backend)]


def _gate(
    model: EnergyModel,
    atoms: list[int],
    system: Any,
    topology: Any,
    positions: NDArray[np.float64],
    output: Path,
) -> tuple[list[str], dict[str, Any]]:
    """How often a gated model was reduced, as lines and for JSON; the molecule's reduced frames are kept in a file."""
    import numpy as np

    from openmm_hybrid.correction import Gated, gate_report
    from openmm_hybrid.systems.placement import whole_copies

    if not isinstance(model, Gated):
        return [], {}
    atomic_numbers = [atom.element.atomic_number for atom in next(topology.residues()).atoms()]
    molecule = whole_copies(system, topology, positions, np.arange(len(atomic_numbers))[None])[:, 0]
    report = gate_report(model, molecule, atoms=atoms)
    lines, gate = [report.summary()], {"gate": {"reduced": float(report.reduced), "closed": float(report.closed)}}
    kept = report.save_hits(output / "gate_hits.npz", atomic_numbers)
    if kept is not None:
        lines.append(f"these frames, for labelling, in {kept}")
    return lines, gate
