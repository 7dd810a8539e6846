"""The particles of a System in a model's order of atoms, found by elements and bonds."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.data.identity import Identity
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models_io.correction import Correction


def in_order(
    system: openmm.System, topology: app.Topology, model: EnergyModel | Correction, copies: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The copies (n_copies, n_atoms) of a molecule with their particles in the model's order.

    Where the topology has no bonds in a copy, those of the System's harmonic bonds and constraints are used. Without
    bonds in either, or in the model, only the elements are compared. Atoms that are a part of a molecule are never put
    into another order.

    Raises
    ------
    MismatchError
        A copy is another molecule; the message names the first atom or bond that does not fit.

    Warns
    -----
    UserWarning
        The particles were in another order, or neither topology nor System have bonds that tell.
    """
    members = list(topology.atoms())
    atomic_numbers = np.array([atom.element.atomic_number if atom.element else 0 for atom in members])
    if model.bonds is None:
        _check_elements(members, atomic_numbers, model, copies)
        return copies
    expected = Identity.of("the model", model.atomic_numbers, model.bonds)
    known = [(first.index, second.index) for first, second in topology.bonds()]
    ordered = copies.copy()
    for row, atoms in enumerate(copies):
        local = {atom: k for k, atom in enumerate(atoms.tolist())}
        bonds, whole = known, True
        if not any(i in local or j in local for i, j in known):
            bonds, whole = list(system_bonds(system)), False
        inside = [(local[i], local[j]) for i, j in bonds if i in local and j in local]
        if not inside and expected.bonds:
            _check_elements(members, atomic_numbers, model, copies[row : row + 1])
            _warn_of_absent_bonds(model)
            continue
        found = Identity.of(_named(members, atoms), atomic_numbers[atoms], inside)
        if not whole and _includes(found, expected):
            continue
        if any((i in local) != (j in local) for i, j in bonds) and not expected.equals(found):
            _check_elements(members, atomic_numbers, model, copies)
            raise MismatchError(
                f"{found.what} does not fit the model: {expected.difference(found)}",
                hint="the atoms are a part of a molecule: give atoms=[…] in the model's order",
            )
        ordered[row] = atoms[expected.order_in(found)]
    _warn_of_another_order(members, copies, ordered)
    return ordered


def system_bonds(system: openmm.System) -> Iterator[tuple[int, int]]:
    """Pairs of particles with a constraint, a harmonic bond or a term of a CustomBondForce."""
    for k in range(system.getNumConstraints()):
        first, second, _ = system.getConstraintParameters(k)
        yield first, second
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce | openmm.CustomBondForce):
            for k in range(force.getNumBonds()):
                first, second, *_ = force.getBondParameters(k)
                yield first, second


def _includes(found: Identity, expected: Identity) -> bool:
    """Whether the given order fits; a System may bind more pairs than those that are bonded, such as 1-3 pairs."""
    return np.array_equal(found.atomic_numbers, expected.atomic_numbers) and expected.bonds <= found.bonds


def _warn_of_absent_bonds(model: EnergyModel | Correction) -> None:
    if len(set(model.atomic_numbers.tolist())) < len(model.atomic_numbers):
        warnings.warn(
            "neither the topology nor the System has bonds between the model's atoms: only the elements were compared, "
            "so atoms of one element may be in another order than the model's; add the bonds "
            "(topology.createStandardBonds, topology.addBond)",
            stacklevel=5,
        )


def _warn_of_another_order(
    members: Sequence[app.topology.Atom], copies: NDArray[np.int64], ordered: NDArray[np.int64]
) -> None:
    moved = np.argwhere(ordered != copies)
    if len(moved):
        row, k = moved[0]
        warnings.warn(
            f"the atoms are not in the model's order: its atom {k} is {_atom(members, ordered[row, k])}, not "
            f"{_atom(members, copies[row, k])}. They were put into its order by their bonds, which do not tell "
            "equivalent atoms apart",
            stacklevel=5,
        )


def _named(members: Sequence[app.topology.Atom], atoms: NDArray[np.int64]) -> str:
    residues = dict.fromkeys(f"{members[a].residue.name} {members[a].residue.id}" for a in atoms.tolist())
    return f"{', '.join(residues)} of the topology"


def _atom(members: Sequence[app.topology.Atom], index: int) -> str:
    return f"{index} ({members[index].name})"


def _check_elements(
    members: Sequence[app.topology.Atom],
    atomic_numbers: NDArray[np.int64],
    model: EnergyModel | Correction,
    copies: NDArray[np.int64],
) -> None:
    differing = np.argwhere(atomic_numbers[copies] != model.atomic_numbers)
    if not len(differing):
        return
    copy, k = differing[0]
    atom = members[copies[copy, k]]
    expected = app.Element.getByAtomicNumber(int(model.atomic_numbers[k])).symbol
    raise MismatchError(
        f"atom {atom.index} ({atom.name} of {atom.residue.name} {atom.residue.id}) is "
        f"{atom.element.symbol if atom.element else 'a particle without element'}",
        expected=f"{expected} for the model's atom {k}",
        hint="give atoms=[…] in the model's order; if they are, the model was made for another molecule",
    )
