"""The verb `refine`: from a molecule to a fitted and checked force field."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmm_hybrid.cli.error_lines import print_result, progress_wanted
from openmm_hybrid.cli.options import Json, OutputFolder, Seed, Template, named

if TYPE_CHECKING:
    from openmm_hybrid.refinement.settings import RefineSettings


def refine(
    ctx: typer.Context,
    molecules: Annotated[
        list[str],
        typer.Argument(
            metavar="MOLECULE...",
            help="SMILES, an SDF, MOL, MOL2 or PDB file, or a folder of `build`. Several are fitted together.",
        ),
    ],
    output: OutputFolder,
    template: Template = "",
    base: Annotated[
        str,
        named(
            "openmm_hybrid.bases:names",
            help="Base force field; by default that of a folder of `build`, otherwise gaff-2.2.20.",
        ),
    ] = "",
    charges: Annotated[
        str,
        named(
            "openmm_hybrid.charges:METHODS",
            help="Method for the partial charges; by default those of a folder of `build`, otherwise am1-bcc.",
        ),
    ] = "",
    engine: Annotated[str, typer.Option(help="Reference engine of the labels.")] = "gfn2",
    temperature: Annotated[
        float, typer.Option(help="Temperature of the dynamics, K; some run at 1.5 times it.")
    ] = 500.0,
    implicit_water: Annotated[
        bool, typer.Option("--implicit-water", help="Run the dynamics in implicit water (OBC2) in place of vacuum.")
    ] = False,
    conformers: Annotated[int, typer.Option(help="Conformers from which the dynamics start.")] = 8,
    first: Annotated[int, typer.Option(help="Labels of frames of the base force field.")] = 500,
    scan: Annotated[
        int, typer.Option(help="Angles of each rotor's relaxed scan, among the first labels; 0 means no scans.")
    ] = 12,
    fresh: Annotated[int, typer.Option(help="Labels per round that check the model on its own dynamics.")] = 50,
    more: Annotated[int, typer.Option(help="Further labels per round.")] = 150,
    rounds: Annotated[int, typer.Option(help="Maximum number of fits.")] = 5,
    factor: Annotated[
        float,
        typer.Option(
            help="Error on the force field's own dynamics, relative to that on unseen frames, that ends the rounds."
        ),
    ] = 1.2,
    target: Annotated[
        float, typer.Option(help="Force error on its own dynamics that ends the rounds, kcal/mol/Å.")
    ] = 1.5,
    max_minutes: Annotated[
        float | None, typer.Option(help="Time after which no further round starts, minutes.", show_default=False)
    ] = None,
    profile: Annotated[int, typer.Option(help="Angles of each rotor's torsion profile; 0 means no profiles.")] = 24,
    rotors: Annotated[int, typer.Option(help="Maximum number of rotors with a torsion profile.")] = 8,
    hot_ps: Annotated[
        float, typer.Option(help="Length of the last run, at 1.5 times the temperature, ps; 0 means no run.")
    ] = 100.0,
    frequencies: Annotated[
        bool, typer.Option(help="Compare harmonic frequencies with the reference, by 6 labels for each atom.")
    ] = True,
    max_labels: Annotated[
        int | None,
        typer.Option(help="Maximum number of labels; a round that could exceed it does not start.", show_default=False),
    ] = None,
    solvate: Annotated[
        float | None,
        typer.Option(
            help="Write a box of water too, with this distance to its periodic images, Å.", show_default=False
        ),
    ] = None,
    correct: Annotated[
        bool,
        typer.Option("--correct", help="Train an sGDML correction of what the force field leaves, on the labels."),
    ] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make a force field for a molecule and check it on its own dynamics; the same command resumes after a stop.

    The folder gets forcefield.npz, system/, refined.xml, labels.npz, result.json and report.html, solvated/ with
    --solvate, and correction.npz with --correct. With several molecules, each has such a folder in it, and terms of
    equal GAFF types have the same parameters in all of them.
    """
    from openmm_hybrid.core.errors import InputError
    from openmm_hybrid.refinement.rounds import refine as refine_molecule
    from openmm_hybrid.refinement.rounds import refine_series

    settings = refine_settings(
        base=base,
        charges=charges,
        engine=engine,
        temperature=temperature,
        implicit_water=implicit_water,
        conformers=conformers,
        first=first,
        scan=scan,
        fresh=fresh,
        more=more,
        rounds=rounds,
        factor=factor,
        target=target,
        max_minutes=max_minutes,
        profile=profile,
        rotors=rotors,
        hot_ps=hot_ps,
        frequencies=frequencies,
        max_labels=max_labels,
        solvate=solvate,
        correct=correct,
        seed=seed,
    )
    progress = progress_wanted(ctx)
    if len(molecules) == 1:
        result = refine_molecule(molecules[0], Path(output), settings, template=template, progress=progress)
        results, content = [result], result.as_dict()
    elif template:
        raise InputError("--template with several molecules", expected="one molecule")
    else:
        results = list(refine_series(molecules, Path(output), settings, progress=progress))
        content = {result.path.name: result.as_dict() for result in results}
    text = "\n".join(f"{result.verdict}\n{result.path / 'report.html'}" for result in results)
    print_result(text, content, as_json=as_json)


def refine_settings(
    *, conformers: int, first: int, scan: int, fresh: int, more: int, profile: int, rotors: int,
    max_minutes: float | None, **others: Any,
) -> RefineSettings:  # fmt: skip
    """The settings of the options of `refine`; `others` have the names of fields of `RefineSettings`.

    Raises
    ------
    InputError
        A number is out of range.
    """
    from openmm_hybrid.refinement.settings import RefineSettings

    return RefineSettings(
        n_conformers=conformers, n_first=first, n_scan=scan, n_fresh=fresh, n_more=more, n_profile=profile,
        n_rotors=rotors, max_minutes=math.inf if max_minutes is None else max_minutes, **others,
    )  # fmt: skip
