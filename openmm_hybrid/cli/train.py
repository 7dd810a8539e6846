"""The family ``openmm-hybrid train``: an sGDML model, a force field, or a correction to a force field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from openmm_hybrid.cli.error_lines import print_result, progress_wanted
from openmm_hybrid.cli.options import (
    EnergyUnit,
    Json,
    OutputFile,
    Report,
    Seed,
    Verb,
    argument,
    check_ending,
    named,
    path_option,
)
from openmm_hybrid.cli.recipes import Options, Task, choose_recipe
from openmm_hybrid.cli.settings_options import command, parameter
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.studies.kernel_settings import TrainingSettings

_MODEL = "a model"


def forcefield(
    ctx: typer.Context,
    system: Annotated[Path, argument("Folder of `build` without --padding.")],
    frames: Annotated[Path, argument("Labelled frames of the same atoms (npz, xyz, h5).")],
    output: OutputFile,
    n_train: Annotated[int, typer.Option(help="Training frames, chosen at random.")],
    n_test: Annotated[int, typer.Option(help="Test frames, chosen at random from the others.")] = 1000,
    bonds: Annotated[
        str | None,
        named(
            "openmm_hybrid.forms:forms_of:bonds",
            help="Form of bonds; by default morse with --cross, otherwise harmonic.",
        ),
    ] = None,
    angles: Annotated[str, named("openmm_hybrid.forms:forms_of:angles", help="Form of angles.")] = "harmonic",
    propers: Annotated[
        str,
        named("openmm_hybrid.forms:forms_of:propers", help="Form of proper torsions; fourier6 is a series to order 6."),
    ] = "fourier",
    impropers: Annotated[
        str, named("openmm_hybrid.forms:forms_of:impropers", help="Form of improper torsions.")
    ] = "fourier",
    cross: Annotated[
        bool, typer.Option("--cross", help="Add cross terms, and inner pairs unless --pairs atoms.")
    ] = False,
    pairs: Annotated[
        Literal["atoms", "inner"] | None,
        typer.Option(
            help="Pairs inside the molecule have the parameters of their atoms, or their own (those of the atoms then "
            "stay, for other molecules). By default inner with --cross, otherwise atoms.",
            show_default=False,
        ),
    ] = None,
    fixed: Annotated[
        list[str] | None, typer.Option(help="Pattern of parameters that stay as they are, such as 'charges/*'.")
    ] = None,
    energy_weight: Annotated[
        float, typer.Option(help="Weight of the energies beside the forces, 1/Å²; 0 fits the forces alone.")
    ] = 0.3,
    report: Report = None,
    e_unit: EnergyUnit = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Fit the parameters of GAFF, in its own or in other functional forms, to labelled frames."""
    from openmm_hybrid.core.result_document import write_json
    from openmm_hybrid.data.frames import Frames
    from openmm_hybrid.fitting import fit
    from openmm_hybrid.forcefield import ForceField
    from openmm_hybrid.systems.system_files import load_system

    check_ending(output, ".npz", _MODEL)
    check_ending(report, ".json", "a report")
    forces, topology, _ = load_system(system)
    data = Frames.load(frames, e_unit=e_unit)
    start = ForceField.from_system(forces, topology, name=data.name)
    edited = start.edit(
        bonds=bonds, angles=angles, propers=propers, impropers=impropers, pairs=pairs, cross=cross, seed=seed
    )
    result = fit(
        edited,
        data,
        n_train=n_train,
        n_test=n_test,
        fixed=tuple(fixed or ()),
        energy_weight=energy_weight,
        seed=seed,
        progress=progress_wanted(ctx),
    )
    content = result.as_dict()
    result.model.save(output, notes={"theory": data.theory, "data": data.name, "fit": content})
    if report is not None:
        write_json(report, content)
    text = f"{result.table()}\nforce field of {data.name} in {output}"
    print_result(text, content | {"output": str(output)}, as_json=as_json)


