"""Models made of models: a sum, a difference, and a model on some atoms of a larger molecule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.versioned_npz import Arrays, prefixed
from openmm_hybrid.data.identity import Identity
from openmm_hybrid.models.energy_model import EnergyModel, check_model
from openmm_hybrid.models.storage import pack, unpack


@final
@dataclass(frozen=True, eq=False)
class Sum(EnergyModel):
    """E = Σ E_k and F = Σ F_k of models of the same atoms in the same order.

    Parameters
    ----------
    parts : sequence of EnergyModel
        One or more models.

    Raises
    ------
    MismatchError
        The parts have different atoms or atom orders.
    InputError
        There are no parts.
    """

    parts: Sequence[EnergyModel]
    kind: ClassVar[str] = "sum"

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        if not self.parts:
            raise InputError("a Sum needs at least one part")
        check_model(self.parts[0], "part 0 of the Sum")
        for index, part in enumerate(self.parts[1:], start=1):
            _same_atoms(self.parts[0], part, f"part {index} of the Sum")

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """See `EnergyModel.atomic_numbers`."""
        return self.parts[0].atomic_numbers

    @property
    def bonds(self) -> NDArray[np.int64] | None:
        """See `EnergyModel.bonds`."""
        return next((part.bonds for part in self.parts if part.bonds is not None), None)

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `EnergyModel.evaluate`."""
        energies, forces = np.zeros(len(positions)), np.zeros(positions.shape)
        for part in self.parts:
            part_energies, part_forces = part.evaluate(positions)
            energies += part_energies
            forces += part_forces
        return energies, forces

    def module(self) -> torch.nn.Module:
        """See `EnergyModel.module`. One module holds the modules of the parts."""
        return _Combination(self.parts[0].module(), [part.module() for part in self.parts[1:]], 1.0)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """See `EnergyModel.to_arrays`."""
        return _pack_parts(self.parts)

    @classmethod
    def from_arrays(cls, description: Mapping[str, Any], arrays: Arrays) -> Sum:
        """The sum that `to_arrays` described."""
        return cls(_unpack_parts(description, arrays))


@final
@dataclass(frozen=True, eq=False)
class Difference(EnergyModel):
    """E = E_minuend − E_subtrahend, for example the residual of a force field: reference − force field.

    Parameters
    ----------
    minuend, subtrahend : EnergyModel

    Raises
    ------
    MismatchError
        The two have different atoms or atom orders.
    """

    minuend: EnergyModel
    subtrahend: EnergyModel
    kind: ClassVar[str] = "difference"

    def __post_init__(self) -> None:
        check_model(self.minuend, "the minuend")
        _same_atoms(self.minuend, self.subtrahend, "the subtrahend")

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """See `EnergyModel.atomic_numbers`."""
        return self.minuend.atomic_numbers

    @property
    def bonds(self) -> NDArray[np.int64] | None:
        """See `EnergyModel.bonds`."""
        return self.subtrahend.bonds if self.minuend.bonds is None else self.minuend.bonds

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `EnergyModel.evaluate`."""
        energies, forces = self.minuend.evaluate(positions)
        other_energies, other_forces = self.subtrahend.evaluate(positions)
        return energies - other_energies, forces - other_forces

    def module(self) -> torch.nn.Module:
        """See `EnergyModel.module`. One module holds the modules of both models."""
        return _Combination(self.minuend.module(), [self.subtrahend.module()], -1.0)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """See `EnergyModel.to_arrays`."""
        return _pack_parts((self.minuend, self.subtrahend))

    @classmethod
    def from_arrays(cls, description: Mapping[str, Any], arrays: Arrays) -> Difference:
        """The difference that `to_arrays` described."""
        return cls(*_unpack_parts(description, arrays))


@final
@dataclass(frozen=True, eq=False, init=False)
class OnAtoms(EnergyModel):
    """A model evaluated on chosen atoms of a larger molecule. It exerts no force on the other atoms.

    Parameters
    ----------
    model : EnergyModel
    atoms : (model.n_atoms,)
        ``atoms[k]`` is the index, in the larger molecule, of the model's atom k. Any order, without repeats.
    atomic_numbers : (n_atoms,)
        Atomic numbers of the larger molecule.

    Raises
    ------
    InputError
        An index is out of range or repeated.
    MismatchError
        The number of atoms or an element differs from the model's, or the model is no EnergyModel.
    """

    model: EnergyModel
    atoms: NDArray[np.int64]
    _atomic_numbers: NDArray[np.int64] = field(repr=False)
    kind: ClassVar[str] = "on atoms"

    def __init__(self, model: EnergyModel, atoms: ArrayLike, atomic_numbers: ArrayLike) -> None:
        check_model(model, "the model on chosen atoms")
        chosen, elements = np.array(atoms), np.array(atomic_numbers, dtype=np.int64)
        if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
            raise InputError(f"atoms are {chosen.dtype} of shape {chosen.shape}", expected="integers (model.n_atoms,)")
        if len(chosen) != model.n_atoms:
            raise MismatchError(f"{len(chosen)} atoms were chosen", expected=f"the model's {model.n_atoms}")
        if len(chosen) and (chosen.min() < 0 or chosen.max() >= len(elements)):
            raise InputError(
                f"atoms reach from {chosen.min()} to {chosen.max()}", expected=f"0 to {len(elements) - 1} (0-based)"
            )
        if len(np.unique(chosen)) != len(chosen):
            raise InputError("an atom was chosen twice", expected="a different atom for each of the model's")
        wrong = np.flatnonzero(elements[chosen] != model.atomic_numbers)
        if len(wrong):
            k = int(wrong[0])
            raise MismatchError(
                f"atom {chosen[k]} has atomic number {elements[chosen[k]]}",
                expected=f"{model.atomic_numbers[k]}, the model's atom {k}",
                hint="list the atoms in the model's order",
            )
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "atoms", chosen.astype(np.int64))
        object.__setattr__(self, "_atomic_numbers", elements)

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """Atomic numbers (n_atoms,) of the larger molecule."""
        return self._atomic_numbers

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `EnergyModel.evaluate`."""
        energies, chosen_forces = self.model.evaluate(positions[:, self.atoms])
        forces = np.zeros(positions.shape)
        forces[:, self.atoms] = chosen_forces
        return energies, forces

    def module(self) -> torch.nn.Module:
        """See `EnergyModel.module`."""
        return _OnAtomsModule(self.model.module(), self.atoms)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """See `EnergyModel.to_arrays`."""
        description, arrays = _pack_parts((self.model,))
        return description, arrays | {"atoms": self.atoms, "atomic_numbers": self.atomic_numbers}

    @classmethod
    def from_arrays(cls, description: Mapping[str, Any], arrays: Arrays) -> OnAtoms:
        """The model that `to_arrays` described."""
        (model,) = _unpack_parts(description, arrays)
        return cls(model, arrays.integers("atoms", (None,)), arrays.integers("atomic_numbers", (None,)))


