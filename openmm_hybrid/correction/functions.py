"""Functions of few coordinates: entries of the user, made into terms of a force field that are to be fitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.terms import coordinates_of
from openmm_hybrid.forms.form import FunctionalForm
from openmm_hybrid.forms.fourier2d import Fourier2D
from openmm_hybrid.forms.spline import Spline
from openmm_hybrid.models.residual import bonds_of
from openmm_hybrid.sgdml.training_set import permutations_of

Floats = NDArray[np.float64]
Atoms = tuple[int, ...]
Entry = Sequence[int] | Sequence[Sequence[int]]
"""Atoms (2, 3 or 4: a distance, an angle or a dihedral), or a pair of these for a function of two coordinates."""

FOLDS = 5
"""Number of folds of the cross-validation that chooses the penalty of the functions."""
_SHOWN = 10  # number of frames that show which hydrogen is on which side
_KINDS = {2: "distance", 3: "angle", 4: "dihedral"}


def parse(along: Sequence[Entry], n_atoms: int) -> tuple[tuple[Atoms, ...], ...]:
    """The coordinates of each function: one or two tuples of atoms per entry.

    Raises
    ------
    InputError
        There are no entries, or one of them is not a coordinate.
    """
    if not along:
        raise InputError("no coordinates are given", expected="at least one entry in along=")
    return tuple(_parsed(entry, n_atoms) for entry in along)


def _parsed(entry: Entry, n_atoms: int) -> tuple[Atoms, ...]:
    given: Any = entry
    try:
        rows = given if isinstance(given[0], Sequence | np.ndarray) else [given]
        found = tuple(tuple(int(atom) for atom in row) for row in rows)
    except (TypeError, ValueError, IndexError):
        found = ()
    good = 1 <= len(found) <= 2 and all(
        len(part) in _KINDS and len(set(part)) == len(part) and min(part) >= 0 and max(part) < n_atoms for part in found
    )
    if not good:
        raise InputError(
            f"the coordinate {entry!r}",
            expected=f"2, 3 or 4 different atoms of 0 to {n_atoms - 1}, or a pair of these",
        )
    return found


def functions(
    frames: Frames, molecule: Molecule | None, coordinates: Sequence[tuple[Atoms, ...]], pieces: int, order: int
) -> ForceField:
    """A force field of the functions alone, all zero, with the ranges that the frames sample.

    Parameters
    ----------
    frames : Frames
    molecule : Molecule, optional
        Source of the bonds, and with them of the symmetries. Without it the distances show the bonds.
    coordinates : sequence
        Result of `parse`. One coordinate gives a `Spline`, two give a `Fourier2D`, on all images of their atoms under
        the symmetries of the graph.
    pieces, order : int
        Number of pieces of a spline, and order of a Fourier series.
    """
    bonds = bonds_of(frames, molecule)
    perms = permutations_of(frames[:_SHOWN], "graph", molecule)
    builder = Builder(frames.atomic_numbers, bonds, name=frames.name)
    for number, entry in enumerate(coordinates):
        atoms = tuple(dict.fromkeys(atom for part in entry for atom in part))
        form: FunctionalForm
        if len(entry) == 1:
            form = Spline(_KINDS[len(atoms)], pieces=pieces)
        else:
            texts = [f"{_KINDS[len(part)]} {' '.join(str(atoms.index(atom)) for atom in part)}" for part in entry]
            form = Fourier2D(texts[0], texts[1], order=order)
        images: dict[tuple[Atoms, ...], Atoms] = {}
        for perm in perms.tolist():
            moved = (tuple(perm[atom] for atom in part) for part in entry)
            key = tuple(min(part, part[::-1]) for part in moved)
            images.setdefault(key, tuple(perm[atom] for atom in atoms))
        (row,) = form.start(1).tolist()
        ends = []
        for index, part in enumerate(entry):
            if len(part) < 4:
                values = _values(frames, [key[index] for key in images])
                ends += [float(values.min()), float(values.max())]
        row[: len(ends)] = ends
        builder.add(f"distilled.{number}", form, dict.fromkeys(images.values(), row))
    return ForceField(builder.finish())


def _values(frames: Frames, parts: Sequence[Atoms]) -> Floats:
    function = geometry.distance if len(parts[0]) == 2 else geometry.angle
    return function(frames.positions, list(parts))


def named(coordinates: Sequence[tuple[Atoms, ...]]) -> str:
    """Names of the coordinates for a reader: "8-10, 5-6-12-11 × 6-5-10-7"."""
    return ", ".join(" × ".join("-".join(map(str, atoms)) for atoms in entry) for entry in coordinates)


def designs(start: ForceField, q: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Energies and slopes of each function with unit coefficients.

    Parameters
    ----------
    start : ForceField
        Result of `functions`.
    q : (n_frames, n_coordinates), Å or rad
        Values of its internal coordinates.

    Yields
    ------
    coordinates : (n_images, 1 or 2)
        Indices of the coordinates of each image of the function.
    columns : (n_coefficients,)
        Indices of its coefficients among the fitted parameters. All images share them.
    values : (n_frames, n_coefficients)
        Energies for the coefficient 1, summed over the images.
    slopes : (n_frames, n_images, 1 or 2, n_coefficients)
        Derivatives of the energy of each image by its coordinates.
    """
    column_of = np.cumsum(start.parameters.fitted) - 1
    rows = torch.tensor(start.parameters.values)
    for terms, coordinates in zip(start.terms, coordinates_of(start.terms, start.n_atoms)[1], strict=True):
        values, slopes = terms.form.design(q[:, coordinates], rows[torch.tensor(terms.assignment)])
        fitted = [k for k, column in enumerate(terms.form.columns) if column.fitted]
        columns = torch.tensor(column_of[terms.assignment[0, fitted]])
        yield torch.as_tensor(coordinates), columns, values.sum(dim=1), slopes
