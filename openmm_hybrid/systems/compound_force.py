"""CustomCompoundBondForce with the terms of one group."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import openmm
import torch
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import ANGSTROM_PER_NM, KJ_PER_KCAL
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.terms import Terms
from openmm_hybrid.forms.form import Coordinate
from openmm_hybrid.systems.placement import Placement


def function(coordinate: Coordinate) -> str:
    """OpenMM's function of a coordinate's atoms, in nm or rad, such as "distance(p1,p2)"."""
    return f"{coordinate.kind}({','.join(f'p{index + 1}' for index in coordinate.indices)})"


def expression_force(forcefield: ForceField, terms: Terms, placement: Placement) -> openmm.Force:
    """A force with the expression of a form in q1, q2, … and its parameters.

    Parameters that are equal in all terms become numbers in the expression, so that OpenMM can simplify it and drop
    products with zero.
    """
    parameters = terms.form.expression_parameters(torch.tensor(forcefield.parameters.values[terms.assignment]))
    names, values = list(parameters), torch.stack(list(parameters.values()), dim=1).numpy()
    same = (values == values[:1]).all(axis=0)
    parts = [f"{KJ_PER_KCAL!r}*energy", *_named("energy", terms.form.expression())]
    for number, coordinate in enumerate(terms.form.coordinates, 1):
        scale = f"{ANGSTROM_PER_NM!r}*" if coordinate.kind == "distance" else ""
        parts.append(f"q{number}={scale}{function(coordinate)}")
    parts += [f"{name}={float(values[0, k])!r}" for k, name in enumerate(names) if same[k]]
    varied = np.flatnonzero(~same)
    return force(terms, placement, "; ".join(parts), [names[k] for k in varied], values[:, varied])


def force(
    terms: Terms, placement: Placement, expression: str, names: Sequence[str], values: ArrayLike
) -> openmm.CustomCompoundBondForce:
    """A force with one bond for each term and copy, with parameters `values` (n_terms, n_names)."""
    if placement.scale:
        if re.search(rf"\b{placement.scale}\b", " ".join([expression, *names])):
            raise InputError(
                f"the global parameter {placement.scale!r} has the name of a parameter of the group {terms.group!r}",
                hint="choose another name",
            )
        expression = f"{placement.scale}*({_head(expression)}){_rest(expression)}"
    made = openmm.CustomCompoundBondForce(terms.form.n_atoms, expression)
    for name in names:
        made.addPerBondParameter(name)
    if placement.scale:
        made.addGlobalParameter(placement.scale, 1.0)
        made.addEnergyParameterDerivative(placement.scale)
    rows: NDArray[np.float64] = np.asarray(values, dtype=np.float64).reshape(len(terms), len(names))
    for atoms in placement.atoms:
        for particles, row in zip(atoms[terms.atoms].tolist(), rows.tolist(), strict=True):
            made.addBond(particles, row)
    made.setUsesPeriodicBoundaryConditions(placement.periodic)
    made.setForceGroup(placement.force_group)
    made.setName(f"Hybrid {terms.group}")
    return made


def _named(name: str, expression: str) -> list[str]:
    """Definitions of an expression, the first of which gives its value the name `name`."""
    head, *definitions = (part.strip() for part in expression.split(";"))
    return [f"{name}={head}", *filter(None, definitions)]


def _head(expression: str) -> str:
    return expression.partition(";")[0]


def _rest(expression: str) -> str:
    return "".join(expression.partition(";")[1:])
