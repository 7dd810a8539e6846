"""What a fit gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.error_table import ErrorTable
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.text_table import cell, text_table
from openmm_hybrid.data.selection import Split
from openmm_hybrid.fitting.gauss_newton import Trial
from openmm_hybrid.fitting.sanity_checks import SanityCheck
from openmm_hybrid.forcefield import ForceField


@final
@dataclass(frozen=True, eq=False)
class MoleculeFit:
    """One molecule of a fit.

    Parameters
    ----------
    forcefield : ForceField
        Fitted.
    split : Split
    start, train, valid, test : ErrorTable or None
        Errors of the force field before the fit on the test frames (the training frames where there are none), and of
        the fitted one. None without frames.
    checks : tuple of SanityCheck
    """

    forcefield: ForceField = field(repr=False)
    split: Split = field(repr=False)
    start: ErrorTable
    train: ErrorTable
    valid: ErrorTable | None
    test: ErrorTable | None
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
        Values of the parameters, each name once; the ranges of saturated terms are set in both.
    ridge : float or None
        That the last solve took; None where nothing was solved.
    trials : tuple of Trial
        Ridges that were tried.
    losses : tuple of float
        Training loss at the start and after each step of the last solve.
    epochs : int
        Of gradients.
    seconds : float
    """

    molecules: tuple[MoleculeFit, ...]
    names: tuple[str, ...] = field(repr=False)
    before: NDArray[np.float64] = field(repr=False)
    after: NDArray[np.float64] = field(repr=False)
    ridge: float | None
    trials: tuple[Trial, ...] = field(repr=False)
    losses: tuple[float, ...] = field(repr=False)
    epochs: int
    seconds: float

    @property
    def model(self) -> ForceField:
        """The fitted force field, of a fit of one molecule."""
        return self._only.forcefield

    @property
    def models(self) -> tuple[ForceField, ...]:
        """The fitted force fields."""
        return tuple(molecule.forcefield for molecule in self.molecules)

    @property
    def train(self) -> ErrorTable:
        """Errors on the training frames, of a fit of one molecule."""
        return self._only.train

    @property
    def valid(self) -> ErrorTable | None:
        """Errors on the validation frames, of a fit of one molecule."""
        return self._only.valid

    @property
    def test(self) -> ErrorTable | None:
        """Errors on the test frames, of a fit of one molecule."""
        return self._only.test

    @property
    def passed(self) -> bool:
        """Whether all guards passed."""
        return all(check.passed for molecule in self.molecules for check in molecule.checks)

    @property
    def _only(self) -> MoleculeFit:
        if len(self.molecules) != 1:
            raise InputError(f"the fit has {len(self.molecules)} molecules", hint="take them from .molecules")
        return self.molecules[0]

    def changes(self) -> dict[str, tuple[float, float]]:
        """Value before and after the fit of every parameter that changed."""
        moved = np.flatnonzero(self.before != self.after)
        return {self.names[k]: (float(self.before[k]), float(self.after[k])) for k in moved}

    def table(self) -> str:
        """Errors and guards as lines of text: kcal/mol and kcal/mol/Å."""
        rows = []
        for molecule in self.molecules:
            tables = {"before": molecule.start, "train": molecule.train, "valid": molecule.valid, "test": molecule.test}
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

    def trials_table(self) -> str:
        """The ridges that were tried, with the root of the loss on frames left out, kcal/mol/Å."""
        rows = [(f"{trial.ridge:.1e}", cell(max(trial.loss, 0.0) ** 0.5)) for trial in self.trials]
        return text_table(("ridge", "loss^1/2"), rows)

    def as_dict(self) -> dict[str, Any]:
        """Errors, guards, ridge and cost, for JSON."""
        return {
            "molecules": {
                molecule.forcefield.name: {
                    "before": molecule.start.as_dict(),
                    "train": molecule.train.as_dict(),
                    "valid": None if molecule.valid is None else molecule.valid.as_dict(),
                    "test": None if molecule.test is None else molecule.test.as_dict(),
                    "guards": {check.name: {"passed": check.passed, "found": check.found} for check in molecule.checks},
                }
                for molecule in self.molecules
            },
            "ridge": self.ridge,
            "epochs": self.epochs,
            "seconds": self.seconds,
        }