def correction(
    ctx: typer.Context,
    system: Annotated[Path, argument("Folder of `build` without --padding.")],
    frames: Annotated[
        Path, argument("Labelled frames of the same atoms; for populations, frames of the reference's dynamics.")
    ],
    output: OutputFile,
    recipe: Annotated[
        Literal["global", "local", "distilled", "populations"] | None,
        typer.Option(help="Recipe; by default the one that the other options need, or global.", show_default=False),
    ] = None,
    atoms: Annotated[str | None, typer.Option(help="local: atoms of the correction, such as 0-8,12.")] = None,
    smarts: Annotated[str | None, typer.Option(help="local: atoms of the correction as a SMARTS pattern.")] = None,
    along: Annotated[
        list[str] | None,
        typer.Option(
            help="distilled, populations: a coordinate, given by 2 to 4 atoms such as 8,10, or a pair of dihedrals "
            "such as '5,6,12,11 x 6,5,10,7'. Repeat it for more."
        ),
    ] = None,
    sampled: Annotated[Path | None, path_option(help="populations: frames of the force field's own dynamics.")] = None,
    temperature: Annotated[float | None, typer.Option(help="populations: temperature of both ensembles, K.")] = None,
    gate: Annotated[
        bool, typer.Option("--gate", help="global, local: switch the correction off far from its training frames.")
    ] = False,
    sigma: Annotated[float | None, typer.Option(help="global, local: length of the kernel, 1/Å; by default 1.")] = None,
    lam: Annotated[
        float | None,
        typer.Option(help="global, local: regularisation; by default 1e-10, or searched for a local correction."),
    ] = None,
    n_train: Annotated[
        int | None, typer.Option(help="global, local: training frames, chosen at random; by default all.")
    ] = None,
    e_unit: EnergyUnit = "",
    seed: Annotated[int | None, typer.Option(help="global, local: seed of the choice of frames; by default 0.")] = None,
    as_json: Json = False,
) -> None:
    """Train a correction to a force field.

    Recipe global is an sGDML model of all atoms, local one of chosen atoms.

    Recipe distilled is a sum of functions of a few coordinates; so is populations, which needs two ensembles and no
    labels.
    """
    from openmm_hybrid.data.frames import Frames
    from openmm_hybrid.data.molecule import Molecule
    from openmm_hybrid.models.system import SystemModel
    from openmm_hybrid.systems.system_files import load_system

    check_ending(output, ".npz", _MODEL)
    options = Options(atoms, smarts, along, sampled, temperature, gate or None, sigma, lam, n_train, seed)
    chosen = choose_recipe(recipe, options)
    forces, topology, _ = load_system(system)
    if forces.usesPeriodicBoundaryConditions():
        raise InputError(f"{system} is solvated", expected="the molecule in vacuum", hint="build it without --padding")
    data = Frames.load(frames, e_unit=e_unit)
    model = SystemModel(forces, topology)
    sdf = system / "molecule.sdf"
    molecule = Molecule.from_file(sdf) if sdf.is_file() else None
    task = Task(model, data, molecule, options, output, progress_wanted(ctx))
    lines = chosen.train(task)
    text = "\n".join((*lines, f"correction of {data.name} in {output}"))
    print_result(text, {"data": data.name, "summary": lines, "output": str(output)}, as_json=as_json)


def _sgdml(settings: Any, ctx: typer.Context, output: Path, report: Path | None, as_json: bool) -> None:
    from openmm_hybrid.core.result_document import write_json
    from openmm_hybrid.studies.training import train_and_test

    check_ending(output, ".npz", _MODEL)
    check_ending(report, ".json", "a report")
    data = settings.training_set()
    result = train_and_test(data, settings, progress=progress_wanted(ctx))
    result.training.model.save(output)
    if report is not None:
        write_json(report, result.as_dict())
    text = f"{result.table()}\nsGDML model of {data.frames.name} in {output}"
    print_result(text, result.as_dict() | {"output": str(output)}, as_json=as_json)


app = typer.Typer(no_args_is_help=True, help="Train an sGDML model, a force field, or a correction to a force field.")
app.command("sgdml", cls=Verb)(
    command(
        TrainingSettings,
        _sgdml,
        [
            parameter("ctx", typer.Context),
            parameter("output", OutputFile),
            parameter("report", Report, None),
            parameter("as_json", Json, False),
        ],
        "Train an sGDML model on labelled frames and print its errors.",
    )
)
app.command(cls=Verb)(forcefield)
app.command(cls=Verb)(correction)
