"""The studies: ``openmm-hybrid study NAME``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmm_hybrid.cli.error_lines import Verbs
from openmm_hybrid.cli.options import Output, read_numbers

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
    from openmm_hybrid.data.frames import Frames
    from openmm_hybrid.figures import save_figure, table2_figure
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


@app.command()
def sampling(
    frames: Annotated[Path, typer.Argument(help="Labelled frames that the reference is trained on (npz, xyz, h5).")],
    output: Output,
    molecule: Annotated[str, typer.Option(help="aspirin, ethanol or malonaldehyde.")] = "aspirin",
    potentials: Annotated[
        str, typer.Option(help="Of gaff-am1bcc, cross, global, local-forces, local, distilled.")
    ] = "gaff-am1bcc,cross,global,local-forces,local,distilled",
    temperature: Annotated[float, typer.Option(help="K.")] = 500.0,
    ladder: Annotated[str, typer.Option(help="Rising temperatures to exchange with, such as 390,500; K.")] = "",
    duration: Annotated[float, typer.Option(help="ps of each start.")] = 125.0,
    training_duration: Annotated[
        float, typer.Option(help="ps of each start of the runs that corrections are trained on.")
    ] = 30.0,
    starts: Annotated[int, typer.Option(help="Independent starts of each ensemble.")] = 32,
    n_train: Annotated[int, typer.Option(help="Frames that the reference is trained on.")] = 950,
    charges: Annotated[str, typer.Option(help="Of GAFF.")] = "resp",
) -> None:
    """Ensembles of GAFF, and of GAFF refitted and corrected, against that of sGDML: table, JSON and pictures."""
    from openmm_hybrid.core.result_document import write_json
    from openmm_hybrid.data.frames import Frames
    from openmm_hybrid.figures import density_figure, save_figure
    from openmm_hybrid.studies import sampling as study
    from openmm_hybrid.studies.conformations import case_of
    from openmm_hybrid.studies.potentials import Settings, bench_of

    settings = Settings(
        n_train=n_train,
        starts=starts,
        duration=duration,
        training_duration=training_duration,
        temperature=temperature,
        ladder=tuple(map(float, read_numbers(ladder, "temperatures"))) if ladder else (),
        charges=charges,
    )
    case = case_of(molecule)
    bench = bench_of(Frames.load(frames), case, molecule, settings, output)
    result = study.run(bench, potentials.split(","))
    write_json(output / f"sampling_{molecule}.json", result.as_dict())
    picture = density_figure(result.densities(), case.labels, notes=result.notes())
    save_figure(picture, output / f"sampling_{molecule}.png")
    print(result.table())
    print(f"sampling_{molecule}.json, picture, models and runs in {output}")
