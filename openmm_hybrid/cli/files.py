"""Verbs that turn one file into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmm_hybrid.cli.options import EnergyUnit, LengthUnit, Output


def export(
    model: Annotated[Path, typer.Argument(help="File of any model or correction, or the name of a shipped set.")],
    output: Output,
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
) -> None:
    """The model as one TorchScript file, which plain libtorch loads."""
    from openmm_hybrid.models.torchscript import export_torchscript
    from openmm_hybrid.models_io.any_model import load_correction

    loaded = load_correction(model).model
    name, theory = (str(getattr(loaded, field, "")) for field in ("name", "theory"))
    export_torchscript(loaded, output, name=name, theory=theory, dtype=dtype)
    print(f"TorchScript module of {loaded.n_atoms} atoms in {output}")


def convert(
    source: Annotated[Path, typer.Argument(help="Frames (npz, xyz, h5), or an sGDML model of any layout (npz).")],
    target: Annotated[Path, typer.Argument(help="The ending says the format of frames; of a model it is npz.")],
    e_unit: EnergyUnit = "",
    r_unit: LengthUnit = "",
) -> None:
    """Frames in another format, or an sGDML model in today's layout."""
    from openmm_hybrid.models_io.convert import convert as converted

    print(f"{converted(source, target, r_unit=r_unit, e_unit=e_unit)} in {target}")
