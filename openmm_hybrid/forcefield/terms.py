"""Terms: atoms that interact by one form, and the indices of their parameters."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.forms.form import KINDS, FunctionalForm
from openmm_hybrid.forms.internal import InternalCoordinates


@final
@dataclass(frozen=True, eq=False)
class Terms:
    """Terms of one group and form.

    Parameters
    ----------
    group : str
        Name such as "bonds", "bonds.neural" or "cross.angle"; unique in a force field.
    form : FunctionalForm
    atoms : (n_terms, form.n_atoms)
        Atoms of each term.
    assignment : (n_terms, n_columns)
        Index of each parameter in the force field's list.
    """

    group: str
    form: FunctionalForm
    atoms: NDArray[np.int64]
    assignment: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.atoms)

    @property
    def slot(self) -> str:
        """The group's name up to its dot: the slot that the terms fill or are added to, such as "bonds"."""
        return self.group.partition(".")[0]


def label(names: Sequence[str]) -> str:
    """Name of a type of terms from its atoms' types, the same in both directions."""
    return "-".join(min(tuple(names), tuple(reversed(names))))


def share(labels: Sequence[str], values: NDArray[np.float64]) -> tuple[list[str], NDArray[np.int64]]:
    """Labels of the rows of parameters that terms share, and the index of each term's row (n_terms,).

    Terms with equal labels and values (n_terms, n_columns) share a row. Further rows of one label have a number
    ("c3-hc", "c3-hc#2").
    """
    rows: dict[Hashable, int] = {}
    uses: dict[str, int] = {}
    names: list[str] = []
    row = np.zeros(len(labels), dtype=np.int64)
    for number, (name, value) in enumerate(zip(labels, values.tolist(), strict=True)):
        key = (name, tuple(value))
        if key not in rows:
            uses[name] = uses.get(name, 0) + 1
            names.append(name if uses[name] == 1 else f"{name}#{uses[name]}")
            rows[key] = len(rows)
        row[number] = rows[key]
    return names, row


def coordinates_of(blocks: Sequence[Terms], n_atoms: int) -> tuple[InternalCoordinates, list[NDArray[np.int64]]]:
    """All coordinates of the terms without repetition, and their indices (n_terms, n_q) for each block of terms."""
    found: dict[str, dict[tuple[int, ...], int]] = {kind: {} for kind in KINDS}
    wanted: list[list[list[tuple[str, int]]]] = []
    for block in blocks:
        wanted.append([])
        for atoms in block.atoms.tolist():
            term = []
            for coordinate in block.form.coordinates:
                members = tuple(atoms[index] for index in coordinate.indices)
                members = min(members, members[::-1])  # the value is the same in both directions
                known = found[coordinate.kind]
                term.append((coordinate.kind, known.setdefault(members, len(known))))
            wanted[-1].append(term)
    first = {"distance": 0, "angle": len(found["distance"])}
    first["dihedral"] = first["angle"] + len(found["angle"])
    indices = [
        np.array([[first[kind] + number for kind, number in term] for term in terms], dtype=np.int64).reshape(
            len(terms), len(block.form.coordinates)
        )
        for block, terms in zip(blocks, wanted, strict=True)
    ]
    distances, angles, dihedrals = (
        np.array(list(found[kind]), dtype=np.int64).reshape(-1, width) for kind, width in KINDS.items()
    )
    return InternalCoordinates(distances, angles, dihedrals, n_atoms), indices


class Block(torch.nn.Module):
    """Energies and slopes of one `Terms` in torch, by all coordinates of the force field.

    Parameters
    ----------
    terms : Terms
    coordinates : (n_terms, n_q)
        Indices of each term's coordinates among those of the force field.
    n_coordinates : int
        Number of coordinates of the force field.
    """

    def __init__(self, terms: Terms, coordinates: NDArray[np.int64], n_coordinates: int) -> None:
        super().__init__()
        self.form = terms.form
        self.n_coordinates = n_coordinates
        self.coordinates = torch.nn.Buffer(torch.tensor(coordinates), persistent=False)
        self.assignment = torch.nn.Buffer(torch.tensor(terms.assignment), persistent=False)

    def forward(self, q: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (n_frames,) and slopes (n_frames, n_coordinates) from q (n_frames, n_coordinates).

        `theta` (n_parameters,) are the force field's parameters.
        """
        energies, slopes = self.form(q[:, self.coordinates], theta[self.assignment])
        whole = torch.zeros([q.shape[0], self.n_coordinates], dtype=q.dtype, device=q.device)
        return energies.sum(-1), whole.index_add(1, self.coordinates.reshape(-1), slopes.flatten(1))
