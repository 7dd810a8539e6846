"""The data of a training: checked frames, the choice of training and validation frames, and the permutations."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.bonds import bonds_from_geometry, check_order
from openmm_hybrid.data.formats.npz import dataset_md5
from openmm_hybrid.data.frame_checks import (
    broken_frames,
    force_fault,
    length_fault,
    refuse_impossible_labels,
    unbalanced_frames,
)
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.data.selection import select
from openmm_hybrid.models.residual import RESIDUAL
from openmm_hybrid.sgdml.descriptor import first_copies
from openmm_hybrid.sgdml.matching import data_permutations
from openmm_hybrid.sgdml.symmetry import (
    TooManyPermutationsError,
    check_permutations,
    graph_permutations,
    restrict_permutations,
)

# A harmonic force field of N atoms has (3N − 6)(3N − 3)/2 parameters, of which each frame determines 3N − 6.
_FEW = 8  # frames that are enough for molecules of any size, where the descriptor and the symmetries help; our choice
_N_VALID = 200  # default number of validation frames, for a force error known to a few per cent

Ints = NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Training, validation and test frames with their permutations, for any sigma and lam. Made by `training_set`.

    Parameters
    ----------
    frames : Frames
        All frames, with the chosen atoms only.
    perms : (n_perms, n_atoms)
    idxs_train, idxs_valid : (n_train,), (n_valid,)
        Indices of the training and validation frames. The first k of them are a selection of the same kind.
    idxs_rest : (n_rest,)
        Indices of the other frames in random order, without copies of any geometry.
    md5 : str
        sgdml's fingerprint of the data set with all atoms.
    atoms : (n_atoms,) or None
        The chosen atoms of the molecule; None for all.
    energy_constraint : bool
        Whether models are trained on the energies too.
    """

    frames: Frames
    perms: Ints
    idxs_train: Ints
    idxs_valid: Ints
    idxs_rest: Ints
    md5: str
    atoms: Ints | None = None
    energy_constraint: bool = False

    @property
    def n_train(self) -> int:
        """Number of training frames."""
        return len(self.idxs_train)

    @property
    def train(self) -> Frames:
        """The training frames."""
        return self.frames[self.idxs_train]

    @property
    def valid(self) -> Frames:
        """The validation frames."""
        return self.frames[self.idxs_valid]

    def test(self, n_test: int = 1000) -> Frames:
        """Test frames: at most `n_test` of the frames that are in neither training nor validation, at random."""
        return self.frames[self.idxs_rest[: max(n_test, 0)]]

    def first(self, n_train: int) -> TrainingSet:
        """The same with the first `n_train` training frames only; validation and test frames stay.

        Raises
        ------
        InputError
            `n_train` is below 1, or there are fewer training frames.
        """
        if not 1 <= n_train <= self.n_train:
            raise InputError(f"n_train = {n_train}", expected=f"1 to {self.n_train}, the number of training frames")
        return replace(self, idxs_train=self.idxs_train[:n_train])


def training_set(
    frames: Frames,
    *,
    n_train: int | None = None,
    n_valid: int | None = 0,
    perms: str | ArrayLike | None = "auto",
    molecule: Molecule | None = None,
    atoms: ArrayLike | None = None,
    indices: ArrayLike | None = None,
    selection: str = "auto",
    seed: int = 0,
    energy_constraint: bool = False,
) -> TrainingSet:
    """Check frames, find their permutations, and select training and validation frames.

    Parameters
    ----------
    frames : Frames
        Frames with forces.
    n_train : int, optional
        Number of training frames, no geometry twice. By default, all that are not for validation.
    n_valid : int or None
        Number of other frames for validation. None means 200, or all other frames if there are fewer; without n_train,
        at most a fifth of the frames.
    perms, molecule
        See `train`.
    atoms : (n_chosen,), optional
        Train on these atoms of the molecule only, in this order (see `train`).
    indices : (n_train,), optional
        Indices of the training frames, instead of n_train.
    selection : {"auto", "stratified", "random"}
        How frames are selected (see `train`).
    seed : int
        Seed of the selection, and of the frames in which perms="data" finds permutations.
    energy_constraint : bool
        Train on the energies too (see `train`).

    Raises
    ------
    InputError
        No forces; an energy constraint without energies, or on some atoms; too few frames; a geometry twice; atoms that
        touch, are chosen twice or do not exist; an unknown setting; too many permutations; labels that never change,
        or forces with a large net force or torque.
    MismatchError
        The molecule has other atoms than the frames, or another order of atoms.

    Warns
    -----
    UserWarning
        The atoms' distances look like bohr or nm, the forces like other units or gradients, or some frames are broken
        or have a net force or torque (see `openmm_hybrid.data.frame_checks`); there are fewer training frames than 8,
        or than a harmonic force field of few atoms needs; the graph has too many symmetries for perms="auto".
    """
    if frames.forces is None:
        raise InputError(f"the frames of {frames.name!r} have no forces", hint="label them with a reference engine")
    if energy_constraint and frames.energies is None:
        raise InputError(
            f"the frames of {frames.name!r} have no energies", hint="label them, or train without an energy constraint"
        )
    if energy_constraint and atoms is not None:
        raise InputError(
            "an energy constraint is not possible for some atoms of a molecule, whose energies are not known",
            hint="train on their forces alone",
        )
    _check_labels(frames)
    group = permutations_of(frames, perms, molecule, seed)
    chosen = None if atoms is None else np.asarray(atoms)
    cut = frames
    if chosen is not None:
        group = restrict_permutations(group, chosen)
        cut = _cut(frames, chosen)
    if cut.n_atoms < 2:
        raise InputError("sGDML needs two atoms or more")
    parts = _split(cut, first_copies(cut, group), n_train, n_valid, indices, selection, seed)
    if len(parts[0]) < (needed := min(_FEW, math.ceil((3 * cut.n_atoms - 3) / 2))):
        warnings.warn(
            f"too few training frames of {frames.name!r} for a model of {cut.n_atoms} atoms, {len(parts[0])}: use "
            f"{needed} or more, and judge the model by its errors on test frames.",
            stacklevel=3,
        )
    return TrainingSet(cut, group, *parts, md5=dataset_md5(frames), atoms=chosen, energy_constraint=energy_constraint)


