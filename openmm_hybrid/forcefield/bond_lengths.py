"""Mean lengths of a force field's bonds at a temperature, at which constraints hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.forcefield.builder import graph_classes
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.paths import angles
from openmm_hybrid.forcefield.terms import Terms
from openmm_hybrid.models.minima import relax_by

Bond = tuple[int, int]
Floats = NDArray[np.float64]
StretchTerms = list[tuple[Terms, tuple[float, ...]]]
"""Terms that depend on the length of one bond only, each with its row of parameters."""

_CONFORMATIONS = 4  # number of random conformations that we relax
_MAX_FORCE = 0.2  # kcal/mol/Å; it stretches a bond to hydrogen by 3e-4 Å
_STRAINED = 0.2  # Å; largest plausible difference between a bond's length in the molecule and at its own minimum
_REACH = 0.35  # Å; half of the interval of the averages, six standard deviations of C-C at 1000 K
_POINTS = 2001  # number of points of the averages
_SCAN = np.linspace(0.6, 3.0, 2401)  # Å; lengths among which we look for the minimum of a bond's own terms
_DIGITS = 4  # digits of the lengths in Å; rounding hides the differences between machines
_BENT = 1.95  # rad; angles without a term, in the conformations before they relax
_CONTACT = 2.1  # Å; shortest distance of atoms more than two bonds apart, in the conformations before they relax


def mean_bond_lengths(forcefield: ForceField, bonds: Sequence[Bond], temperature: float) -> dict[Bond, float]:
    """Mean lengths of bonds in the molecule alone, Å.

    The mean is over r of a bond with its own terms E(r) and the constant pull f of all other terms:

        ⟨r⟩ = ∫ r³ exp(−β(E(r) − f r)) dr / ∫ r² exp(−β(E(r) − f r)) dr,  f = E′(r*),

    where r* is its length in a relaxed molecule. The result is the average over several conformations and over
    equivalent bonds, which therefore have equal lengths. The temperature enters by the anharmonicity of E
    and by the centrifugal factor r².

    Parameters
    ----------
    forcefield : ForceField
    bonds : sequence of (i, j)
        Pairs of bonded atoms.
    temperature : float, K

    Returns
    -------
    lengths : dict
        Length of each bond, rounded to 1e-4 Å.

    Raises
    ------
    NumericalError
        No conformation relaxes to plausible lengths of the bonds.
    """
    own = {bond: _stretch_terms(forcefield, bond) for bond in bonds}
    conformations = _relaxed(forcefield)
    classes = graph_classes(forcefield.atomic_numbers, forcefield.bonds)
    alike: dict[frozenset[str], list[Bond]] = {}
    for bond in bonds:
        alike.setdefault(frozenset(classes[atom] for atom in bond), []).append(bond)
    lengths = {}
    for members in alike.values():
        means = [
            _mean(own[i, j], float(length), temperature)
            for i, j in members
            for length in np.linalg.norm(conformations[:, i] - conformations[:, j], axis=-1)
        ]
        lengths.update(dict.fromkeys(members, round(float(np.mean(means)), _DIGITS)))
    return lengths


def _stretch_terms(forcefield: ForceField, bond: Bond) -> StretchTerms:
    return [
        (terms, tuple(row))
        for terms in forcefield.terms
        if terms.slot != "pairs" and [part.kind for part in terms.form.coordinates] == ["distance"]
        for atoms, row in zip(terms.atoms.tolist(), forcefield.tables.values(terms).tolist(), strict=True)
        if set(atoms) == set(bond)
    ]


def _stretch(terms: StretchTerms, lengths: Floats) -> tuple[Floats, Floats]:
    """Energies and slopes (n,) of a bond's own terms at its lengths (n,)."""
    energies, slopes = np.zeros_like(lengths), np.zeros_like(lengths)
    q = torch.tensor(lengths)[:, None, None]
    for part, row in terms:
        energy, slope = part.form(q, torch.tensor([row], dtype=torch.float64))
        energies += energy[:, 0].numpy()
        slopes += slope[:, 0, 0].numpy()
    return energies, slopes


def _mean(terms: StretchTerms, at_rest: float, temperature: float) -> float:
    """⟨r⟩ of a bond with its own terms and the constant pull that keeps its minimum at the length `at_rest`."""
    r = at_rest + np.linspace(-_REACH, _REACH, _POINTS)
    pull = _stretch(terms, np.array([at_rest]))[1][0]
    energies = _stretch(terms, r)[0] - pull * r
    weights = r * r * np.exp(-(energies - energies.min()) / (BOLTZMANN * temperature))
    return float(weights @ r / weights.sum())


