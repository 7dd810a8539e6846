"""Straight angles, through which no dihedral exists.

At an angle i-j-k of 180° the dihedral i-j-k-l is undefined, and near it the derivatives of the dihedral grow without
limit. An energy that depends on such a dihedral has forces without a limit, and NaN in OpenMM at 180° exactly. The
equilibrium angles of the force field decide which angles are straight, so that all geometries have the same terms.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence
from math import pi, radians

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_hybrid.forcefield.tables import Tables
from openmm_hybrid.forcefield.terms import Terms
from openmm_hybrid.forms.form import Coordinate, FunctionalForm

Atoms = tuple[int, ...]

STRAIGHT = radians(165.0)
"""Least equilibrium angle of a straight angle, rad. Our choice: it lies above GAFF's angles at the nitrogen of C=N-C
(152° to 155°) and below those at its sp carbons and nitrogens (166° and more)."""


def straight_angles(tables: Tables) -> frozenset[Atoms]:
    """Straight angles i-j-k, i < k: those whose classical term has its minimum at `STRAIGHT` or above."""
    found = set()
    for terms in tables.terms:
        stiff = terms.form.harmonic(torch.tensor(tables.values(terms)))
        if stiff is not None and terms.form.coordinates[0].kind == "angle":
            for atoms, minimum in zip(terms.atoms.tolist(), stiff[1].tolist(), strict=True):
                if minimum >= STRAIGHT:
                    found.add(_key(atoms, terms.form.coordinates[0].indices))
    return frozenset(found)


def is_straight(coordinate: Coordinate, atoms: Sequence[int], straight: Collection[Atoms]) -> bool:
    """Whether a coordinate of a term with these atoms is a straight angle, or a dihedral through one."""
    indices = coordinate.indices
    return any(_key(atoms, indices[k : k + 3]) in straight for k in range(len(indices) - 2))


def has_straight_dihedral(form: FunctionalForm, atoms: Sequence[int], straight: Collection[Atoms]) -> bool:
    """Whether a term with these atoms has a dihedral through a straight angle."""
    return any(
        coordinate.kind == "dihedral" and is_straight(coordinate, atoms, straight) for coordinate in form.coordinates
    )


def straight_dihedrals(tables: Tables) -> Iterator[tuple[Terms, NDArray[np.bool_]]]:
    """Groups with dihedrals through straight angles, each with a mask (n_terms,) of these terms."""
    straight = straight_angles(tables)
    for terms in tables.terms if straight else ():
        mask = np.array([has_straight_dihedral(terms.form, atoms, straight) for atoms in terms.atoms.tolist()])
        if mask.any():
            yield terms, mask


def straight_minima(tables: Tables) -> NDArray[np.int64]:
    """Indices of the parameters that are equilibrium angles of straight angles, of forms with one such column."""
    found = set()
    straight = straight_angles(tables)
    for terms in tables.terms if straight else ():
        columns = [number for number, column in enumerate(terms.form.columns) if column.upper == pi]
        if terms.form.coordinates[0].kind == "angle" and len(columns) == 1 and len(terms.form.coordinates) == 1:
            rows = [is_straight(terms.form.coordinates[0], atoms, straight) for atoms in terms.atoms.tolist()]
            found |= set(terms.assignment[rows][:, columns].ravel().tolist())
    return np.array(sorted(found), dtype=np.int64)


def kept_at_straight_angles(tables: Tables) -> NDArray[np.int64]:
    """Indices of the parameters that a fit must not change.

    These are the equilibrium angles of straight angles, and all parameters of terms with a dihedral through one.
    """
    found = set(straight_minima(tables).tolist())
    for terms, mask in straight_dihedrals(tables):
        found |= set(terms.assignment[mask].ravel().tolist())
    return np.array(sorted(found), dtype=np.int64)


def warn_of_straight_dihedrals(tables: Tables, *, stacklevel: int = 3) -> None:
    """Warn of terms whose energy depends on a dihedral through a straight angle; the message names their atoms."""
    found = []
    for terms, mask in straight_dihedrals(tables):
        acting = mask & _depends_on_dihedrals(terms, tables.values(terms))
        found += [f"{terms.group} {'-'.join(map(str, atoms))}" for atoms in terms.atoms[acting].tolist()]
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        warnings.warn(
            f"{tables.name!r} has dihedral terms through straight angles ({', '.join(found[:3])}{more}): their "
            "forces have no limit at 180° and end simulations; make the force field again with ForceField.edit "
            "and oh.fit, or leave these terms out with ForceField.without",
            stacklevel=stacklevel + 1,
        )


def _depends_on_dihedrals(terms: Terms, p: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask (n_terms,) of terms whose energy changes with a dihedral, from slopes at some points."""
    rng = np.random.default_rng(0)
    lower = {"distance": 0.9, "angle": 1.5, "dihedral": -pi}
    upper = {"distance": 1.6, "angle": 3.0, "dihedral": pi}
    kinds = [coordinate.kind for coordinate in terms.form.coordinates]
    q = rng.uniform([lower[kind] for kind in kinds], [upper[kind] for kind in kinds], (5, len(terms), len(kinds)))
    with torch.inference_mode():
        _, slopes = terms.form(torch.from_numpy(q), torch.from_numpy(p))
    circular = np.array([kind == "dihedral" for kind in kinds])
    return np.asarray((slopes.numpy()[:, :, circular] != 0.0).any(axis=(0, 2)))


def _key(atoms: Sequence[int], indices: Sequence[int]) -> Atoms:
    chosen = tuple(atoms[index] for index in indices)
    return min(chosen, chosen[::-1])


__all__ = [
    "STRAIGHT",
    "has_straight_dihedral",
    "is_straight",
    "kept_at_straight_angles",
    "straight_angles",
    "straight_dihedrals",
    "straight_minima",
    "warn_of_straight_dihedrals",
]