def _check_labels(frames: Frames) -> None:
    """Refuse labels that cannot be right, and warn of the first fault.

    The stiffness of a residual is not that of a molecule, and its labels were checked beside the force field.
    """
    found = [length_fault(frames)]
    if not frames.theory.endswith(RESIDUAL):
        found += [force_fault(frames), broken_frames(frames), unbalanced_frames(frames)]
        if not any(found[:2]):
            refuse_impossible_labels(frames)
    for fault in found:
        if fault:
            warnings.warn(fault, stacklevel=3)
            return


def _cut(frames: Frames, atoms: Ints) -> Frames:
    return replace(
        frames,
        atomic_numbers=frames.atomic_numbers[atoms],
        positions=frames.positions[:, atoms],
        forces=None if frames.forces is None else frames.forces[:, atoms],
    )


def permutations_of(frames: Frames, perms: str | ArrayLike | None, molecule: Molecule | None, seed: int = 0) -> Ints:
    """The group of permutations of the whole molecule (see `train`)."""
    if molecule is not None:
        check_order(molecule, frames)
    if perms is None:
        return np.arange(frames.n_atoms)[None]
    if not isinstance(perms, str):
        return check_permutations(perms, frames.atomic_numbers)
    if perms not in ("auto", "graph", "data"):
        raise InputError(f"perms = {perms!r}", expected='"auto", "graph", "data", an array (n_perms, n_atoms) or None')
    bonds = bonds_from_geometry(frames.atomic_numbers, frames.positions) if molecule is None else molecule.bonds
    if perms != "data":
        rigid = () if molecule is None else _double_bonds(molecule)
        try:
            return graph_permutations(frames.atomic_numbers, bonds, frames.positions, rigid_bonds=rigid)
        except TooManyPermutationsError as error:
            if perms == "graph" or frames.n_frames < 2:
                raise
            reason = error.problem
    group = data_permutations(frames.atomic_numbers, frames.positions, bonds=bonds, seed=seed)
    if perms == "auto":
        warnings.warn(
            f"{reason}; the model has the {len(group)} permutations that the frames show. Give others by perms=.",
            stacklevel=3,
        )
    return group


def _double_bonds(molecule: Molecule) -> Ints:
    pairs = [
        (b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in molecule.rdkit.GetBonds() if str(b.GetBondType()) == "DOUBLE"
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _split(
    frames: Frames,
    firsts: Ints,
    n_train: int | None,
    n_valid: int | None,
    indices: ArrayLike | None,
    selection: str,
    seed: int,
) -> tuple[Ints, Ints, Ints]:
    """Indices of training, validation and other frames, no geometry twice in all of them together."""
    if n_train is not None and indices is not None:
        raise InputError("both n_train and indices are given", expected="one of them")
    rng = np.random.default_rng(seed)
    distinct = np.unique(firsts)
    if indices is not None or (n_train is None and n_valid == 0):
        chosen = _given(np.arange(frames.n_frames) if indices is None else indices, firsts)
    else:
        if n_train is None:
            n_train = len(distinct) - (min(_N_VALID, len(distinct) // 5) if n_valid is None else n_valid)
        if not 1 <= n_train <= len(distinct):
            raise InputError(f"n_train = {n_train}", expected=f"1 to {len(distinct)}, the number of distinct frames")
        chosen = select(distinct, frames.energies, n_train, selection, rng)
    left = np.setdiff1d(distinct, firsts[chosen])
    if n_valid is None:
        n_valid = min(_N_VALID, len(left))
    if not 0 <= n_valid <= len(left):
        raise InputError(f"n_valid = {n_valid}", expected=f"0 to {len(left)}, the number of other distinct frames")
    valid = select(left, frames.energies, n_valid, selection, rng)
    return chosen, valid, rng.permutation(np.setdiff1d(left, valid))


def _given(indices: ArrayLike, firsts: Ints) -> Ints:
    chosen = np.asarray(indices)
    if chosen.ndim != 1 or not chosen.size or chosen.dtype.kind not in "iu":
        raise InputError("indices are not a list of frame indices", expected="integers, one or more")
    if chosen.min() < 0 or chosen.max() >= len(firsts):
        raise InputError(f"a frame index is out of range, {chosen.max()}", expected=f"0 to {len(firsts) - 1}")
    if len(np.unique(chosen)) < len(chosen):
        raise InputError("a frame index is given twice")
    geometry, counts = np.unique(firsts[chosen], return_counts=True)
    if counts.max() > 1:
        copies = np.sort(chosen[firsts[chosen] == geometry[np.argmax(counts > 1)]])
        raise InputError(
            f"frames {copies[0]} and {copies[1]} are the same geometry, up to rotation and symmetry",
            hint="remove one of them, or give n_train=, which selects no geometry twice",
        )
    return chosen.astype(np.int64)
