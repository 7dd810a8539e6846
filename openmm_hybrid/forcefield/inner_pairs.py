"""Pairs inside a molecule with parameters of their own, and the bounds that keep their repulsion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.paths import angles, chains
from openmm_hybrid.forcefield.tables import Outer, Tables
from openmm_hybrid.forcefield.terms import Terms, label, share
from openmm_hybrid.forms.form import Column
from openmm_hybrid.forms.inner import Inner

GROUP = "pairs.inner"
"""Name of the group of inner pairs."""

_POLAR_HYDROGEN = 1.069  # Å; stands in ρ for the σ of an atom without a well, and is that of GAFF's hn
_LEAST_REPULSION, _LEAST_DISPERSION, _MOST_DISPERSION = 0.25, 0.05, 4.0  # bounds relative to the outer well; our choice
_NEAR_SCALE = 0.5  # outer well of a pair three bonds apart, relative to that of its atoms: AMBER's 1/scnb

Pair = tuple[int, int]
"""Two atoms, the lower index first."""
Row = tuple[float, float, float]
"""Charge product (e²), σ (Å) and ε (kcal/mol) of a pair, as in an exception of NonbondedForce."""


def pairs_by_bonds(bonds: NDArray[np.int64]) -> tuple[frozenset[Pair], frozenset[Pair]]:
    """Pairs of atoms one or two bonds apart, and pairs three bonds apart."""
    excluded = {_sorted(i, j) for i, j in bonds.tolist()} | {_sorted(i, k) for i, _, k in angles(bonds)}
    near = {_sorted(i, last) for i, _, _, last in chains(bonds)}
    return frozenset(excluded), frozenset(near - excluded)


def has_both(tables: Tables) -> bool:
    """Whether a force field has charges and Lennard-Jones parameters of all its atoms."""
    known: set[str] = set()
    for terms in tables.terms:
        if len(np.unique(terms.atoms)) == tables.n_atoms:
            known |= set(terms.form.particle_parameters(torch.tensor(tables.values(terms))))
    return {"charge", "epsilon"} <= known


def with_inner(tables: Tables) -> Tables:
    """The tables with inner pairs at the same energies; the parameters of the atoms become the outer ones.

    Raises
    ------
    MismatchError
        There are no charges or no Lennard-Jones terms, or an atom has no pair.
    """
    if tables.outer is not None:
        return tables
    charges, sigmas, epsilons = (tables.atom_parameter(name) for name in ("charge", "sigma", "epsilon"))
    if charges is None or sigmas is None or epsilons is None:
        raise MismatchError(
            f"the force field {tables.name!r} has no {'charges' if charges is None else 'Lennard-Jones terms'}",
            expected="charges and Lennard-Jones terms, which inner pairs start from",
        )
    outer = Outer(charges.values, sigmas.values, epsilons.values)
    coulomb, wells = _scales(tables, charges.terms), _scales(tables, epsilons.terms)
    rows: dict[Pair, Row] = {}
    for i, j in [*coulomb, *(pair for pair in wells if pair not in coulomb)]:
        by_charge, by_well = coulomb.get((i, j), 0.0), wells.get((i, j), 0.0)
        if by_charge or by_well:
            product = by_charge * float(outer.charges[i] * outer.charges[j])
            sigma = 0.5 * float(outer.sigmas[i] + outer.sigmas[j])
            rows[i, j] = product, sigma, by_well * float(np.sqrt(outer.epsilons[i] * outer.epsilons[j]))
    builder = Builder.of(tables, without=[charges.terms.group, epsilons.terms.group])
    add_inner(builder, outer, rows)
    return builder.finish()


def add_inner(builder: Builder, outer: Outer, rows: Mapping[Pair, Row]) -> None:
    """Add inner pairs, and the outer parameters of the atoms.

    Pairs three bonds apart have other parameters than farther ones. Equivalent pairs of the molecule share their charge
    product. Pairs of equal types, also in several molecules, share repulsion and dispersion.

    The repulsion of a pair stays above a quarter of that of the outer parameters, and its dispersion below four times
    that. A pair without an outer well has one parameter for both, so that it never attracts without repulsion.
    """
    builder.outer = outer
    if not rows:
        return
    _, near = pairs_by_bonds(builder.bonds)
    prefixes = ["1-4:" if pair in near else "" for pair in rows]
    products = _add_products(builder, prefixes, rows)
    wells = _add_wells(builder, outer, prefixes, rows)
    assignment = np.column_stack([wells[:, 0], products, wells[:, 1:]])
    builder.terms.append(Terms(GROUP, Inner(), np.array(list(rows), dtype=np.int64), assignment))


def _add_products(builder: Builder, prefixes: list[str], rows: Mapping[Pair, Row]) -> NDArray[np.int64]:
    """Add the charge products; returns the index (n_pairs,) of each pair's."""
    labels = [
        prefix + label([builder.classes[atom] for atom in pair]) for prefix, pair in zip(prefixes, rows, strict=True)
    ]
    values = np.array([[product] for product, _, _ in rows.values()])
    names, row = share(labels, values)
    _, first = np.unique(row, return_index=True)
    builder.parameters, indices = builder.parameters.extended(
        GROUP, [f"{builder.name}.{name}" for name in names], Inner().columns[1:2], values[first]
    )
    return indices[row, 0]


