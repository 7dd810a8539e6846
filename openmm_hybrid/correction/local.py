"""The local recipe: a correction of few atoms, averaged over the rest of the molecule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.diagnose.coordinates import project_onto_atoms, without_rigid
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.residual import bonds_of, chosen_atoms, residual
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.sgdml.search import search
from openmm_hybrid.sgdml.training_set import training_set

LAMS = (1e-4, 1e-3, 1e-2)
"""Values of λ that are tried. The labels scatter with the other atoms and need a larger λ than exact labels."""


def train_local(
    forcefield: EnergyModel,
    frames: Frames,
    atoms: ArrayLike | str,
    *,
    molecule: Molecule | None = None,
    reference: EnergyModel | None = None,
    others: str = "relaxed",
    sigma: float = 1.0,
    lams: Sequence[float] = LAMS,
    perms: ArrayLike | str | None = "auto",
    n_train: int | None = None,
    n_valid: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Correction:
    """An sGDML model of the residual as a function of chosen atoms only.

    The residual depends on all atoms. A function of the chosen ones can be its mean for their geometry, which the least
    squares of training find if there are many frames and λ is large enough (see docs/corrections.md).

    Parameters
    ----------
    forcefield : EnergyModel
    frames : Frames
        Labelled frames of the whole molecule, or geometries alone if `reference` labels them.
    atoms : (n_chosen,) or str
        Indices, or a SMARTS pattern; its first match is used, in the pattern's order.
    molecule : Molecule, optional
        Source of the bonds, which are otherwise found from the distances. A pattern needs it.
    reference : EnergyModel, optional
        Model that labels the frames.
    others : {"relaxed", "fixed"}
        Labels if the chosen atoms move: with "relaxed" the other atoms move along elastically, so that the forces on
        them are transmitted (`openmm_hybrid.diagnose.coordinates.project_onto_atoms`); with "fixed" they stay at rest,
        and the labels are the forces on the chosen atoms without net force and torque.
    sigma : float, 1/Å
        Length of the kernel; short, as in `train`.
    lams : sequence of float
        The λ with the smallest force error on validation frames is used.
    perms, n_train, n_valid, seed
        As in `openmm_hybrid.sgdml.train`.
    progress : bool
        Whether to show the progress.

    Returns
    -------
    Correction
        Its report has "before" and "after" (RMS of the labels on the validation frames, and of what the model leaves of
        them, kcal/mol/Å), "internal_share" (part of the labels' squares without net force and torque, which a function
        of the chosen atoms' distances can represent; 1 with "relaxed"), and "search" (`Search.as_dict`).

    Raises
    ------
    InputError, MismatchError
        As `residual` and `openmm_hybrid.sgdml.training_set` do; or atoms or a setting do not exist.
    """
    if others not in ("relaxed", "fixed"):
        raise InputError(f"others = {others!r}", expected="'relaxed' or 'fixed'")
    chosen = chosen_atoms(atoms, frames.n_atoms, molecule)
    bonds = bonds_of(frames, molecule)
    labelled, internal_share = _labelled(
        residual(forcefield, frames, reference=reference), chosen, bonds if others == "relaxed" else None
    )
    data = training_set(
        labelled,
        n_train=n_train,
        n_valid=n_valid,
        perms=perms,
        molecule=molecule,
        atoms=chosen,
        selection="random",
        seed=seed,
    )
    found = search(data, sigmas=(sigma,), lams=tuple(lams), progress=progress)
    _, valid = data.valid.labels()
    before, after = _rms(valid), _rms(valid - found.model.predict(data.valid.positions)[1])
    text = (
        f"lam {found.model.lam:g}, {internal_share:.1%} of the squares of the labels without net force and torque; "
        f"force RMS on validation frames {before:.3g}, with the correction {after:.3g} kcal/mol/Å"
    )
    report = {"internal_share": internal_share, "before": before, "after": after, "summary": text}
    report["search"] = found.as_dict()
    return Correction(found.model, chosen, frames.atomic_numbers, "train_local", report, bonds)


def _labelled(rest: Frames, chosen: NDArray[np.int64], bonds: NDArray[np.int64] | None) -> tuple[Frames, float]:
    """Frames labelled with forces on the chosen atoms and zero on the others, and their share without net force and
    torque."""
    _, forces = rest.labels()
    labels = forces[:, chosen] if bonds is None else project_onto_atoms(rest.positions, bonds, chosen, forces)
    kept = without_rigid(rest.positions[:, chosen], labels.reshape(len(rest), -1, 1)).reshape(labels.shape)
    whole = np.zeros_like(forces)
    whole[:, chosen] = kept
    share = float((kept**2).sum() / max(float((labels**2).sum()), np.finfo(float).tiny))
    return replace(rest, forces=whole), share


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt((values**2).mean()))
