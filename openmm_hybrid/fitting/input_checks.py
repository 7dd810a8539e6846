"""What a fit needs: frames that belong to their force fields, plausible labels, and enough of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from openmm_hybrid.analysis.error_table import ErrorTable
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.bonds import check_bonds
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.selection import Split
from openmm_hybrid.fitting.sanity_checks import SanityCheck
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.label_checks import check_labels

_WORSE = 1.02  # test error after a fit, relative to the one before, from which on the fit has done harm
_BETTER = 0.9  # the same for more parameters than force components: what shows that the frames are enough
_NOTHING = 0.01  # kcal/mol/Å; increase of the test error that does not count


def paired(
    forcefield: ForceField | Sequence[ForceField], frames: Frames | Sequence[Frames]
) -> tuple[list[ForceField], list[Frames]]:
    """Force fields and frames as lists of equal length.

    Raises
    ------
    MismatchError
        Their numbers, atoms or orders of atoms differ.
    """
    fields = [forcefield] if isinstance(forcefield, ForceField) else list(forcefield)
    data = [frames] if isinstance(frames, Frames) else list(frames)
    if len(fields) != len(data) or not fields:
        raise MismatchError(
            f"{len(fields)} force fields and {len(data)} sets of frames were given",
            expected="one set of frames for each force field",
        )
    for field, part in zip(fields, data, strict=True):
        if not np.array_equal(field.atomic_numbers, part.atomic_numbers):
            raise MismatchError(
                f"the frames of {part.name!r} have other atoms than the force field {field.name!r}",
                expected=f"the atomic numbers {field.atomic_numbers.tolist()}, in this order",
            )
        _check_order(field, part)
    return fields, data


def with_energies(fields: Sequence[ForceField], data: Sequence[Frames], energy_weight: float) -> list[Frames]:
    """Frames for the loss; for a fit of forces alone, the force field's own energies stand in for missing ones.

    Raises
    ------
    InputError
        Energies are missing, and their weight is not 0.
    """
    for part in data:
        if part.energies is None and energy_weight:
            raise InputError(
                f"the frames of {part.name!r} have no energies",
                hint="label them with a reference engine, or fit the forces alone: energy_weight=0",
            )
    return [
        replace(part, energies=field.predict(part.positions)[0])
        if part.energies is None and not energy_weight
        else part
        for field, part in zip(fields, data, strict=True)
    ]


def _check_order(forcefield: ForceField, frames: Frames) -> None:
    """Refuse frames in which the bonds of the force field are far from their equilibrium lengths."""
    for terms in forcefield.terms:
        stiff = terms.form.harmonic(torch.tensor(forcefield.tables.values(terms)))
        if stiff is not None and terms.form.n_atoms == 2:
            check_bonds(f"the force field {forcefield.name!r}", terms.atoms, stiff[1].numpy(), frames)


def compared_labels(forcefield: ForceField, frames: Frames, chosen: Split) -> SanityCheck:
    """Labels of the training frames beside the force field; errors and warnings of `check_labels`."""
    train = frames[chosen.train]
    found = check_labels(train, forcefield.predict(train.positions), indices=chosen.train, stacklevel=5)
    return SanityCheck("labels", not found.faults, found.summary)


def enough_frames(
    forcefield: ForceField, n_train: int, n_parameters: int, start: ErrorTable, test: ErrorTable | None
) -> SanityCheck:
    """Whether the training frames determine the parameters.

    With test frames their error decides: a fit must not increase it. If there are fewer force components, less those of
    the rigid motion, than parameters, it must decrease it clearly; without test frames there must be as many.

    Parameters
    ----------
    forcefield : ForceField
    n_train : int
        Training frames of this molecule.
    n_parameters : int
        Parameters that were fitted.
    start, test : ErrorTable
        Errors before and after the fit; `test` is None without test frames.
    """
    per_frame = max(3 * forcefield.n_atoms - 6, 1)
    count = f"{n_train} frames with {n_train * per_frame} independent force components for {n_parameters} parameters"
    needed = max(math.ceil(n_parameters / per_frame), 2 * n_train)
    determined = n_train * per_frame >= n_parameters
    if test is None:
        return SanityCheck("frames", determined, count if determined else f"{count}; use {needed} frames or more")
    found = f"test force RMSE {start.force_rmse:.3g} before and {test.force_rmse:.3g} kcal/mol/Å after the fit"
    allowed = _WORSE if determined else _BETTER
    if test.force_rmse <= max(allowed * start.force_rmse, start.force_rmse + _NOTHING if determined else 0.0):
        return SanityCheck("frames", True, found)
    return SanityCheck("frames", False, f"{found}; {count}; use {needed} frames or more, or fewer parameters")
