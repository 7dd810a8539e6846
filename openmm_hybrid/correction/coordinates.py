"""Coordinates that a correction is a function of: read from the user, and made into terms of a force field."""

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
"""Atoms (2, 3 or 4: a distance, an angle or a dihedral), or a pair of such for a function of two coordinates."""

_SHOWN = 10  # frames that say which hydrogen is on which side
_KINDS = {2: "distance", 3: "angle", 4: "dihedral"}


def coordinates(along: Sequence[Entry], n_atoms: int) -> tuple[tuple[Atoms, ...], ...]:
    """One or two tuples of atoms from each entry.

    Raises
    ------
    InputError
        No entries, or one that is no coordinate.
    """
    if not along:
        raise InputError("no coordinates are given", expected="one function of them at least")
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
            expected=f"2, 3 or 4 different atoms of 0 to {n_atoms - 1}, or a pair of such",
        )
    return found


def functions(
    frames: Frames, molecule: Molecule | None, terms: Sequence[tuple[Atoms, ...]], pieces: int, order: int
) -> ForceField:
    """The functions at zero, with the ranges that the frames sample.

    Parameters
    ----------
    frames : Frames
    molecule : Molecule, optional
        Gives the bonds, and with them the symmetries; else they are taken from the distances.
    terms : sequence
        As from `coordinates`: a `Spline` of one of them, a `Fourier2D` of two, on all images under the symmetries of
        the graph.
    pieces, order : int
        Of the splines and of the series.
    """
    bonds = bonds_of(frames, molecule)
    perms = permutations_of(frames[:_SHOWN], "graph", molecule)
    builder = Builder(frames.atomic_numbers, bonds, name=frames.name)
    for number, coordinates in enumerate(terms):
        atoms = tuple(dict.fromkeys(atom for part in coordinates for atom in part))
        form: FunctionalForm
        if len(coordinates) == 1:
            form = Spline(_KINDS[len(atoms)], pieces=pieces)
        else:
            texts = [f"{_KINDS[len(part)]} {' '.join(str(atoms.index(atom)) for atom in part)}" for part in coordinates]
            form = Fourier2D(texts[0], texts[1], order=order)
        images: dict[tuple[Atoms, ...], Atoms] = {}
        for perm in perms.tolist():
            key = tuple(min(own, own[::-1]) for own in (tuple(perm[atom] for atom in part) for part in coordinates))
            images.setdefault(key, tuple(perm[atom] for atom in atoms))
        (row,) = form.start(1).tolist()
        ends = []
        for place, part in enumerate(coordinates):
            if len(part) < 4:
                values = _values(frames, [key[place] for key in images])
                ends += [float(values.min()), float(values.max())]
        row[: len(ends)] = ends
        builder.add(f"distilled.{number}", form, dict.fromkeys(images.values(), row))
    return ForceField(builder.finish())


def _values(frames: Frames, parts: Sequence[Atoms]) -> Floats:
    function = geometry.distance if len(parts[0]) == 2 else geometry.angle
    return function(frames.positions, list(parts))


def described(terms: Sequence[tuple[Atoms, ...]]) -> str:
    """Names of the coordinates for a reader: "8-10, 5-6-12-11 × 6-5-10-7"."""
    return ", ".join(" × ".join("-".join(map(str, atoms)) for atoms in term) for term in terms)


def designs(start: ForceField, q: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """What the coefficients of each function multiply.

    Parameters
    ----------
    start : ForceField
        As from `functions`.
    q : (n_frames, n_coordinates), Å or rad
        Values of its internal coordinates.

    Yields
    ------
    numbers : (n_images, 1 or 2)
        Coordinates of each image of a function.
    columns : (n_coefficients,)
        Places of its coefficients, which the images share, among all.
    values : (n_frames, n_coefficients)
        Energies at the coefficient 1, summed over the images.
    slopes : (n_frames, n_images, 1 or 2, n_coefficients)
        Derivatives of each image's energies by its coordinates.
    """
    place = np.cumsum(start.parameters.fitted) - 1
    rows = torch.tensor(start.parameters.values)
    for terms, numbers in zip(start.terms, coordinates_of(start.terms, start.n_atoms)[1], strict=True):
        values, slopes = terms.form.design(q[:, numbers], rows[torch.tensor(terms.assignment)])
        fitted = [k for k, column in enumerate(terms.form.columns) if column.fitted]
        columns = torch.tensor(place[terms.assignment[0, fitted]])
        yield torch.as_tensor(numbers), columns, values.sum(dim=1), slopes