def _relaxed(forcefield: ForceField) -> Floats:
    """Relaxed conformations (n, n_atoms, 3), Å."""
    bonds = [(i, j) for i, j in forcefield.bonds.tolist()]
    minima = np.array([_SCAN[_stretch(_stretch_terms(forcefield, bond), _SCAN)[0].argmin()] for bond in bonds])
    lower, upper = _bounds(forcefield, dict(zip(bonds, minima.tolist(), strict=True)))
    rng, module = np.random.default_rng(0), forcefield.module()  # it takes long to make, so we make it once

    def predict(r: Floats) -> tuple[Floats, Floats]:
        with torch.inference_mode():
            energies, forces = module(torch.from_numpy(r))
        return energies.numpy(), forces.numpy()

    found = []
    for _ in range(_CONFORMATIONS):
        try:
            positions, _ = relax_by(predict, _embedded(lower, upper, rng), max_force=_MAX_FORCE)
        except NumericalError:
            continue
        ends = positions[forcefield.bonds]
        lengths = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1)
        if np.abs(lengths - minima).max(initial=0.0) < _STRAINED:
            found.append(positions)
    if not found:
        raise NumericalError(
            f"no geometry of {forcefield.name!r} was found from which to take the lengths of its bonds",
            expected=f"bonds within {_STRAINED} Å of their own minima in a relaxed molecule",
            hint="build the System with constraints=None",
        )
    return np.array(found)


def _bounds(forcefield: ForceField, lengths: Mapping[Bond, float]) -> tuple[Floats, Floats]:
    """Lower and upper bounds (n_atoms, n_atoms) of all distances, Å, from the minima of bonds and angles."""
    n = forcefield.n_atoms
    lower, upper = np.full((n, n), _CONTACT), np.full((n, n), np.inf)
    bent: dict[tuple[int, ...], float] = {}
    for terms in forcefield.terms:
        stiff = terms.form.harmonic(torch.tensor(forcefield.tables.values(terms)))
        if stiff is not None and terms.form.n_atoms == 3:
            bent |= {
                min(atoms, atoms[::-1]): minimum
                for atoms, minimum in zip(map(tuple, terms.atoms.tolist()), stiff[1].tolist(), strict=True)
            }
    fixed = dict(lengths)
    for i, j, k in angles(forcefield.bonds):
        first, second = (lengths[min(pair), max(pair)] for pair in ((i, j), (j, k)))
        angle = bent.get((i, j, k), _BENT)
        fixed.setdefault((i, k), float(np.sqrt(first**2 + second**2 - 2.0 * first * second * np.cos(angle))))
    for (i, j), distance in fixed.items():
        lower[i, j] = lower[j, i] = upper[i, j] = upper[j, i] = distance
    np.fill_diagonal(lower, 0.0)
    np.fill_diagonal(upper, 0.0)
    for k in range(n):
        upper = np.minimum(upper, upper[:, k, None] + upper[k])
    return np.minimum(lower, upper), upper


def _embedded(lower: Floats, upper: Floats, rng: np.random.Generator) -> Floats:
    """A geometry (n_atoms, 3) whose distances lie about within bounds.

    Distance geometry (Crippen and Havel, Distance Geometry and Molecular Conformation, Wiley 1988): random distances
    become positions in four dimensions, where atoms pass each other; then the fourth coordinate is pressed to zero.
    """
    n = len(lower)
    i, j = np.triu_indices(n, 1)
    squares = np.zeros((n, n))
    squares[i, j] = squares[j, i] = rng.uniform(lower[i, j], upper[i, j]) ** 2
    centred = np.eye(n) - 1.0 / n
    values, vectors = np.linalg.eigh(-0.5 * centred @ squares @ centred)
    x = np.zeros((n, 4))
    x[:, 4 - min(n, 4) :] = vectors[:, -4:] * np.sqrt(np.maximum(values[-4:], 0.1))

    def penalty(flat: Floats, press: float) -> tuple[float, Floats]:
        r = flat.reshape(n, 4)
        apart = r[i] - r[j]
        distances = np.sqrt((apart * apart).sum(axis=1) + 1e-12)
        excess = distances - np.clip(distances, lower[i, j], upper[i, j])
        slope = np.zeros((n, 4))
        pulls = (2.0 * excess / distances)[:, None] * apart
        np.add.at(slope, i, pulls)
        np.add.at(slope, j, -pulls)
        slope[:, 0] += 2.0 * press * r[:, 0]
        return float(excess @ excess + press * (r[:, 0] @ r[:, 0])), slope.ravel()

    for press in (0.0, 0.03, 1.0):
        x = minimize(penalty, x.ravel(), args=(press,), jac=True, method="L-BFGS-B").x.reshape(n, 4)
    return x[:, 1:]
