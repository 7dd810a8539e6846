"""Plausibility of frames without a force field.

We look at lengths, at the stiffness along bonds of hydrogen, at broken frames, at labels that never change, and at the
net force and net torque, which are zero in vacuum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
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
_FEW = 3  # least number of frames whose energies cannot all be equal
_SLIGHT = 1.0  # kcal/mol/Å and kcal/mol; net force and torque that an integration grid or rounding may leave
_UNBALANCED = 0.03  # largest net force or torque, relative to that of unrelated forces on the atoms [0.004]
_IMPOSSIBLE = 0.12  # median over the frames that is refused; two hydrogen atoms exchanged give 0.2 to 0.8

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


def refuse_impossible_labels(frames: Frames) -> None:
    """Refuse labels that never change, and forces with a large net force or net torque in most frames.

    Raises
    ------
    InputError
        All forces are zero or the same in all frames; all energies are the same in three frames or more; or half of the
        frames have a net force or torque of more than 0.12 times that of unrelated forces.
    """
    r, energies, forces = frames.positions, frames.energies, frames.forces
    if forces is not None and not forces.any():
        raise InputError(f"all forces of {frames.name!r} are zero", expected="the forces of the reference")
    if len(frames) > 1 and (r != r[0]).any():
        if forces is not None and (forces == forces[0]).all():
            raise InputError(
                f"the forces of {frames.name!r} are the same in all {len(frames)} frames",
                expected="the forces of each geometry",
            )
        if energies is not None and len(frames) >= _FEW and (energies == energies[0]).all():
            raise InputError(
                f"the energies of {frames.name!r} are {energies[0]:g} in all {len(frames)} frames",
                hint="give the energy of each geometry, or leave them out: dataclasses.replace(frames, energies=None)",
            )
    size = float(np.median(imbalance(frames)))
    if size > _IMPOSSIBLE:
        kind, largest = _largest_imbalance(frames)
        raise InputError(
            f"the forces of {frames.name!r} have a {kind} in most frames (median {largest}), which forces in vacuum do "
            "not have",
            hint="check that they belong to these frames and atoms, in the same order, and that none is scaled or "
            "missing; choose some atoms by atoms=; label without external field, point charges and frozen atoms (ASE: "
            "atoms.get_forces(apply_constraint=False)), since no model knows where a molecule is in space",
        )


def unbalanced_frames(frames: Frames, indices: NDArray[np.int64] | None = None) -> str:
    """Frames whose forces have a net force or torque, as a warning; empty if there are none.

    Parameters
    ----------
    frames : Frames
    indices : (n_frames,), optional
        Indices of the frames in the data set that the user knows; 0, 1, 2, … by default.
    """
    off = np.flatnonzero(imbalance(frames) > _UNBALANCED)
    if not off.size:
        return ""
    kind, largest = _largest_imbalance(frames[off])
    shown = (off if indices is None else np.sort(np.asarray(indices)[off])).tolist()
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    listed = f"frame{'s' if len(shown) > 1 else ''} {', '.join(map(str, shown[:_SHOWN]))}{more}"
    which = "most frames" if 2 * len(off) > len(frames) else listed
    return (
        f"the forces of {which} of {frames.name!r} have a {kind} (median {largest}), which no model can "
        "reproduce: check the order of their atoms, the integration grid, external fields and frozen atoms."
    )


def imbalance(frames: Frames) -> NDArray[np.float64]:
    """Net force or torque (n_frames,), the larger of the two, relative to that of unrelated forces on the atoms.

    Unrelated forces of root mean square f on N atoms have |Σ F| ≈ f √(3N) and |Σ r × F| ≈ f √(Σ r²). Below 1 kcal/mol/Å
    and 1 kcal/mol the net force and torque count as zero, also for single atoms and frames without forces.
    """
    if frames.forces is None or frames.n_atoms == 1:
        return np.zeros(len(frames))
    net, torque = _net(frames)
    square = (frames.forces**2).sum(axis=(1, 2))
    extent = frames.positions.var(axis=1).sum(axis=1)
    forces = np.where(net > _SLIGHT, net, 0.0) / np.sqrt(np.maximum(square, np.finfo(float).tiny))
    lever = np.sqrt(np.maximum(square * extent / 3.0, np.finfo(float).tiny))
    return np.maximum(forces, np.where(torque > _SLIGHT, torque, 0.0) / lever)


def _net(frames: Frames) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Net force and net torque (n_frames,) about the mean position."""
    forces = np.zeros_like(frames.positions) if frames.forces is None else frames.forces
    centred = frames.positions - frames.positions.mean(axis=1, keepdims=True)
    torque = np.cross(centred, forces).sum(axis=1)
    return np.linalg.norm(forces.sum(axis=1), axis=1), np.linalg.norm(torque, axis=1)


def _largest_imbalance(frames: Frames) -> tuple[str, str]:
    """The kind of the imbalance that stands out, and its median with its unit."""
    net, torque = (float(np.median(values)) for values in _net(frames))
    return ("net force", f"{net:.3g} kcal/mol/Å") if net > _SLIGHT else ("net torque", f"{torque:.3g} kcal/mol")


def _bonds(frames: Frames) -> NDArray[np.int64]:
    """Bonds (n_bonds, 2) by the median distances of a few frames, which a broken frame among them does not change."""
    from ase.data import covalent_radii

    few = frames.positions[:: -(-len(frames) // _FIRST)]
    i, j = np.triu_indices(frames.n_atoms, 1)
    radii = covalent_radii[frames.atomic_numbers]
    median = np.median(np.linalg.norm(few[:, i] - few[:, j], axis=2), axis=0)
    bonded = median < _FACTOR * (radii[i] + radii[j])
    return np.stack([i[bonded], j[bonded]], axis=1)
