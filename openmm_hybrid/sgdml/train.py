"""Training: from labelled geometries to an sGDML model, in closed form."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.errors import InputError, MismatchError
from openmm_hybrid.frames import Frames
from openmm_hybrid.molecule import Molecule
from openmm_hybrid.sgdml.descriptor import descriptor, jacobian_times, pair_permutations
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.matching import data_permutations
from openmm_hybrid.sgdml.model import SGDMLModel
from openmm_hybrid.sgdml.solve import solve_direct
from openmm_hybrid.sgdml.symmetry import bonds_from_geometry, check_permutations, graph_permutations

_SAME = 1e-6  # 1/Å; geometries whose descriptors differ by less are one geometry
_TOUCHING = 1e-3  # Å
_BATCH = 10_000  # frames whose descriptors are made at once

Ints = NDArray[np.int64]


def train(
    frames: Frames,
    *,
    sigma: float,
    lam: float = 1e-10,
    perms: str | ArrayLike | None = "graph",
    molecule: Molecule | None = None,
    n_train: int | None = None,
    indices: ArrayLike | None = None,
    seed: int = 0,
    show: bool = True,
) -> SGDMLModel:
    """Train an sGDML model by solving (K_Hess + λ1) α = −F/std (Chmiela et al., Nat. Commun. 9, 3887 (2018)).

    Same geometries, sigma, lam and perms give the model that sgdml 1.0.3 gives.

    Parameters
    ----------
    frames : Frames
        With forces. Where energies are missing, the model's energies have no constant (c = 0).
    sigma : float, 1/Å
        Length of the kernel; 10 to 100 for small molecules.
    lam : float
        λ, for forces divided by their standard deviation.
    perms : "graph", "data", array (n_perms, n_atoms) or None
        Symmetries: those of the molecular graph (see `graph_permutations`), those that the frames show, whether
        trained on or not (see `data_permutations`), a given group, or none.
    molecule : Molecule, optional
        Gives the bonds (and, for "graph", double bonds); else bonds are taken from the distances.
    n_train : int, optional
        Train on this many frames, drawn at random with `seed`; a geometry is never drawn twice. All by default.
    indices : (n_train,), optional
        Train on these frames instead.
    seed : int
        Also chooses the frames in which "data" seeks permutations.
    show : bool
        Show the progress.

    Raises
    ------
    InputError
        No forces; a setting out of range; too few frames; a geometry twice; atoms that touch; too many permutations;
        not enough memory.
    MismatchError
        The molecule's atoms are not the frames'.
    NumericalError
        The linear system was not solved to the accuracy needed.
    """
    if frames.forces is None:
        raise InputError(f"the frames of {frames.name!r} have no forces", mend="label them with a reference engine")
    if not 0.0 < sigma < np.inf or not 0.0 <= lam < np.inf:
        raise InputError(f"sigma = {sigma} and lam = {lam}", expected="sigma > 0 and lam ≥ 0")
    if frames.n_atoms < 2:
        raise InputError("sGDML needs two atoms or more")
    group = _permutations(frames, perms, molecule, seed)
    chosen = _choose(frames, group, n_train, indices, seed)
    positions, forces = frames.positions[chosen], frames.forces[chosen]
    std = float(np.std(forces))
    if std == 0.0:
        raise InputError("all training forces are zero", mend="there is nothing to learn")
    kernel = HessianKernel.of(positions, group, sigma)
    solution = solve_direct(kernel, torch.tensor(forces.reshape(-1) / std), lam=lam, show=show)
    alphas = -solution.view(kernel.positions.shape)
    model = SGDMLModel(
        z=frames.atomic_numbers,
        descriptors=kernel.x.numpy(),
        descriptor_alphas=jacobian_times(kernel.slopes, alphas).numpy(),
        perms=group,
        sigma=float(sigma),
        c=0.0,
        std=std,
        lam=float(lam),
        name=frames.name,
        theory=frames.theory,
        alphas=alphas.numpy(),
        idxs_train=chosen,
        md5_train=fingerprint(frames),
        use_E=frames.energies is not None,
    )
    if frames.energies is None:
        return model
    return replace(model, c=float(np.mean(frames.energies[chosen] - model.evaluate(positions)[0])))


def fingerprint(frames: Frames) -> str:
    """The md5 by which sgdml names a data set: of the digests of z, R, E (where there is one) and F.

    It is that of the file which the frames came from if that was written with one byte an atomic number and eight a
    coordinate, as sgdml does.
    """
    arrays = (frames.atomic_numbers.astype(np.uint8), frames.positions, frames.energies, frames.forces)
    digests = [hashlib.md5(array.tobytes()).digest() for array in arrays if array is not None]
    return hashlib.md5(b"".join(digests)).hexdigest()


def _permutations(frames: Frames, perms: str | ArrayLike | None, molecule: Molecule | None, seed: int) -> Ints:
    if perms is None:
        return np.arange(frames.n_atoms)[None]
    if not isinstance(perms, str):
        return check_permutations(perms, frames.atomic_numbers)
    if perms not in ("graph", "data"):
        raise InputError(f"perms = {perms!r}", expected='"graph", "data", an array (n_perms, n_atoms) or None')
    if molecule is not None and not np.array_equal(molecule.atomic_numbers, frames.atomic_numbers):
        raise MismatchError(
            f"the atoms of the molecule {molecule.name} are not those of the frames of {frames.name!r}",
            mend="give the molecule in the frames' atom order (Molecule.reordered)",
        )
    bonds = bonds_from_geometry(frames.atomic_numbers, frames.positions) if molecule is None else molecule.bonds
    if perms == "data":
        return data_permutations(frames.atomic_numbers, frames.positions, bonds=bonds, seed=seed)
    rigid = () if molecule is None else _double_bonds(molecule)
    return graph_permutations(frames.atomic_numbers, bonds, frames.positions, rigid_bonds=rigid)


def _double_bonds(molecule: Molecule) -> Ints:
    pairs = [
        (b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in molecule.rdkit.GetBonds() if str(b.GetBondType()) == "DOUBLE"
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _choose(frames: Frames, perms: Ints, n_train: int | None, indices: ArrayLike | None, seed: int) -> Ints:
    """Indices of the training frames, no geometry twice."""
    if n_train is not None and indices is not None:
        raise InputError("both n_train and indices are given", expected="one of them")
    twins = _twins(frames, perms)
    if n_train is not None:
        distinct = np.setdiff1d(np.arange(frames.n_frames), [later for _, later in twins])
        if not 1 <= n_train <= len(distinct):
            raise InputError(f"n_train = {n_train}", expected=f"1 to {len(distinct)}, the number of distinct frames")
        return np.random.default_rng(seed).choice(distinct, n_train, replace=False)
    chosen = np.arange(frames.n_frames) if indices is None else np.asarray(indices)
    if chosen.ndim != 1 or not chosen.size or chosen.dtype.kind not in "iu":
        raise InputError("indices are not a list of frame numbers", expected="integers, one or more")
    if chosen.min() < 0 or chosen.max() >= frames.n_frames:
        raise InputError(f"a frame index is out of range, {chosen.max()}", expected=f"0 to {frames.n_frames - 1}")
    if len(np.unique(chosen)) < len(chosen):
        raise InputError("a frame index is given twice")
    for first, later in twins:
        if first in chosen and later in chosen:
            raise InputError(
                f"frames {first} and {later} are the same geometry, up to rotation and symmetry",
                mend="remove one of them, or let n_train= draw frames, which takes no geometry twice",
            )
    return chosen.astype(np.int64)


def _twins(frames: Frames, perms: Ints) -> list[tuple[int, int]]:
    """Pairs of frames (first, later) with the same descriptor in some permutation.

    |x| and the largest x are the same for all permutations, so that only neighbours in the order of |x| with the same
    largest x need comparing.
    """
    x = torch.cat([descriptor(part)[0] for part in torch.tensor(frames.positions).split(_BATCH)]).numpy()
    touching = x.max(axis=1) > 1.0 / _TOUCHING
    if touching.any():
        raise InputError(f"two atoms touch in frame {int(np.argmax(touching))} of {frames.name!r}", mend="remove it")
    moves = pair_permutations(perms)
    order = np.argsort(np.linalg.norm(x, axis=1), kind="stable")
    norms, peaks = np.linalg.norm(x, axis=1)[order], x.max(axis=1)[order]
    twins = []
    for shift in range(1, len(order)):
        near = norms[shift:] - norms[:-shift] <= _SAME * x.shape[1] ** 0.5
        if not near.any():
            break
        for k in np.flatnonzero(near & (np.abs(peaks[shift:] - peaks[:-shift]) < _SAME)):
            first, later = sorted((int(order[k]), int(order[k + shift])))
            if (np.abs(x[first] - x[later][moves]).max(axis=1) < _SAME).any():
                twins.append((first, later))
    return sorted(twins)
