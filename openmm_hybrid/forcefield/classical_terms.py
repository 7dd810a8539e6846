"""Classical terms of a force field by atoms, for exports to other programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.forcefield.inner_pairs import pairs_by_bonds
from openmm_hybrid.forcefield.paths import angles, chains, neighbours
from openmm_hybrid.forcefield.tables import AtomParameter, Tables
from openmm_hybrid.forcefield.terms import Terms

Atoms = tuple[int, ...]
#: AMBER's divisors, for molecules without atoms three bonds apart.
_SCEE, _SCNB = 1.2, 2.0
_DIGITS = 9  # digits to which we compare divisors


class Cosine(NamedTuple):
    """k (1 + cos(nφ − δ)), k ≥ 0."""

    n: int
    phase: float
    k: float


@dataclass(frozen=True, eq=False)
class Classical:
    """Classical terms by atoms, in Å, rad, e and kcal/mol.

    Parameters
    ----------
    bonds, angles : atoms → (k, q₀)
        ½ k (q − q₀)².
    morse : atoms → (D, a, r₀)
    propers, impropers : atoms → cosines
        The central atom of an improper is the third.
    constant : float
        Constant energy in addition to these terms, kcal/mol.
    charges, sigmas, epsilons : (n_atoms,)
    scee, scnb : float
        Divisors of the Coulomb and Lennard-Jones interactions of atoms three bonds apart.
    """

    bonds: dict[Atoms, tuple[float, ...]]
    morse: dict[Atoms, tuple[float, ...]]
    angles: dict[Atoms, tuple[float, ...]]
    propers: dict[Atoms, tuple[Cosine, ...]]
    impropers: dict[Atoms, tuple[Cosine, ...]]
    constant: float
    charges: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    epsilons: NDArray[np.float64]
    scee: float
    scnb: float


def classical(forcefield: Tables) -> Classical:
    """Classical terms of a force field.

    Raises
    ------
    MismatchError
        Classical force fields cannot express a form or term; the message names it.
    """
    if forcefield.outer is not None:
        raise MismatchError(
            "the terms 'pairs.inner' are pairs with charge products and Lennard-Jones parameters of their own",
            expected="charges and Lennard-Jones parameters of the atoms: the format has none for single pairs",
            hint="put the force field into a System with oh.replace, or keep it with save()",
        )
    for terms in forcefield.terms:
        if not terms.form.plain_force:
            raise MismatchError(
                f"the terms {terms.group!r} are {terms.form.name}",
                expected="harmonic, Morse and Fourier terms, charges and Lennard-Jones",
                hint="put the force field into a System with oh.replace, or keep it with save()",
            )
    graph = _Graph.of(forcefield.bonds)
    harmonic, morse = _stiff(forcefield, graph)
    propers, impropers, constant = _torsions(forcefield, graph)
    charges, scee = _charges(forcefield, graph)
    sigmas, epsilons, scnb = _wells(forcefield, graph)
    return Classical(
        bonds={atoms: row for atoms, row in harmonic.items() if len(atoms) == 2},
        morse=morse,
        angles={atoms: row for atoms, row in harmonic.items() if len(atoms) == 3},
        propers=propers,
        impropers=impropers,
        constant=constant,
        charges=charges,
        sigmas=sigmas,
        epsilons=epsilons,
        scee=scee,
        scnb=scnb,
    )


@dataclass(frozen=True, eq=False)
class _Graph:
    """Paths in the molecular graph that classical terms need."""

    stiff: frozenset[Atoms]  # bonds and angles
    chains: frozenset[Atoms]
    near: dict[int, list[int]]
    excluded: frozenset[Atoms]  # pairs one or two bonds apart
    scaled: frozenset[Atoms]  # pairs three bonds apart

    @classmethod
    def of(cls, bonds: NDArray[np.int64]) -> _Graph:
        pairs: set[Atoms] = {_sorted(bond) for bond in bonds.tolist()}
        excluded, scaled = pairs_by_bonds(bonds)
        return cls(frozenset(pairs | set(angles(bonds))), frozenset(chains(bonds)), neighbours(bonds), excluded, scaled)


def _sorted(pair: Sequence[int]) -> Atoms:
    return tuple(sorted(pair))


Rows = dict[Atoms, tuple[float, ...]]


def _terms_in(forcefield: Tables, *forces: str) -> Iterator[tuple[Terms, Atoms, list[tuple[float, ...]]]]:
    """Terms in some of OpenMM's forces, with their atoms and their entries in the force (`plain_rows`)."""
    for terms in forcefield.terms:
        if terms.form.plain_force in forces:
            rows = terms.form.plain_rows(torch.tensor(forcefield.values(terms)))
            for atoms, row in zip(terms.atoms.tolist(), rows, strict=True):
                yield terms, tuple(atoms), row


