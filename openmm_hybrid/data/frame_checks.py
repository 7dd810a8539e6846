"""Plausibility of frames without a force field: lengths, stiffness and sign along bonds of hydrogen, broken frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.unit_ratios import FORCES, explained, is_off
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR, NM_PER_ANGSTROM
from openmm_hybrid.data.frames import Frames

# The limits are our choice; published data sets, which the tests read, keep to the values in brackets.
_FIRST = 10  # frames whose shortest distances are judged, and smallest number of frames for the other checks
_BOND = 1.2  # largest factor between a bond length and the sum of the covalent radii
_MOST = 1000  # frames in which bonds of hydrogen are judged
_ALONG = 0.9  # smallest correlation of the forces along a bond with its length [0.95]
_LONG = 1.8  # length of a broken bond, relative to its median
_LARGE = 10.0  # largest force of a broken frame, relative to the median of the frames' largest forces
_CENTRED = 1.0  # largest distance of the mean length from the minimum along a bond, in standard deviations [0.5]
_FACTOR = 1.25  # longest bond, relative to the sum of the covalent radii
_SHOWN = 8  # frames that a message lists

#: Atomic number → force constant of its bonds with hydrogen, kcal/mol/Å², from the stretching frequencies of organic
#: molecules [C 560 to 840, N 980 to 1070, O 1000 to 1100].
_STIFFNESS = {5: 520.0, 6: 720.0, 7: 1000.0, 8: 1080.0, 14: 400.0, 15: 470.0, 16: 590.0}


def length_fault(frames: Frames) -> str:
    """Suspicion that the positions are in bohr or nm; empty if there is none.

    The shortest distance of an atom in a molecule is about the sum of two covalent radii (ASE's). In bohr it is 1.9
    times, in nm 0.1 times as large. The median over the atoms of the first frames is judged.
    """
    from ase.data import covalent_radii

    r, radii = frames.positions[:_FIRST], covalent_radii[frames.atomic_numbers]
    distances = np.linalg.norm(r[:, :, None] - r[:, None], axis=-1) / (radii[:, None] + radii)
    ratio = float(np.median(np.min(distances + np.diag(np.full(len(radii), np.inf)), axis=2)))
    for name, expected in (("bohr", 1.0 / ANGSTROM_PER_BOHR), ("nm", NM_PER_ANGSTROM)):
        if 1.0 / _BOND < ratio / expected < _BOND:
            return (
                f"the shortest distances of {frames.name!r} are {ratio:.2g} times the length of bonds: if the "
                f"positions are in {name}, convert them to Å, or name the unit (r_unit) in the file."
            )
    return ""


def force_fault(frames: Frames) -> str:
    """Suspicion that the forces are in other units, or gradients; empty if there is none.

    Along a bond of hydrogen, −∂F/∂r is nearly the same in all molecules, as their stretching frequencies show. A line
    through the forces against the lengths gives it without a force field. Fewer than 10 frames, and frames without
    forces or without hydrogen, are not judged.
    """
    if frames.forces is None or len(frames) < _FIRST:
        return ""
    ratios = _stiffness(frames[:: -(-len(frames) // _MOST)])
    if not ratios.size:
        return ""
    ratio = float(np.median(ratios))
    if ratio < 0.0:
        return (
            f"the forces of {frames.name!r} pull stretched bonds apart: they are gradients, so multiply them by −1 "
            "(dataclasses.replace(frames, forces=-frames.forces))."
        )
    causes = explained(ratio, FORCES) if is_off(ratio) else ""
    if not causes:
        return ""
    return (
        f"the forces of {frames.name!r} hold the bonds of hydrogen {ratio:.3g} times as strongly as in other "
        f"molecules: {causes}."
    )


def _stiffness(frames: Frames) -> NDArray[np.float64]:
    """−∂F/∂r along bonds of hydrogen, relative to `_STIFFNESS` (n_bonds,), where forces and lengths correlate."""
    elements = frames.atomic_numbers
    found = []
    for pair in _bonds(frames).tolist():
        light, heavy = sorted(pair, key=lambda atom: elements[atom])
        if frames.forces is None or elements[light] != 1 or elements[heavy] not in _STIFFNESS:
            continue
        along = frames.positions[:, light] - frames.positions[:, heavy]
        lengths = np.linalg.norm(along, axis=1)
        forces = (frames.forces[:, light] * along).sum(axis=1) / lengths
        u, v = lengths - np.median(lengths), forces - np.median(forces)
        both = float(np.sqrt((u @ u) * (v @ v)))
        if both == 0.0 or abs(u @ v) < _ALONG * both:
            continue
        slope = float(u @ v) / float(u @ u)
        if abs(np.median(forces) / slope) < _CENTRED * lengths.std():  # not so for a difference of two methods
            found.append(-slope / _STIFFNESS[int(elements[heavy])])
    return np.array(found)


def broken_frames(frames: Frames) -> str:
    """Frames with a bond or a force far beyond those of the others, as a warning; empty if there are none."""
    if len(frames) < _FIRST:
        return ""
    broken = np.zeros(len(frames), dtype=bool)
    for i, j in _bonds(frames).tolist():
        lengths = np.linalg.norm(frames.positions[:, i] - frames.positions[:, j], axis=1)
        broken |= lengths > _LONG * np.median(lengths)
    if frames.forces is not None:
        largest = np.linalg.norm(frames.forces, axis=2).max(axis=1)
        broken |= largest > _LARGE * np.median(largest)
    indices = np.flatnonzero(broken).tolist()
    if not indices:
        return ""
    more = f" and {len(indices) - _SHOWN} more" if len(indices) > _SHOWN else ""
    return (
        f"frames of {frames.name!r} with a bond or a force far beyond those of the others: "
        f"{', '.join(map(str, indices[:_SHOWN]))}{more}; check their geometries and labels, or leave them out."
    )


def _bonds(frames: Frames) -> NDArray[np.int64]:
    """Bonds (n_bonds, 2) by the median distances of a few frames, which a broken frame among them does not change."""
    from ase.data import covalent_radii

    few = frames.positions[:: -(-len(frames) // _FIRST)]
    i, j = np.triu_indices(frames.n_atoms, 1)
    radii = covalent_radii[frames.atomic_numbers]
    median = np.median(np.linalg.norm(few[:, i] - few[:, j], axis=2), axis=0)
    bonded = median < _FACTOR * (radii[i] + radii[j])
    return np.stack([i[bonded], j[bonded]], axis=1)
