"""Builder of a force field's tables, one group of terms after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.molecule import equivalent_atoms
from openmm_hybrid.forcefield.parameters import Parameters
from openmm_hybrid.forcefield.tables import Outer, Tables
from openmm_hybrid.forcefield.terms import Terms, label, share
from openmm_hybrid.forms.form import FunctionalForm

_SCALE_DIGITS = 9  # digits to which we compare scale factors, which are quotients of stored products


class Builder:
    """Collector of terms and parameters; `finish` returns the tables.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    bonds : (n_bonds, 2)
    types : (n_atoms,) str, optional
        Atom types, which decide what parameters terms share; by default the classes of equivalent atoms.
    name : str
    """

    def __init__(
        self, atomic_numbers: ArrayLike, bonds: ArrayLike, *, types: Sequence[str] | None = None, name: str = "molecule"
    ) -> None:
        self.atomic_numbers = np.asarray(atomic_numbers, dtype=np.int64)
        self.bonds = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
        self.classes = graph_classes(self.atomic_numbers, self.bonds)
        self.types = self.classes if types is None else tuple(types)
        if len(self.types) != len(self.atomic_numbers):
            raise MismatchError(f"{len(self.types)} types were given", expected=f"{len(self.classes)}, one per atom")
        self.name = name
        self.parameters = Parameters.empty()
        self.terms: list[Terms] = []
        self.outer: Outer | None = None

    @classmethod
    def of(cls, forcefield: Tables, *, without: Sequence[str] = ()) -> Builder:
        """A builder that starts from a force field without some groups of terms and the parameters of these alone."""
        builder = cls(forcefield.atomic_numbers, forcefield.bonds, types=forcefield.types, name=forcefield.name)
        kept = [terms for terms in forcefield.terms if terms.group not in without and len(terms)]
        used = np.unique(np.concatenate([terms.assignment.ravel() for terms in kept])) if kept else np.zeros(0, int)
        builder.parameters, builder.outer = forcefield.parameters.kept(used), forcefield.outer
        builder.terms = [replace(terms, assignment=np.searchsorted(used, terms.assignment)) for terms in kept]
        return builder

    def add(self, group: str, form: FunctionalForm, rows: Mapping[tuple[int, ...], Sequence[float]]) -> None:
        """Add terms, given as parameters (n_columns,) by atoms; an empty mapping adds no group.

        Terms of the same types share their parameters if the values are equal. The three impropers of one centre in
        SMIRNOFF's convention, with the central atom first, count as terms of the same types.
        """
        if not rows:
            return
        atoms = np.array(list(rows), dtype=np.int64)
        values = np.array(list(rows.values()), dtype=np.float64)
        trefoils = self._trefoils(rows) if group.partition(".")[0] == "impropers" else {}
        labels = [trefoils.get(term) or label([self.types[atom] for atom in term]) for term in rows]
        names, row = share(labels, values)
        _, first = np.unique(row, return_index=True)
        self.parameters, indices = self.parameters.extended(group, names, form.columns, values[first])
        self.terms.append(Terms(group, form, atoms, indices[row]))

    def _trefoils(self, terms: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], str]:
        """Name of each improper that is one of three with the central atom first: its type, then the others sorted."""
        bonded = {frozenset(bond) for bond in self.bonds.tolist()}
        members: dict[tuple[int, frozenset[int]], list[tuple[int, ...]]] = {}
        for term in terms:
            for centre, *outer in (term, term[::-1]):  # both directions have the same dihedral
                if all(frozenset((centre, atom)) in bonded for atom in outer):
                    members.setdefault((centre, frozenset(outer)), []).append(term)
        return {
            term: "-".join([self.types[centre], *sorted(self.types[atom] for atom in outer)])
            for (centre, outer), permutations in members.items()
            if len(permutations) == 3
            for term in permutations
        }

    def add_tied(
        self,
        group: str,
        form: FunctionalForm,
        rows: Mapping[tuple[int, ...], Sequence[float]],
        symmetries: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
    ) -> None:
        """Add terms whose form has symmetries.

        The atoms of each term get the order whose types come first in the alphabet. Where several orders do, the
        columns that they exchange are one parameter: a bend-torsion term of H-C-C-H has one k for both bends.

        Parameters
        ----------
        group : str
        form : FunctionalForm
        rows : mapping
            Parameters (n_columns,) by atoms.
        symmetries : sequence of (atoms, columns)
            Orders of a term's atoms, and the orders of its columns with the same energy.
        """
        if not rows:
            return
        known: dict[tuple[str, ...], NDArray[np.int64]] = {}
        atoms, assignment = [], []
        for term, values in rows.items():
            order, columns = min(symmetries, key=lambda symmetry: [self.types[term[index]] for index in symmetry[0]])
            ordered = tuple(term[index] for index in order)
            types = tuple(self.types[atom] for atom in ordered)
            if types not in known:
                same = [moved for atoms_, moved in symmetries if tuple(types[index] for index in atoms_) == types]
                first = np.min(same, axis=0)  # first of the columns that the orders exchange
                kept = np.unique(first)
                start = np.asarray(values, dtype=np.float64)[list(columns)][kept]
                self.parameters, indices = self.parameters.extended(
                    group, ["-".join(types)], [form.columns[k] for k in kept], start
                )
                known[types] = indices[0][np.searchsorted(kept, first)]
            atoms.append(ordered)
            assignment.append(known[types])
        self.terms.append(Terms(group, form, np.array(atoms), np.array(assignment)))

    def add_charges(
        self, form: FunctionalForm, charges: NDArray[np.float64], scales: Mapping[tuple[int, int], float]
    ) -> None:
        """Add Coulomb pairs with their scales. Charges belong to the molecule: only equivalent atoms share one."""
        names, row = share(self.classes, charges[:, None])
        _, first = np.unique(row, return_index=True)
        labels = [f"{self.name}.{name}" for name in names]
        self.parameters, indices = self.parameters.extended("charges", labels, form.columns[:1], charges[first, None])
        of_atom = indices[row, 0]
        pairs = np.array(list(scales), dtype=np.int64).reshape(-1, 2)
        self._add_scaled("coulomb", form, pairs, of_atom[pairs], np.array(list(scales.values())))

    def add_wells(
        self,
        form: FunctionalForm,
        sigmas: NDArray[np.float64],
        roots: NDArray[np.float64],
        scales: Mapping[tuple[int, int], float],
    ) -> None:
        """Add Lennard-Jones pairs with their scales, from σ (n_atoms,) in Å and √ε (n_atoms,)."""
        values = np.stack([sigmas, roots], axis=1)
        names, row = share(self.types, values)
        _, first = np.unique(row, return_index=True)
        columns = form.columns[0], form.columns[2]
        self.parameters, indices = self.parameters.extended("lj", names, columns, values[first])
        pairs = np.array(list(scales), dtype=np.int64).reshape(-1, 2)
        of_pair = indices[row][pairs]  # (n_pairs, atom, σ or √ε)
        self._add_scaled(
            "lj.pairs", form, pairs, of_pair.transpose(0, 2, 1).reshape(-1, 4), np.array(list(scales.values()))
        )

    def _add_scaled(
        self,
        group: str,
        form: FunctionalForm,
        pairs: NDArray[np.int64],
        of_pair: NDArray[np.int64],
        scales: NDArray[np.float64],
    ) -> None:
        values, which = np.unique(np.round(scales, _SCALE_DIGITS), return_inverse=True)
        exact = np.array([scales[which == k][0] for k in range(len(values))])
        self.parameters, indices = self.parameters.extended(
            group, [f"{value:.9g}" for value in exact], form.columns[-1:], exact
        )
        self.terms.append(Terms(group, form, pairs, np.column_stack([of_pair, indices[which, 0]])))

    def finish(self) -> Tables:
        """The tables of all terms so far."""
        terms = tuple(self.terms)
        return Tables(self.atomic_numbers, self.bonds, self.types, self.parameters, terms, self.name, self.outer)


def without(forcefield: Tables, types: Sequence[str]) -> Tables:
    """See `ForceField.without`."""
    type_names = np.array([name.rpartition("/")[0] for name in forcefield.parameters.names])
    for name in types:
        if name not in type_names:
            raise InputError(
                f"{forcefield.name!r} has no terms of the type {name!r}", expected="a name such as 'bonds/C0-H3'"
            )
    dropped = np.isin(type_names, types)
    terms = []
    for block in forcefield.terms:
        keep = ~dropped[block.assignment].any(axis=1)
        terms.append(replace(block, atoms=block.atoms[keep], assignment=block.assignment[keep]))
    return Builder.of(replace(forcefield, terms=tuple(terms))).finish()


def graph_classes(atomic_numbers: NDArray[np.int64], bonds: NDArray[np.int64]) -> tuple[str, ...]:
    """Names (n_atoms,) of the classes of equivalent atoms, made of element and first atom, such as "H3"."""
    from ase.data import chemical_symbols

    classes = equivalent_atoms(atomic_numbers, bonds)
    _, first, which = np.unique(classes, return_index=True, return_inverse=True)
    return tuple(f"{chemical_symbols[atomic_numbers[first[k]]]}{first[k]}" for k in which)
