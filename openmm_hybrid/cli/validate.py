"""The verb `validate`: checks of a System and its dynamics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmm_hybrid.cli.error_lines import print_result, progress_wanted
from openmm_hybrid.cli.options import Json, Seed, argument, check_ending, named, path_option
from openmm_hybrid.core.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from openmm_hybrid.forcefield import ForceField

_QUICK: dict[str, Any] = {"drift_ps": 1.0, "runs": 2, "sample_ps": 20.0, "n_atoms": 5}
"""Settings of --quick, for a check in a minute, where no option gives others."""


def validate(
    ctx: typer.Context,
    system: Annotated[
        Path, argument("Folder of `refine`, `build` or `replace`, or a System's XML file beside its topology.pdb.")
    ],
    solvated: Annotated[
        bool, typer.Option("--solvated", help="Take the box of water in the folder of `refine --solvate`.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Short runs: wrong dynamics are found, small drifts are not.")
    ] = False,
    check: Annotated[
        list[str] | None,
        named("openmm_hybrid.validation.settings:CHECKS", help="Kind of check; repeat it. By default all."),
    ] = None,
    platform: Annotated[
        list[str] | None,
        typer.Option(
            help="OpenMM platform; repeat it. By default all that can run the System, except OpenCL on the processor."
        ),
    ] = None,
    temperature: Annotated[float, typer.Option(help="Temperature, K.")] = 300.0,
    timestep: Annotated[float, typer.Option(help="Time step, fs.")] = 0.5,
    drift_ps: Annotated[
        float | None,
        typer.Option(help="Length of each run at constant energy, ps; by default 100.", show_default=False),
    ] = None,
    runs: Annotated[
        int | None, typer.Option(help="Runs at constant energy on each platform; by default 4.", show_default=False)
    ] = None,
    sample_ps: Annotated[
        float | None,
        typer.Option(help="Length of each run at constant temperature, ps; by default 200.", show_default=False),
    ] = None,
    output: Annotated[Path | None, path_option("--output", "-o", help="JSON file to write.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Check a System and its dynamics against finite differences, other platforms and statistical mechanics.

    The exit status is 1 if a check fails.
    """
    from openmm_hybrid.core.result_document import write_json
    from openmm_hybrid.validation.settings import CHECKS, ValidateSettings
    from openmm_hybrid.validation.validate import validate as run

    check_ending(output, ".json", "the result")
    given = {"drift_ps": drift_ps, "runs": runs, "sample_ps": sample_ps}
    lengths = (_QUICK if quick else {}) | {name: value for name, value in given.items() if value is not None}
    settings = ValidateSettings(
        checks=tuple(check) if check else CHECKS,
        platforms=tuple(platform or ()),
        temperature=temperature,
        timestep=timestep,
        seed=seed,
        **lengths,
    )
    forces, start, model = _subject(system, solvated)
    result = run(forces, start, model=model, settings=settings, progress=progress_wanted(ctx))
    if output is not None:
        write_json(output, result.as_dict())
    print_result(str(result), result.as_dict(), as_json=as_json)
    if not result.passed:
        raise typer.Exit(1)


def _subject(path: Path, solvated: bool) -> tuple[Any, NDArray[Any], ForceField | None]:
    """System, positions (Å) and, in a folder of `refine`, its force field.

    Raises
    ------
    InputError
        A file is missing or damaged, or there is no box of water.
    """
    from openmm_hybrid.forcefield import ForceField
    from openmm_hybrid.refinement.refined import FORCEFIELD, SOLVATED, SYSTEM
    from openmm_hybrid.systems.system_files import load_system, load_xml

    if path.suffix == ".xml":
        if solvated:
            raise InputError(f"{path} is a System", expected="--solvated with a folder of `refine --solvate`")
        return (*load_xml(path), None)
    refined = (path / SYSTEM).is_dir()
    if solvated and not (path / SOLVATED / "manifest.json").is_file():
        raise InputError(f"{path} has no box of water", expected="a folder of `refine --solvate`")
    system, _, start = load_system(path / (SOLVATED if solvated else SYSTEM) if refined else path)
    fitted = path / FORCEFIELD
    return system, start, ForceField.load(fitted) if refined and fitted.is_file() else None
