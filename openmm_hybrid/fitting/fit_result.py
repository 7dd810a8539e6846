"""Results of fits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.error_table import ErrorTable
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.text_table import cell, text_table
from openmm_hybrid.data.selection import Split
from openmm_hybrid.fitting.gauss_newton import RidgeLoss
from openmm_hybrid.fitting.sanity_checks import SanityCheck
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.sgdml.check import known


@final
@dataclass(frozen=True, eq=False)
class MoleculeFit:
    """One molecule of a fit.

    Parameters
    ----------
    forcefield : ForceField
        The fitted force field.
    split : Split
    start : ErrorTable
        Errors before the fit on the test frames, or on the training frames where there are no test frames. Like those
        of the other tables, its energy errors are NaN if the frames have no energies.
    train, valid, test : ErrorTable or None
        Errors of the fitted force field; None without frames.
    rigid : ErrorTable or None
        Errors on the test frames of the forces that remain with constrained bonds to hydrogen (see
        `openmm_hybrid.fitting.rigid_forces.rigid_errors`). Energy errors are NaN. None without test frames or without
        such bonds.
    checks : tuple of SanityCheck
    """

    forcefield: ForceField = field(repr=False)
    split: Split = field(repr=False)
    start: ErrorTable
    train: ErrorTable
    valid: ErrorTable | None
    test: ErrorTable | None
    rigid: ErrorTable | None
    checks: tuple[SanityCheck, ...]


@final
@dataclass(frozen=True, eq=False)
class FitResult:
    """A fit of one or several molecules.

    Parameters
    ----------
    molecules : tuple of MoleculeFit
    names : tuple of str, (n_parameters,)
    before, after : (n_parameters,)
        Values of the parameters, without repeated names. Both contain the ranges that the frames gave
        to new terms.
    ridge : float or None
        Ridge of the last solve; None without a solve.
    ridge_losses : tuple of RidgeLoss
        Losses of all ridges in the cross-validation.
    losses : tuple of float
        Training loss at the start and after each step of the last solve.
    epochs : int
        Epochs of gradients.
    seconds : float
    """

    molecules: tuple[MoleculeFit, ...]
    names: tuple[str, ...] = field(repr=False)
    before: NDArray[np.float64] = field(repr=False)
    after: NDArray[np.float64] = field(repr=False)
    ridge: float | None
    ridge_losses: tuple[RidgeLoss, ...] = field(repr=False)
    losses: tuple[float, ...] = field(repr=False)
    epochs: int
    seconds: float

    @property
    def model(self) -> ForceField:
        """The fitted force field, where the fit has one molecule."""
        return self._only.forcefield

    @property
    def models(self) -> tuple[ForceField, ...]:
        """The fitted force fields."""
        return tuple(molecule.forcefield for molecule in self.molecules)

    @property
    def train(self) -> ErrorTable:
        """Errors on the training frames, where the fit has one molecule."""
        return self._only.train

    @property
    def valid(self) -> ErrorTable | None:
        """Errors on the validation frames, where the fit has one molecule."""
        return self._only.valid

    @property
    def test(self) -> ErrorTable | None:
        """Errors on the test frames, where the fit has one molecule."""
        return self._only.test

    @property
    def rigid(self) -> ErrorTable | None:
        """Force errors on the test frames with constrained bonds to hydrogen, where the fit has one molecule."""
        return self._only.rigid

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return all(check.passed for molecule in self.molecules for check in molecule.checks)

    @property
    def _only(self) -> MoleculeFit:
        if len(self.molecules) != 1:
            raise InputError(f"the fit has {len(self.molecules)} molecules", hint="use .molecules or .models")
        return self.molecules[0]

    def changes(self) -> dict[str, tuple[float, float]]:
        """Values before and after the fit of all parameters that changed."""
        moved = np.flatnonzero(self.before != self.after)
        return {self.names[k]: (float(self.before[k]), float(self.after[k])) for k in moved}

    def table(self) -> str:
        """Errors (kcal/mol, kcal/mol/Å) and checks as lines of text."""
        rows = []
        for molecule in self.molecules:
            tables = {"before": molecule.start, "train": molecule.train, "valid": molecule.valid, "test": molecule.test}
            tables["test, rigid X-H"] = molecule.rigid
            for name, table in tables.items():
                if table is not None:
                    errors = (table.force_mae, table.force_rmse, table.energy_mae, table.energy_rmse)
                    rows.append((f"{molecule.forcefield.name} {name}", str(table.n_frames), *map(cell, errors)))
        lines = [text_table(("", "frames", "force MAE", "RMSE", "energy MAE", "RMSE"), rows)]
        for molecule in self.molecules:
            for check in molecule.checks:
                verdict = "passed" if check.passed else "FAILED"
                lines.append(f"{molecule.forcefield.name} {check.name}: {verdict}, {check.found}")
        return "\n".join(lines)

    def ridge_table(self) -> str:
        """Table of all ridges with the root of their loss on frames left out, kcal/mol/Å."""
        rows = [(f"{found.ridge:.1e}", cell(max(found.loss, 0.0) ** 0.5)) for found in self.ridge_losses]
        return text_table(("ridge", "loss^1/2"), rows)

    def as_dict(self) -> dict[str, Any]:
        """Errors, checks, ridge and cost for JSON."""
        return {
            "molecules": {
                molecule.forcefield.name: {
                    "before": known(molecule.start),
                    "train": known(molecule.train),
                    "valid": None if molecule.valid is None else known(molecule.valid),
                    "test": None if molecule.test is None else known(molecule.test),
                    "rigid": None if molecule.rigid is None else known(molecule.rigid),
                    "checks": {check.name: {"passed": check.passed, "found": check.found} for check in molecule.checks},
                }
                for molecule in self.molecules
            },
            "ridge": self.ridge,
            "epochs": self.epochs,
            "seconds": self.seconds,
        }
