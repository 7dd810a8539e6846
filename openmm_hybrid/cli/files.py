"""Verbs that turn one file into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from openmm_hybrid.cli.models import load_model
from openmm_hybrid.cli.options import EnergyUnit, LengthUnit, OutputFile, OutputFolder, argument, path_option
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.studies.study import read_indices


def export(
    model: Annotated[
        str, typer.Argument(help="sGDML model, correction or force field (npz), or the name of a shipped force field.")
    ],
    output: OutputFile,
    dtype: Annotated[Literal["float64", "float32"], typer.Option(help="Precision of the exported model.")] = "float64",
) -> None:
    """Write a model as one TorchScript file, which libtorch loads without this package."""
    from openmm_hybrid.models.torchscript import export_torchscript

    if output.suffix not in (".pt", ".pth"):
        raise InputError(f"a TorchScript model cannot be written to {output}", expected="a name that ends in .pt")
    loaded, _ = load_model(model)
    # A gate, and a force field, have no level of theory of their own.
    inner = getattr(loaded, "model", loaded)
    name, theory = getattr(inner, "name", "model"), getattr(inner, "theory", "unknown")
    export_torchscript(loaded, output, name=name, theory=theory, dtype=dtype)
    print(f"TorchScript module of {loaded.n_atoms} atoms in {output}")


def convert(
    source: Annotated[Path, argument("Frames (npz, xyz, h5), or an sGDML model of any layout (npz).")],
    output: Annotated[
        Path,
        path_option("--output", "-o", help="File to write. Its ending gives the format of frames; models are npz."),
    ],
    e_unit: EnergyUnit = "",
    r_unit: LengthUnit = "",
) -> None:
    """Write frames in another format, or an sGDML model in the current layout."""
    from openmm_hybrid.models_io.convert import convert as converted

    print(f"{converted(source, output, r_unit=r_unit, e_unit=e_unit)} in {output}")


def replace(
    system: Annotated[Path, argument("Folder of `build`.")],
    forcefield: Annotated[
        str, typer.Argument(help="Force field: npz of `train forcefield`, or the name of a shipped one.")
    ],
    output: OutputFolder,
    atoms: Annotated[str, typer.Option(help="Atoms of the force field, such as 0-8,12; by default the first.")] = "",
    fitted_nonbonded_outside: Annotated[
        bool,
        typer.Option(
            "--fitted-nonbonded-outside",
            help="Let the fitted charges and Lennard-Jones parameters act on other molecules too; the fit does not "
            "determine these interactions.",
        ),
    ] = False,
    temperature: Annotated[
        float, typer.Option(help="Temperature of the mean lengths at which constraints hold fitted bonds, K.")
    ] = 300.0,
) -> None:
    """Replace a molecule's terms in a System by a fitted force field, as OpenMM's own forces."""
    from openmm_hybrid.forcefield import ForceField
    from openmm_hybrid.systems.replace import replace as put
    from openmm_hybrid.systems.system_files import load_system, save_system

    if output.resolve() == system.resolve():
        raise InputError(f"{output} is the folder that is read", hint="name another one with -o")
    is_file = forcefield.endswith(".npz")
    fitted = ForceField.load(Path(forcefield).expanduser() if is_file else forcefield)
    forces, topology, positions = load_system(system)
    put(
        forces,
        topology,
        fitted,
        atoms=list(read_indices(atoms)) if atoms else range(fitted.n_atoms),
        fitted_nonbonded_outside=fitted_nonbonded_outside,
        temperature=temperature,
    )
    save_system(output, forces, topology, positions)
    print(f"{fitted.name} with {len(fitted.groups)} groups of terms in {output}")
