"""Options and arguments that several verbs share, and how their text is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmm_hybrid.core.errors import InputError

if TYPE_CHECKING:
    from openmm_hybrid.data.molecule import Molecule

Output = Annotated[Path, typer.Option("--output", "-o", help="Where the result goes.")]
Lam = Annotated[float, typer.Option(help="Regularisation of the forces divided by their standard deviation.")]
NTrain = Annotated[int | None, typer.Option(help="Train on so many frames, drawn at random; all by default.")]
Seed = Annotated[int, typer.Option(help="Of random choices.")]
EnergyUnit = Annotated[str, typer.Option("--e-unit", help="Unit of energy of frames that do not name one: eV, …")]
LengthUnit = Annotated[str, typer.Option("--r-unit", help="Unit of length of frames that do not name one: bohr, …")]
MoleculeFile = Annotated[
    Path | None, typer.Option("--molecule", help="SDF of the molecule, for its symmetries; else taken from distances.")
]


def check_npz(output: Path) -> None:
    """Refuse a name that a model cannot be saved under before the training, not after it."""
    if output.suffix != ".npz":
        raise InputError(f"a model cannot be written to {output}", expected="a name that ends in .npz")


def read_molecule(path: Path | None) -> Molecule | None:
    from openmm_hybrid.data.molecule import Molecule

    return None if path is None else Molecule.from_file(path)


def read_indices(text: str) -> list[int]:
    """0-based indices from text such as "0-8,12"."""
    chosen: list[int] = []
    try:
        for part in filter(None, text.split(",")):
            first, dash, last = part.partition("-")
            run = range(int(first), int(last if dash else first) + 1)
            if not run:
                raise ValueError
            chosen += run
    except ValueError:
        raise InputError(f"cannot read the atoms {text!r}", expected="indices and ranges such as 0-8,12") from None
    return chosen


def read_numbers(text: str, what: str) -> tuple[int, ...]:
    """Integers from text such as "100,200,400"."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"cannot read the {what} {text!r}", expected="integers such as 100,200,400") from None


def read_sigma(text: str) -> float | str:
    """A number, or the word "search"."""
    if text == "search":
        return text
    try:
        return float(text)
    except ValueError:
        raise InputError(f"sigma = {text!r}", expected="a number in 1/Å, or search") from None
