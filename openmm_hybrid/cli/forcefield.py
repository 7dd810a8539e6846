"""Verbs of force fields: fitting one, and putting it into a System."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmm_hybrid.cli.options import EnergyUnit, Output, Seed, check_npz, read_indices
from openmm_hybrid.core.errors import InputError


def fit(
    system: Annotated[Path, typer.Argument(help="Folder of `build`, in vacuum.")],
    frames: Annotated[Path, typer.Argument(help="Labelled frames of the same atoms.")],
    output: Output,
    n_train: Annotated[int, typer.Option(help="Train on so many frames, drawn at random.")],
    n_test: Annotated[int, typer.Option(help="Test on so many of the others.")] = 1000,
    bonds: Annotated[str, typer.Option(help="harmonic, morse, spline or neural.")] = "harmonic",
    angles: Annotated[str, typer.Option(help="harmonic, spline or neural.")] = "harmonic",
    propers: Annotated[str, typer.Option(help="fourier, fourier6, …, spline or neural.")] = "fourier",
    impropers: Annotated[str, typer.Option(help="fourier, fourier4, …, spline or neural.")] = "fourier",
    cross: Annotated[bool, typer.Option("--cross", help="Add cross terms.")] = False,
    fixed: Annotated[str, typer.Option(help="Parameters that stay: 'charges/*,lj/*'.")] = "",
    report: Annotated[Path | None, typer.Option(help="Write errors and checks as JSON.")] = None,
    e_unit: EnergyUnit = "",
    seed: Seed = 0,
) -> None:
    """GAFF with parameters, and forms if asked for, fitted to labels; as npz."""
    from openmm_hybrid.core.result_document import write_json
    from openmm_hybrid.data.frames import Frames
    from openmm_hybrid.fitting import fit as run
    from openmm_hybrid.forcefield import ForceField
    from openmm_hybrid.systems.system_files import load_system

    check_npz(output)
    forces, topology, _ = load_system(system)
    data = Frames.load(frames, e_unit=e_unit)
    start = ForceField.from_system(forces, topology, name=data.name)
    edited = start.edit(bonds=bonds, angles=angles, propers=propers, impropers=impropers, cross=cross, seed=seed)
    patterns = tuple(filter(None, fixed.split(",")))
    result = run(edited, data, n_train=n_train, n_test=n_test, fixed=patterns, seed=seed)
    result.model.save(output, notes={"theory": data.theory, "data": data.name, "fit": result.as_dict()})
    if report is not None:
        write_json(report, result.as_dict())
    print(result.table())
    print(f"force field of {data.name} in {output}")


def replace(
    system: Annotated[Path, typer.Argument(help="Folder of `build`.")],
    forcefield: Annotated[str, typer.Argument(help="Force field: npz of `fit`, or the name of a shipped one.")],
    output: Output,
    atoms: Annotated[str, typer.Option(help="Its atoms, such as 0-8,12; the first ones by default.")] = "",
) -> None:
    """The System with a fitted force field in the place of its molecule's GAFF, all in OpenMM's own forces."""
    from openmm_hybrid.forcefield import ForceField
    from openmm_hybrid.systems.replace import replace as put
    from openmm_hybrid.systems.system_files import load_system, save_system

    if output.resolve() == system.resolve():
        raise InputError(f"{output} is the folder that is read", hint="name another one with -o")
    fitted = ForceField.load(forcefield)
    forces, topology, positions = load_system(system)
    put(forces, topology, fitted, atoms=read_indices(atoms) if atoms else range(fitted.n_atoms))
    save_system(output, forces, topology, positions)
    print(f"{fitted.name} with {len(fitted.groups)} groups of terms in {output}")
