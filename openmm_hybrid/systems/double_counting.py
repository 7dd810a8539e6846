"""Energy that would count twice: forces that a System has already, and complete models over its bonded terms."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from typing import TypeGuard

import numpy as np
import openmm

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.read_system import is_morse
from openmm_hybrid.models.compose import OnAtoms, Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.openmm_forces import terms_of
from openmm_hybrid.sgdml.gate import Gated
from openmm_hybrid.sgdml.model import SGDMLModel
from openmm_hybrid.sgdml.surrogate_geometries import training_geometries
from openmm_hybrid.systems.placement import Placement

_STRETCH = 0.02  # Å, displacement of a hydrogen atom along its bond
_STIFF = 400.0  # kcal/mol/Å²; a whole molecule holds its hydrogen atoms with 560 to 1100, a residual with less than 350
_GEOMETRIES = 20  # training geometries whose bonds are stretched


def refuse_repeats(system: openmm.System, forces: Sequence[openmm.Force]) -> None:
    """Refuse forces that the System has already, whatever their force group, as after a second call of `attach`.

    Raises
    ------
    MismatchError
        The message names the force.
    """
    for force in forces:
        if any(_equal(old, force) for old in system.getForces()):
            raise MismatchError(
                f"the System has the force {force.getName()!r} of this model on these atoms already",
                hint="attach a model once, or build the System again; repeat=True adds it a second time",
            )


def _equal(old: openmm.Force, new: openmm.Force) -> bool:
    """Whether two forces have the same terms. The names of torch forces tell, see `module_name`."""
    if old.getName() != new.getName():
        return False
    return type(new).__name__ in ("TorchForce", "PythonForce") or _text(old) == _text(new)


def _text(force: openmm.Force) -> str:
    """XML of a force without its force group."""
    return re.sub(r'\bforceGroup="\d+"', "", openmm.XmlSerializer.serialize(force))


def refuse_complete_models(system: openmm.System, placement: Placement) -> None:
    """Refuse a force field with bonds on bonded particles; the warning of other models names the caller's caller.

    Raises
    ------
    MismatchError
        The System has bonds between the model's particles, and the model is a force field with bonds, or holds one.

    Warns
    -----
    UserWarning
        The System has bonds between the particles of an sGDML model of the whole energy.
    """
    parts = list(_parts(placement.model))
    complete = [part for part in parts if is_complete(part)]
    learned = [part for part in parts if isinstance(part, SGDMLModel)]
    if not complete and not learned:
        return
    bond = _bond_inside(system, placement)
    if bond is None:
        return
    if complete:
        raise MismatchError(
            f"the force field {complete[0].name!r} is complete, and the System has the bond {bond[0]}-{bond[1]} of its "
            "molecule already: bonds, angles and charges would act twice",
            hint="put it in place of the System's terms with oh.replace; repeat=True adds it to them",
        )
    if any(_holds_hydrogen(part) for part in learned):
        warnings.warn(
            f"the sGDML model holds a molecule together by itself, and the System has the bond {bond[0]}-{bond[1]} "
            "between its atoms: both act; train the model on the residual (openmm_hybrid.correction.train), or attach "
            "it to a System without terms in this molecule",
            stacklevel=3,
        )


def is_complete(model: EnergyModel) -> TypeGuard[ForceField]:
    """Whether a model is a force field with bonds of its own, which takes the place of a System's terms."""
    return isinstance(model, ForceField) and model.tables.in_slot("bonds") is not None


def _parts(model: EnergyModel) -> Iterator[EnergyModel]:
    """The models that are added up in a model."""
    if isinstance(model, Sum):
        for part in model.parts:
            yield from _parts(part)
    elif isinstance(model, Gated | OnAtoms):
        yield from _parts(model.model)
    else:
        yield model


def _bond_inside(system: openmm.System, placement: Placement) -> tuple[int, ...] | None:
    """The first bond of the System's forces that joins two particles of one copy; None if there is none.

    Bonds of no strength only mark a bond. Pairs that the model does not bind are restraints.
    """
    copy_of, index = np.full(placement.n_particles, -1), np.full(placement.n_particles, -1)
    copy_of[placement.atoms] = np.arange(len(placement.atoms))[:, None]
    index[placement.atoms] = np.arange(placement.atoms.shape[1])
    known = placement.model.bonds
    bonds = None if known is None else {frozenset(pair) for pair in np.asarray(known).tolist()}
    for force in system.getForces():
        harmonic = isinstance(force, openmm.HarmonicBondForce)
        if not (harmonic or (isinstance(force, openmm.CustomBondForce) and is_morse(force))):
            continue
        for (i, j), values in terms_of(force):
            strength = values[1] if harmonic else 1.0
            if not strength or copy_of[i] < 0 or copy_of[i] != copy_of[j]:
                continue
            if bonds is None or frozenset((int(index[i]), int(index[j]))) in bonds:
                return (i, j)
    return None


def _holds_hydrogen(model: SGDMLModel) -> bool:
    """Whether a model holds hydrogen atoms in its training geometries as strongly as a whole molecule does."""
    bonds = model.bonds
    if bonds is None:
        return False
    x = training_geometries(model)[:_GEOMETRIES]
    stiffness = []
    for pair in bonds.tolist():
        light, heavy = sorted(pair, key=lambda atom: model.atomic_numbers[atom])
        if model.atomic_numbers[light] != 1:
            continue
        along = x[:, light] - x[:, heavy]
        along /= np.linalg.norm(along, axis=1)[:, None]
        pulls = []
        for sign in (-1.0, 1.0):
            moved = x.copy()
            moved[:, light] += sign * _STRETCH * along
            pulls.append((model.evaluate(moved)[1][:, light] * along).sum(axis=1))
        stiffness.append(float(np.median(pulls[0] - pulls[1])) / (2.0 * _STRETCH))
    return bool(stiffness) and float(np.median(stiffness)) > _STIFF
