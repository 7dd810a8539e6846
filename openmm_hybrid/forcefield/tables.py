"""Tables: atoms, parameters and terms of a force field, without any means to evaluate them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.forcefield.parameters import Parameters
from openmm_hybrid.forcefield.terms import Terms


@final
@dataclass(frozen=True, eq=False)
class Outer:
    """Non-bonded parameters of a molecule's atoms towards everything outside the molecule.

    Parameters
    ----------
    charges, sigmas, epsilons : (n_atoms,)
        e, Å, kcal/mol.
    """

    charges: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    epsilons: NDArray[np.float64]


class AtomParameter(NamedTuple):
    """Values (n_atoms,) of a parameter of the atoms, and the pairs that contain it."""

    values: NDArray[np.float64]
    terms: Terms


@final
@dataclass(frozen=True, eq=False)
class Tables:
    """Atoms, parameters and terms of one molecule, as readers, editors and writers exchange them.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    bonds : (n_bonds, 2)
        Bonded pairs, i < j.
    types : tuple of str, (n_atoms,)
        Atom types. Terms of equal types share parameters.
    parameters : Parameters
    terms : tuple of Terms
    name : str
    outer : Outer, optional
        Non-bonded parameters towards everything outside the molecule, where the pairs inside have their own; None where
        the parameters of the atoms hold for both.
    """

    atomic_numbers: NDArray[np.int64] = field(repr=False)
    bonds: NDArray[np.int64] = field(repr=False)
    types: tuple[str, ...] = field(repr=False)
    parameters: Parameters = field(repr=False)
    terms: tuple[Terms, ...] = field(repr=False)
    name: str = "molecule"
    outer: Outer | None = field(default=None, repr=False)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.atomic_numbers)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups of terms."""
        return tuple(terms.group for terms in self.terms)

    def group(self, name: str) -> Terms:
        """The terms of one group.

        Raises
        ------
        InputError
            There is no group of this name.
        """
        for terms in self.terms:
            if terms.group == name:
                return terms
        raise InputError(f"the force field has no group {name!r}", expected=f"one of {', '.join(self.groups)}")

    def only(self, *groups: str) -> Tables:
        """The tables with these groups of terms only and all parameters.

        Without pairs there are no outer parameters either.
        """
        terms = tuple(self.group(name) for name in groups)
        return replace(self, terms=terms, outer=self.outer if any(part.slot == "pairs" for part in terms) else None)

    def in_slot(self, slot: str) -> Terms | None:
        """Terms of the form that fills a slot such as "bonds": the classical form, or one that replaced it."""
        for terms in self.terms:
            if terms.form.slots.get(slot) == "replaces" and terms.slot == slot:
                return terms
        return None

    def values(self, terms: Terms) -> NDArray[np.float64]:
        """Parameters (n_terms, n_columns) of terms."""
        return self.parameters.values[terms.assignment]

    def atom_parameter(self, name: str) -> AtomParameter | None:
        """A non-bonded parameter of the atoms, such as "charge" (see `FunctionalForm.particle_parameters`).

        It is None if no terms contain it.

        Raises
        ------
        MismatchError
            An atom has no pair.
        """
        for terms in self.terms:
            parameters = terms.form.particle_parameters(torch.tensor(self.values(terms)))
            if name not in parameters:
                continue
            values = np.full(self.n_atoms, np.nan)
            values[terms.atoms] = parameters[name].numpy()
            if np.isnan(values).any():
                raise MismatchError(
                    f"atom {int(np.argmax(np.isnan(values)))} has no pair in the terms {terms.group!r}",
                    expected="a molecule of two or more atoms, read by ForceField.from_system",
                )
            return AtomParameter(values, terms)
        return None

    def with_values(self, values: ArrayLike) -> Tables:
        """The tables with other values (n_parameters,) of the parameters."""
        return replace(self, parameters=self.parameters.with_values(values))

    def charge_atoms(self) -> dict[int, list[int]]:
        """Atoms of each charge, by the index of the parameter."""
        found: dict[int, set[int]] = {}
        for terms in self.terms:
            for number, column in enumerate(terms.form.columns):
                if column.charge_of is not None:
                    atoms, indices = terms.atoms[:, column.charge_of], terms.assignment[:, number]
                    for atom, index in zip(atoms.tolist(), indices.tolist(), strict=True):
                        found.setdefault(index, set()).add(atom)
        return {index: sorted(atoms) for index, atoms in sorted(found.items())}

    def charge_sum(self) -> NDArray[np.float64]:
        """Derivatives (n_parameters,) of the total charge by the parameters: the number of atoms with each charge."""
        counts = np.zeros(len(self.parameters))
        for index, atoms in self.charge_atoms().items():
            counts[index] = len(atoms)
        return counts