def _pack_parts(parts: Sequence[EnergyModel]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    descriptions: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}
    for index, part in enumerate(parts):
        description, part_arrays = pack(part)
        descriptions.append(description)
        arrays |= prefixed(f"part{index}/", part_arrays)
    return {"parts": descriptions}, arrays


def _unpack_parts(description: Mapping[str, Any], arrays: Arrays) -> list[EnergyModel]:
    return [unpack(part, arrays.under(f"part{index}/")) for index, part in enumerate(description["parts"])]


def _same_atoms(first: EnergyModel, other: EnergyModel, name: str) -> None:
    check_model(other, name)
    if not np.array_equal(first.atomic_numbers, other.atomic_numbers):
        raise MismatchError(
            f"{name} is of the atomic numbers {other.atomic_numbers.tolist()}",
            expected=f"{first.atomic_numbers.tolist()}, like the first model",
            hint="bring both to one atom order, or wrap the smaller one in OnAtoms",
        )
    if first.bonds is None or other.bonds is None:
        return
    expected = Identity.of("the first model", first.atomic_numbers, first.bonds)
    order = expected.order_in(Identity.of(name, other.atomic_numbers, other.bonds))
    moved = np.flatnonzero(order != np.arange(len(order)))
    if len(moved):
        raise MismatchError(
            f"{name} has its atoms in another order: its atom {order[moved[0]]} is atom {moved[0]} of the first model",
            hint=f"wrap it, if exchanged equivalent atoms do no harm: OnAtoms(model, {np.argsort(order).tolist()}, …)",
        )


class _Combination(torch.nn.Module):
    """E = E_first + w Σ E_other and F = F_first + w Σ F_other."""

    def __init__(self, first: torch.nn.Module, others: Sequence[torch.nn.Module], weight: float) -> None:
        super().__init__()
        self.first = first
        self.others = torch.nn.ModuleList(others)
        self.weight = torch.nn.Buffer(torch.tensor(weight, dtype=torch.float64))

    def forward(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        energies, forces = self.first(positions)
        for other in self.others:
            other_energies, other_forces = other(positions)
            energies = torch.addcmul(energies, self.weight, other_energies)
            forces = torch.addcmul(forces, self.weight, other_forces)
        return energies, forces


class _OnAtomsModule(torch.nn.Module):
    """Gathers the chosen atoms, scatters their forces."""

    def __init__(self, inner: torch.nn.Module, atoms: NDArray[np.int64]) -> None:
        super().__init__()
        self.inner = inner
        self.atoms = torch.nn.Buffer(torch.tensor(atoms))

    def forward(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        energies, chosen_forces = self.inner(positions.index_select(1, self.atoms))
        forces = torch.zeros_like(positions, dtype=chosen_forces.dtype)
        return energies, forces.index_copy(1, self.atoms, chosen_forces)
