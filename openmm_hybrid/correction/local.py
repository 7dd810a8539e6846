"""The local recipe: a correction of few atoms, for what the rest of the molecule leaves of it on average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.diagnose.motions import follow, without_rigid
from openmm_hybrid.models.compose import OnAtoms
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.residual import bonds_of, chosen_atoms, residual
from openmm_hybrid.sgdml import Search, SGDMLModel, search, training_set

LAMS = (1e-4, 1e-3, 1e-2)
"""λ that are tried: labels that the other atoms scatter need a thousand times the λ and more of exact ones."""


@final
@dataclass(frozen=True, eq=False)
class LocalCorrection:
    """A correction of chosen atoms and what it can and cannot carry. Made by `train_local`.

    Parameters
    ----------
    model : SGDMLModel
        Of the chosen atoms.
    atoms : (n_chosen,)
        Their places in the molecule: ``attach(..., model, atoms=atoms)``.
    atomic_numbers : (n_atoms,)
        Of the molecule.
    representable : float
        Share of the labels' squares that a function of the chosen atoms' distances can have at all: what is not their
        net force or torque. 1 where the other atoms follow.
    before, after : float, kcal/mol/Å
        RMS of the labels on the validation frames, and of what the model leaves of them.
    search : Search
        The λ that were tried.
    """

    model: SGDMLModel
    atoms: NDArray[np.int64]
    atomic_numbers: NDArray[np.int64] = field(repr=False)
    representable: float
    before: float
    after: float
    search: Search = field(repr=False)

    def placed(self) -> OnAtoms:
        """The model on its atoms in the molecule, for a `Sum` with the force field."""
        return OnAtoms(self.model, self.atoms, self.atomic_numbers)

    def summary(self) -> str:
        """One line for a reader."""
        return (
            f"{len(self.atoms)} atoms, lam {self.model.lam:g}: {self.representable:.1%} of the labels' squares are "
            f"representable; force RMS on validation frames {self.before:.3g}, left {self.after:.3g} kcal/mol/Å"
        )


def train_local(
    forcefield: EnergyModel,
    frames: Frames,
    atoms: ArrayLike | str,
    *,
    molecule: Molecule | None = None,
    reference: EnergyModel | None = None,
    others: str = "follow",
    sigma: float = 1.0,
    lams: Sequence[float] = LAMS,
    perms: ArrayLike | str | None = "graph",
    n_train: int | None = None,
    n_valid: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> LocalCorrection:
    """An sGDML model of what a force field misses, as a function of chosen atoms only.

    The residual depends on all atoms. A function of the chosen ones can be its mean given their geometry, which the
    least squares of training find where there are many frames and λ is large enough (see docs/corrections.md).

    Parameters
    ----------
    forcefield : EnergyModel
    frames : Frames
        Of the whole molecule, labelled; or geometries alone where `reference` labels them.
    atoms : (n_chosen,) or str
        Indices, or a SMARTS pattern whose first match it is, in the pattern's order.
    molecule : Molecule, optional
        Gives the bonds; else they are taken from the distances. A pattern needs it.
    reference : EnergyModel, optional
        A model as the reference.
    others : {"follow", "stay"}
        Whether the other atoms follow where the chosen ones go (see `openmm_hybrid.diagnose.motions.follow`), so that
        what pulls at them counts, or stay where they are: then the labels are the forces on the chosen atoms less
        their net force and torque.
    sigma : float, 1/Å
        Short, as in `train`.
    lams : sequence of float
        The one with the smallest force error on validation frames is taken.
    perms, n_train, n_valid, seed
        As in `openmm_hybrid.sgdml.train`.
    progress : bool
        Show the progress.

    Raises
    ------
    InputError, MismatchError
        As `residual` and `openmm_hybrid.sgdml.training_set` do; atoms or a setting that do not exist.
    """
    if others not in ("follow", "stay"):
        raise InputError(f"others = {others!r}", expected="'follow' or 'stay'")
    chosen = chosen_atoms(atoms, frames.n_atoms, molecule)
    bonds = bonds_of(frames, molecule) if others == "follow" else None
    labelled, representable = _labelled(residual(forcefield, frames, reference=reference), chosen, bonds)
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
    left = valid - found.model.predict(data.valid.positions)[1]
    return LocalCorrection(
        found.model, chosen, frames.atomic_numbers, representable, before=_rms(valid), after=_rms(left), search=found
    )


def _labelled(rest: Frames, chosen: NDArray[np.int64], bonds: NDArray[np.int64] | None) -> tuple[Frames, float]:
    """Frames with the labels on the chosen atoms, zero on the others, and the share of them that is representable."""
    _, forces = rest.labels()
    labels = forces[:, chosen] if bonds is None else follow(rest.positions, bonds, chosen, forces)
    kept = without_rigid(rest.positions[:, chosen], labels.reshape(len(rest), -1, 1)).reshape(labels.shape)
    whole = np.zeros_like(forces)
    whole[:, chosen] = kept
    share = float((kept**2).sum() / max(float((labels**2).sum()), np.finfo(float).tiny))
    return replace(rest, forces=whole), share


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt((values**2).mean()))