def _add_wells(builder: Builder, outer: Outer, prefixes: list[str], rows: Mapping[Pair, Row]) -> NDArray[np.int64]:
    """Add ρ, repulsion and dispersion; returns their indices (n_pairs, 3) for each pair."""
    sizes = np.where(outer.epsilons > 0.0, outer.sigmas, _POLAR_HYDROGEN)
    labels, values = [], []
    for prefix, ((i, j), (_, sigma, epsilon)) in zip(prefixes, rows.items(), strict=True):
        rho = 0.5 * float(sizes[i] + sizes[j])
        well = 4.0 * float(np.sqrt(outer.epsilons[i] * outer.epsilons[j])) * (_NEAR_SCALE if prefix else 1.0)
        six = (sigma / rho) ** 6
        labels.append(prefix + label([builder.types[i], builder.types[j]]))
        values.append((rho, 4.0 * epsilon * six * six, 4.0 * epsilon * six, well if epsilon else 0.0))
    names, row = share(labels, np.array(values))
    _, first = np.unique(row, return_index=True)
    indices = [_add_well(builder, name, *values[index]) for name, index in zip(names, first.tolist(), strict=True)]
    return np.array(indices)[row]


def _add_well(
    builder: Builder, name: str, rho: float, repulsion: float, dispersion: float, well: float
) -> tuple[int, int, int]:
    """Add ρ, repulsion and dispersion of one type; returns their indices.

    Bounds are relative to the outer `well`, or to the pair's own values if there is no outer well.
    """
    size, _, repelling, attracting = Inner().columns
    if not well and np.isclose(repulsion, dispersion, rtol=1e-9):
        builder.parameters, (found,) = builder.parameters.extended(GROUP, [name], [size, repelling], [rho, repulsion])
        return int(found[0]), int(found[1]), int(found[1])
    columns: list[Column] = [
        size,
        replace(repelling, lower=min(_LEAST_REPULSION * (well or repulsion), repulsion)),
        replace(
            attracting,
            lower=min(_LEAST_DISPERSION * (well or dispersion), dispersion),
            upper=max(_MOST_DISPERSION * (well or dispersion), dispersion),
        ),
    ]
    builder.parameters, (found,) = builder.parameters.extended(GROUP, [name], columns, [rho, repulsion, dispersion])
    return int(found[0]), int(found[1]), int(found[2])


def _scales(tables: Tables, terms: Terms) -> dict[Pair, float]:
    """Scale of each pair."""
    scales = tables.parameters.values[terms.assignment[:, -1]].tolist()
    return {_sorted(i, j): scale for (i, j), scale in zip(terms.atoms.tolist(), scales, strict=True)}


def _sorted(i: int, j: int) -> Pair:
    return (i, j) if i < j else (j, i)
