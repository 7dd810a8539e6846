"""Verbs that train: sGDML models of labels, and of what a force field misses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmm_hybrid.cli.options import (
    EnergyUnit,
    Lam,
    MoleculeFile,
    NTrain,
    Output,
    Seed,
    check_npz,
    read_indices,
    read_molecule,
    read_numbers,
    read_sigma,
)
from openmm_hybrid.core.errors import InputError

if TYPE_CHECKING:
    from openmm_hybrid.sgdml import SolverSettings, TrainingSet

_KERNEL = {"--gate", "--sigma", "--lam", "--n-train", "--seed"}
_RECIPES: dict[str, tuple[tuple[set[str], ...], set[str]]] = {
    "global": ((), _KERNEL),
    "local": (({"--atoms", "--smarts"},), _KERNEL),
    "distilled": (({"--along"},), set()),
    "populations": (({"--along"}, {"--own"}, {"--temperature"}), set()),
}
"""Recipe of a correction → sets of options of which it needs one each, and others that it takes."""


def train(
    frames: Annotated[Path, typer.Argument(help="Labelled frames (npz, xyz, h5).")],
    output: Output,
    sigma: Annotated[str, typer.Option(help="Length of the kernel, 1/Å, or search.")] = "20",
    lam: Lam = 1e-10,
    n_train: NTrain = None,
    n_valid: Annotated[
        int | None, typer.Option(help="Keep so many frames to validate on; 200 if sigma is sought.")
    ] = None,
    n_test: Annotated[int, typer.Option(help="Test on at most so many of the frames that are left.")] = 1000,
    perms: Annotated[str, typer.Option(help="Symmetries: graph, data or none.")] = "graph",
    selection: Annotated[
        str, typer.Option(help="How frames are selected: auto, stratified (by energy) or random.")
    ] = "auto",
    atoms: Annotated[str, typer.Option(help="Train on these atoms only, such as 0-8,12.")] = "",
    molecule: MoleculeFile = None,
    solver: Annotated[str, typer.Option(help="auto, or the name of a solver.")] = "auto",
    max_memory: Annotated[float | None, typer.Option(help="GB that the solver may use.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="File that a long training keeps its state in.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    energy_constraint: Annotated[
        bool, typer.Option("--energy-constraint", help="Train on the energies too, not on the forces alone.")
    ] = False,
    curve: Annotated[str, typer.Option(help="Learning curve over numbers of training frames: 100,200,400.")] = "",
    report: Annotated[Path | None, typer.Option(help="Write the errors as JSON.")] = None,
    e_unit: EnergyUnit = "",
    seed: Seed = 0,
) -> None:
    """An sGDML model of labelled frames, as npz, with its errors; or one for each number of frames of a curve."""
    from openmm_hybrid.data.frames import Frames
    from openmm_hybrid.sgdml import SolverSettings, training_set
    from openmm_hybrid.sgdml.train import check_sigma

    check_npz(output)
    if report is not None and report.suffix != ".json":
        raise InputError(f"a report cannot be written to {report}", expected="a name that ends in .json")
    length, sizes = read_sigma(sigma), read_numbers(curve, "numbers of training frames") if curve else ()
    check_sigma(length, lam)
    if sizes and (n_train is not None or report is not None):
        other = "--report" if n_train is None else "--n-train"
        raise InputError(f"both {other} and --curve are given", hint="a curve has its own numbers and report")
    data = training_set(
        Frames.load(frames, e_unit=e_unit),
        n_train=max(sizes, default=n_train),
        n_valid=n_valid if n_valid is not None or length == "search" else 0,
        perms=None if perms == "none" else perms,
        molecule=read_molecule(molecule),
        atoms=read_indices(atoms) if atoms else None,
        selection=selection,
        seed=seed,
        energy_constraint=energy_constraint,
    )
    settings = SolverSettings(solver, max_memory, checkpoint, device)
    if sizes:
        _curve(data, sizes, length, lam, n_test, settings, output)
    else:
        _single(data, length, lam, n_test, settings, output, report)


def _single(
    data: TrainingSet,
    sigma: float | str,
    lam: float,
    n_test: int,
    solver: SolverSettings,
    output: Path,
    report: Path | None,
) -> None:
    from openmm_hybrid.core.result_document import write_json
    from openmm_hybrid.studies import training

    result = training.run(data, sigma=sigma, lam=lam, n_test=n_test, solver=solver)
    result.training.model.save(output)
    if report is not None:
        write_json(report, result.as_dict())
    print(result.table())
    print(f"sGDML model of {data.frames.name} in {output}")


def _curve(
    data: TrainingSet,
    sizes: tuple[int, ...],
    sigma: float | str,
    lam: float,
    n_test: int,
    solver: SolverSettings,
    output: Path,
) -> None:
    from openmm_hybrid.figures import learning_curve_figure, save_figure
    from openmm_hybrid.studies import learning_curve

    settings = learning_curve.CurveSettings(sizes, sigma, lam, n_test)
    journal, picture = output.with_suffix(".json"), output.with_suffix(".png")
    result = learning_curve.run(data, settings, journal=journal, model=output, solver=solver)
    tables = {"train": [point.train for point in result.points], "test": [point.test for point in result.points]}
    save_figure(learning_curve_figure(sizes, tables), picture)
    print(result.table())
    print(f"learning curve of {data.frames.name} in {journal} and {picture}, its last model in {output}")


def correct(
    system: Annotated[Path, typer.Argument(help="Folder of `build`, in vacuum.")],
    frames: Annotated[Path, typer.Argument(help="Labelled frames of the same atoms.")],
    output: Output,
    recipe: Annotated[str, typer.Option(help="global, local, distilled or populations.")] = "",
    atoms: Annotated[str, typer.Option(help="Of a local correction, such as 0-8,12.")] = "",
    smarts: Annotated[str, typer.Option(help="The same as a pattern, whose first match it is.")] = "",
    along: Annotated[
        str, typer.Option(help="Coordinates of a distilled one, or of populations: '8,10; 5,6,12,11 x 6,5,10,7'.")
    ] = "",
    own: Annotated[
        Path | None, typer.Option(help="Frames of the force field's own dynamics, to match populations with FRAMES.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of both ensembles, where populations are matched, K.")
    ] = None,
    gate: Annotated[bool, typer.Option("--gate", help="Let the correction fade far from its training frames.")] = False,
    sigma: Annotated[float | None, typer.Option(help="Length of the kernel, 1/Å; 1 if not given.")] = None,
    lam: Annotated[float | None, typer.Option(help="Regularisation; 1e-10, or sought for a local correction.")] = None,
    n_train: NTrain = None,
    e_unit: EnergyUnit = "",
    seed: Annotated[int | None, typer.Option(help="Seed of the selection of frames; 0 if not given.")] = None,
) -> None:
    """What labels say beyond a force field, as npz: an sGDML model of all atoms or of some, or functions of few
    coordinates; or what populations say, which takes frames without labels."""
    from openmm_hybrid import correction
    from openmm_hybrid.data.frames import Frames
    from openmm_hybrid.gaff import SystemModel
    from openmm_hybrid.systems.system_files import load_system

    check_npz(output)
    chosen = _recipe(recipe, atoms or smarts, along, own)
    given = {
        "--atoms": atoms,
        "--smarts": smarts,
        "--along": along,
        "--own": own,
        "--temperature": temperature,
        "--gate": gate or None,
        "--sigma": sigma,
        "--lam": lam,
        "--n-train": n_train,
        "--seed": seed,
    }
    _check_recipe(chosen, {option for option, value in given.items() if value not in (None, "")})
    forces, topology, _ = load_system(system)
    if forces.usesPeriodicBoundaryConditions():
        raise InputError(f"{system} is solvated", expected="the molecule in vacuum", hint="build it without --padding")
    data = Frames.load(frames, e_unit=e_unit)
    known = read_molecule(system / "molecule.sdf" if (system / "molecule.sdf").is_file() else None)
    field = SystemModel(forces, topology)
    length, seed = (1.0 if sigma is None else sigma), seed or 0
    if own is not None and temperature is not None:
        matched = correction.match_populations(
            Frames.load(own), data, _along(along), temperature=temperature, molecule=known
        )
        matched.model.save(output)
        print(matched.summary())
    elif chosen == "distilled":
        distilled = correction.distill(field, data, _along(along), molecule=known)
        distilled.model.save(output)
        print(distilled.summary())
    elif chosen == "local":
        lams = correction.LAMS if lam is None else (lam,)
        group = smarts or read_indices(atoms)
        local = correction.train_local(
            field, data, group, molecule=known, sigma=length, lams=lams, n_train=n_train, seed=seed
        )
        here = Frames(local.model.atomic_numbers, data.positions[:, local.atoms])
        correction.save(correction.gate(local.model, here) if gate else local.model, output, atoms=local.atoms)
        print(local.summary())
    else:
        lam = 1e-10 if lam is None else lam
        model = correction.train(field, data, sigma=length, lam=lam, n_train=n_train, molecule=known, seed=seed)
        if gate:
            correction.save(correction.gate(model, data), output)
        else:
            model.save(output)
    print(f"correction of {data.name} in {output}")


def _recipe(name: str, atoms: str, along: str, own: Path | None) -> str:
    """The recipe that was named, or that the other options ask for."""
    return name or ("local" if atoms else "populations" if own else "distilled" if along else "global")


def _check_recipe(recipe: str, given: set[str]) -> None:
    """Refuse options that a recipe does not take, and miss those that it needs."""
    if recipe not in _RECIPES:
        raise InputError(f"unknown recipe {recipe!r}", expected="global, local, distilled or populations")
    if given >= {"--atoms", "--smarts"}:
        raise InputError("both --atoms and --smarts are given", expected="one of them")
    needed, others = _RECIPES[recipe]
    for group in needed:
        if not given & group:
            raise InputError(f"recipe {recipe} without {' or '.join(sorted(group))}", expected="these options")
    strange = given.difference(others, *needed)
    if strange:
        raise InputError(
            f"recipe {recipe} with {', '.join(sorted(strange))}",
            expected=f"options that it takes: {', '.join(sorted(others.union(*needed)))}",
        )


def _along(text: str) -> list[list[int] | list[list[int]]]:
    """Coordinates from text such as "8,10; 5,6,12,11 x 6,5,10,7"."""
    try:
        terms = [[[int(atom) for atom in part.split(",")] for part in term.split("x")] for term in text.split(";")]
    except ValueError:
        raise InputError(
            f"cannot read the coordinates {text!r}", expected="atoms such as '8,10; 5,6,12,11 x 6,5,10,7'"
        ) from None
    return [term[0] if len(term) == 1 else term for term in terms]
