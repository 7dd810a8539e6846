"""The residual: reference labels minus energies and forces of a force field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.bonds import bonds_from_geometry, check_bonds, check_order
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.label_checks import check_labels

RESIDUAL = "minus force field"
"""End of `Frames.theory` of a residual."""


def residual(forcefield: EnergyModel, frames: Frames, *, reference: EnergyModel | None = None) -> Frames:
    """ΔE = E_ref − E_ff and ΔF = F_ref − F_ff of each frame.

    Energies of different methods have different zeros, so the mean of ΔE is arbitrary. We keep it: the constant of a
    model trained on the residual then gives the sum the reference's zero.

    Parameters
    ----------
    forcefield : EnergyModel
        A model of the same atoms in the same order.
    frames : Frames
        Frames with energies and forces of the reference, or geometries alone if a model is the reference.
    reference : EnergyModel, optional
        A model that labels the frames, such as an sGDML model of coupled-cluster labels. Labels of the frames are
        ignored then.

    Returns
    -------
    Frames
        The same geometries labelled with ΔE (n_frames,) kcal/mol and ΔF (n_frames, n_atoms, 3) kcal/mol/Å.

    Raises
    ------
    MismatchError
        The force field or the reference has other atoms than the frames, or another order.
    InputError
        The frames lack energies or forces and there is no reference, they are a residual already, or the labels cannot
        be right (see
        `openmm_hybrid.models.label_checks.check_labels`).

    Warns
    -----
    UserWarning
        The labels are not plausible beside the force field.
    """
    if reference is None:
        if frames.theory.endswith(RESIDUAL):
            raise InputError(
                f"the labels of {frames.name!r} are a residual already ({frames.theory})",
                expected="labels of the reference",
                hint="give the frames before residual(); sgdml.train trains on a residual",
            )
        energies, forces = frames.labels()
    else:
        _same_atoms(frames, reference, "reference")
        energies, forces = reference.predict(frames.positions)
    _same_atoms(frames, forcefield, "force field")
    ff_energies, ff_forces = forcefield.predict(frames.positions)
    theory = frames.theory if reference is None else f"{type(reference).__name__} as reference"
    check_labels(replace(frames, energies=energies, forces=forces), (ff_energies, ff_forces), stacklevel=4)
    return replace(frames, energies=energies - ff_energies, forces=forces - ff_forces, theory=f"{theory} {RESIDUAL}")


def bonds_of(frames: Frames, molecule: Molecule | None) -> NDArray[np.int64]:
    """Bonds (n_bonds, 2) of a molecule, or from the distances in the frames if there is no molecule.

    Raises
    ------
    MismatchError
        The molecule has other atoms than the frames, or another order of atoms.
    """
    if molecule is None:
        return bonds_from_geometry(frames.atomic_numbers, frames.positions)
    check_order(molecule, frames)
    return molecule.bonds


def chosen_atoms(atoms: ArrayLike | str, n_atoms: int, molecule: Molecule | None) -> NDArray[np.int64]:
    """Atoms (n_chosen,) from indices, or of the first match of a SMARTS pattern.

    Raises
    ------
    InputError
        The atoms are not integers, do not exist or are repeated; or a pattern has no molecule or no match.
    """
    if isinstance(atoms, str):
        if molecule is None:
            raise InputError(f"the pattern {atoms!r} needs a molecule", hint="give molecule=, or the atoms' indices")
        return np.array(molecule.find(atoms)[0], dtype=np.int64)
    found = np.asarray(atoms)
    if found.ndim != 1 or not len(found) or found.dtype.kind not in "iu":
        raise InputError(f"atoms are {found.dtype} of shape {found.shape}", expected="integers (n_chosen,), or SMARTS")
    if found.min() < 0 or found.max() >= n_atoms or len(set(found.tolist())) < len(found):
        raise InputError(f"the atoms {found.tolist()}", expected=f"different ones of 0 to {n_atoms - 1}")
    return found.astype(np.int64)


def _same_atoms(frames: Frames, model: EnergyModel, what: str) -> None:
    expected, given = model.atomic_numbers, frames.atomic_numbers
    if len(expected) != len(given):
        raise MismatchError(
            f"the frames of {frames.name!r} have {len(given)} atoms", expected=f"the {len(expected)} of the {what}"
        )
    if (expected != given).any():
        k = int(np.argmax(expected != given))
        raise MismatchError(
            f"atom {k} of the frames of {frames.name!r} has the atomic number {given[k]}",
            expected=f"{expected[k]} as in the {what}",
            hint=f"build the {what} in the frames' atom order (Molecule.reordered)",
        )
    if model.bonds is not None:
        check_bonds(f"the {what}", model.bonds, None, frames)