def _stiff(forcefield: Tables, graph: _Graph) -> tuple[Rows, Rows]:
    """Harmonic bonds and angles as (k, q₀), and Morse bonds."""
    harmonic: Rows = {}
    morse: Rows = {}
    for terms, given, rows in _terms_in(forcefield, "HarmonicBondForce", "HarmonicAngleForce", "CustomBondForce"):
        atoms = min(given, given[::-1])
        if atoms not in graph.stiff or atoms in harmonic or atoms in morse:
            raise _unwritable(terms, given, "it is no bond or angle of the molecule, or the second term on it")
        if terms.form.plain_force == "CustomBondForce":
            morse[atoms] = rows[0]
        else:
            harmonic[atoms] = rows[0][::-1]
    return harmonic, morse


def _torsions(
    forcefield: Tables, graph: _Graph
) -> tuple[dict[Atoms, tuple[Cosine, ...]], dict[Atoms, tuple[Cosine, ...]], float]:
    """Propers, impropers, and the constant energy."""
    propers: dict[Atoms, tuple[Cosine, ...]] = {}
    impropers: dict[Atoms, tuple[Cosine, ...]] = {}
    for terms, given, rows in _terms_in(forcefield, "PeriodicTorsionForce"):
        cosines = tuple(Cosine(int(n), phase, k) for n, phase, k in rows)
        chain = given if given in graph.chains else given[::-1]
        centred = _centred(given, graph.near)
        if chain in graph.chains:
            propers[chain] = propers.get(chain, ()) + cosines
        elif centred is not None:
            impropers[centred] = impropers.get(centred, ()) + cosines
        else:
            raise _unwritable(terms, given, "it is no chain of bonds, and no atom in it joins the others")
    rests = [terms.form.plain_rest(torch.tensor(forcefield.values(terms))) for terms in forcefield.terms]
    return propers, impropers, float(sum(rest.sum() for rest in rests))


def _centred(atoms: Atoms, near: dict[int, list[int]]) -> Atoms | None:
    """The atoms in the direction that has the central atom third (AMBER) or first (SMIRNOFF); None without one."""
    for index in (2, 0):
        for ordered in (atoms, atoms[::-1]):
            if set(ordered) - {ordered[index]} <= set(near.get(ordered[index], [])):
                return ordered
    return None


def _charges(forcefield: Tables, graph: _Graph) -> tuple[NDArray[np.float64], float]:
    """Charges (n_atoms,) and the divisor scee."""
    charges = forcefield.atom_parameter("charge")
    if charges is None:
        return np.zeros(forcefield.n_atoms), _SCEE
    return charges.values, _divisor(forcefield, charges, graph, _SCEE)


def _wells(forcefield: Tables, graph: _Graph) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """σ and ε (n_atoms,) and the divisor scnb."""
    sigmas, epsilons = forcefield.atom_parameter("sigma"), forcefield.atom_parameter("epsilon")
    if sigmas is None or epsilons is None:
        return np.ones(forcefield.n_atoms), np.zeros(forcefield.n_atoms), _SCNB
    return sigmas.values, epsilons.values, _divisor(forcefield, epsilons, graph, _SCNB)


def _divisor(forcefield: Tables, parameter: AtomParameter, graph: _Graph, usual: float) -> float:
    """Divisor of pairs three bonds apart; it requires that nearer pairs are excluded and farther pairs unscaled."""
    terms, strength = parameter.terms, np.outer(parameter.values, parameter.values)
    scales = forcefield.parameters.values[terms.assignment[:, -1]].tolist()
    found = dict(zip(map(_sorted, terms.atoms.tolist()), scales, strict=True))
    interacting = [pair for pair in combinations(range(len(strength)), 2) if strength[pair]]
    near_scales = {round(found.get(pair, 0.0), _DIGITS) for pair in interacting if pair in graph.scaled}
    if len(near_scales) > 1 or 0.0 in near_scales:
        raise _unscaled(terms, "pairs three bonds apart have different scales")
    for pair in interacting:
        if pair not in graph.scaled and not math.isclose(found.get(pair, 0.0), float(pair not in graph.excluded)):
            raise _unscaled(terms, f"the scale of the pair {pair[0]}-{pair[1]} is neither 0 nor 1")
    return round(1.0 / near_scales.pop(), _DIGITS - 1) if near_scales else usual


def _unscaled(terms: Terms, why: str) -> MismatchError:
    return MismatchError(
        f"the terms {terms.group!r} cannot be written: {why}",
        expected="no pairs up to two bonds apart, one scale for pairs three bonds apart, and 1 for all others",
    )


def _unwritable(terms: Terms, atoms: Atoms, why: str) -> MismatchError:
    return MismatchError(
        f"the term {terms.group!r} of atoms {'-'.join(map(str, atoms))} cannot be written: {why}",
        expected="the terms of an AMBER force field",
    )
