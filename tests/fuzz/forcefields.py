"""The force field of a case: read from a random classical System, edited, and with random values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import openmm
import torch
from numpy.typing import NDArray

from openmm_hybrid import ForceField, Molecule
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.paths import pentads
from openmm_hybrid.forcefield.straight_angles import (
    has_straight_dihedral,
    kept_at_straight_angles,
    straight_angles,
)
from openmm_hybrid.forms.fourier2d import Fourier2D
from tests.fuzz.classical import make_topology, types_of
from tests.fuzz.draw import Case

SIZES = {"cross": 0.5, "bonds.spline": 1.0, "angles.spline": 1.0, "propers.spline": 0.5, "impropers.spline": 0.5}
"""Size of the values of parameters that start at zero, kcal/mol; 0.3 for other groups."""


def base_forcefield(case: Case, molecule: Molecule, system: openmm.System) -> ForceField:
    """The classical force field that the package reads from the System."""
    types = types_of(molecule, case.classical.types)
    return ForceField.from_system(system, make_topology(molecule), types=types, name="molecule")


def edited(case: Case, forcefield: ForceField) -> ForceField:
    """The force field with the forms and values of the case."""
    for arguments in case.edits:
        forcefield = forcefield.edit(**arguments)
    if case.fourier2d:
        forcefield = _with_series(forcefield)
    return _moved(case, forcefield)


def _with_series(forcefield: ForceField) -> ForceField:
    """The force field with series in a dihedral and a distance on chains of five atoms."""
    tables = forcefield.tables
    form = Fourier2D("dihedral 0 1 2 3", "distance 0 4", order=3)
    straight = straight_angles(tables)
    (start,) = form.start(1).tolist()
    start[0], start[1] = 2.5, 4.5
    rows = {path: start for path in pentads(tables.bonds)[:3] if not has_straight_dihedral(form, path, straight)}
    if not rows:
        return forcefield
    builder = Builder.of(tables)
    builder.add("cross.series", form, rows)
    return ForceField(builder.finish())


def _moved(case: Case, forcefield: ForceField) -> ForceField:
    """Other values of the fitted parameters within their bounds, with the same net charge."""
    if not case.spread:
        return forcefield
    parameters, rng = forcefield.parameters, case.random(2)
    values = parameters.values.copy()
    for index in np.flatnonzero(parameters.fitted):
        group = parameters.names[index].split("/")[0]
        size = next((size for name, size in SIZES.items() if group.startswith(name)), 0.3)
        values[index] = values[index] * rng.normal(1.0, case.spread) if values[index] else rng.normal(scale=size)
    kept = kept_at_straight_angles(forcefield.tables)
    values[kept] = parameters.values[kept]
    values = np.clip(values, parameters.lower, parameters.upper)
    counts = forcefield.tables.charge_sum()
    if counts.any():
        values -= counts * ((values - parameters.values) @ counts) / (counts @ counts)
    return forcefield.with_values(values)


def without_constant_terms(forcefield: ForceField, rigid: set[frozenset[int]]) -> ForceField:
    """The force field without the terms that only depend on the lengths of rigid bonds."""
    if not rigid:
        return forcefield
    terms = []
    for part in forcefield.terms:
        kept = np.array([part.slot == "pairs" or not _is_rigid(part.form, atoms, rigid) for atoms in part.atoms])
        if kept.any():
            terms.append(replace(part, atoms=part.atoms[kept], assignment=part.assignment[kept]))
    return ForceField(replace(forcefield.tables, terms=tuple(terms)))


def _is_rigid(form: object, atoms: NDArray[np.int64], rigid: set[frozenset[int]]) -> bool:
    return all(
        coordinate.kind == "distance" and frozenset(atoms[list(coordinate.indices)].tolist()) in rigid
        for coordinate in form.coordinates  # type: ignore[attr-defined]
    )


def bonded_part(forcefield: ForceField) -> ForceField | None:
    """The terms that are no pairs with the parameters of their atoms; None if there are none."""
    groups = [
        terms.group
        for terms in forcefield.terms
        if not terms.form.particle_parameters(torch.tensor(forcefield.tables.values(terms)))
    ]
    return forcefield.only(*groups) if groups else None


def pair_scales(forcefield: ForceField) -> dict[tuple[int, int], tuple[float, float]]:
    """Scales of Coulomb and Lennard-Jones of each pair with the parameters of its atoms; other pairs are excluded."""
    found: dict[str, dict[tuple[int, int], float]] = {"charge": {}, "epsilon": {}}
    for terms in forcefield.terms:
        values = forcefield.tables.values(terms)
        for name in terms.form.particle_parameters(torch.tensor(values)):
            if name in found:
                for pair, row in zip(terms.atoms.tolist(), values.tolist(), strict=True):
                    found[name][min(pair), max(pair)] = row[-1]
    pairs = {**found["charge"], **found["epsilon"]}
    return {pair: (found["charge"].get(pair, 0.0), found["epsilon"].get(pair, 0.0)) for pair in pairs}
