"""The studies: ``openmm-hybrid study NAME``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmm_hybrid.cli.options import Output, read_numbers
from openmm_hybrid.cli_errors import Verbs

app = typer.Typer(
    cls=Verbs, help="Comparisons of force fields, models and sampling.", no_args_is_help=True, add_completion=False
)


@app.command()
def table2(
    frames: Annotated[list[Path], typer.Argument(help="Labelled frames of each molecule (npz, xyz, h5).")],
    output: Output,
    n_train: Annotated[str, typer.Option(help="Numbers of training frames.")] = "110,1100,7000",
    forms: Annotated[str, typer.Option(help="Rows: gaff, morse, nn, spline, cross, sgdml.")] = "",
    seeds: Annotated[int, typer.Option(help="Random splits of each cell.")] = 3,
    n_test: Annotated[int, typer.Option(help="Unseen frames to test on.")] = 1000,
) -> None:
    """GAFF refitted in several forms, and sGDML, against the number of training frames: table, JSON and pictures."""
    from openmm_hybrid.figures import save_figure, table2_figure
    from openmm_hybrid.frames import Frames
    from openmm_hybrid.studies import table2 as study

    rows = tuple(forms.split(",")) if forms else tuple(study.FORMS)
    settings = study.Settings(read_numbers(n_train, "numbers of training frames"), rows, seeds, n_test)
    result = study.run([Frames.load(path) for path in frames], settings, output)
    print(result.text())
    for measure, unit in (("force_rmse", "kcal/mol/Å"), ("energy_rmse", "kcal/mol")):
        errors, published = result.curves(measure)
        label = f"{measure.split('_')[0]} RMSE / {unit}"
        save_figure(table2_figure(errors, published, label=label), output / f"table2_{measure}.png")
    print(f"table2.json, pictures and models in {output}")
