"""Correction of a refined force field: an sGDML model of what it leaves, tested on frames that neither of them saw."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid import correction
from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.models_io.correction import read as read_correction
from openmm_hybrid.refinement.refined import CORRECTION, CorrectionErrors
from openmm_hybrid.refinement.select import farthest
from openmm_hybrid.sgdml.gate import Gated

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

MOST = 500
"""Most training frames of a correction. Its cost per step is proportional to their number. Our choice."""

LAMS = (1e-10, 1e-3, 1e-1)
"""Values of λ that are tried: the more the residual looks like scatter, the larger the best one. The last is nearly no
correction. Our choice."""

_VALID = 10  # one of this many frames chooses λ
_KEY, _ERRORS = "frames", "errors"  # entries of the report in the file of a correction


@final
@dataclass(frozen=True, eq=False)
class Corrector:
    """The correction of one force field, in its folder.

    The training frames are the labels other than the test frames, at most `MOST` of them and each the farthest from
    those before it. They are trained with the λ of `LAMS` that has the smallest force error on a tenth of the frames,
    which is left out for this.

    Parameters
    ----------
    molecule : Molecule
    forcefield : ForceField
    labels : Frames
        All labelled frames.
    unseen : (n_unseen,)
        Indices of the frames that the fit of the force field left out.
    sampled : (n_sampled,)
        Indices of random frames of the force field's own dynamics, which its fit did not see.
    folder : Path
        Folder of the file in which the correction is kept.
    progress : bool
    """

    molecule: Molecule
    forcefield: ForceField
    labels: Frames
    unseen: Indices
    sampled: Indices
    folder: Path
    progress: bool

    def run(self) -> tuple[Correction, CorrectionErrors]:
        """The gated correction and its errors, read from the file if it was trained on the same frames.

        Raises
        ------
        InputError, NumericalError
            The training failed, as in `openmm_hybrid.correction.train`.
        HybridError
            The file cannot be written.
        """
        path = self.folder / CORRECTION
        if path.is_file():
            found = read_correction(path)
            if found.report.get(_KEY) == self._key:
                return found, CorrectionErrors(**found.report[_ERRORS])
        trained = self._trained()
        errors = self._errors(trained)
        result = replace(trained, report={**trained.report, _KEY: self._key, _ERRORS: asdict(errors)})
        result.save(path)
        return result, errors

    @cached_property
    def _key(self) -> str:
        """Fingerprint of everything that decides the correction."""
        energies, forces = self.labels.labels()
        tests = (np.sort(self.unseen), np.sort(self.sampled))
        return fingerprint(self.labels.positions, energies, forces, *tests, self.forcefield.parameters.values)

    def _trained(self) -> Correction:
        """The correction with the best λ, gated."""
        pool = np.setdiff1d(np.arange(len(self.labels)), np.concatenate([self.unseen, self.sampled]))
        order = np.random.default_rng(0).permutation(pool)
        valid, others = order[: len(order) // _VALID], np.sort(order[len(order) // _VALID :])
        positions = self.labels.positions
        frames = self.labels[np.sort(others[farthest(positions[others], positions[:0], MOST)])].unique()
        tried = [
            correction.train(self.forcefield, frames, lam=lam, molecule=self.molecule, progress=self.progress)
            for lam in LAMS
        ]
        errors = [_rmse(self._missing(valid) - model.model.predict(positions[valid])[1]) for model in tried]
        return tried[int(np.argmin(errors))].gated(frames)

    def _errors(self, trained: Correction) -> CorrectionErrors:
        found: dict[str, float] = {}
        for name, indices in (("unseen", self.unseen), ("sampled", self.sampled)):
            missing = self._missing(indices)
            found[name] = _rmse(missing)
            found[f"corrected_{name}"] = _rmse(missing - trained.model.predict(self.labels.positions[indices])[1])
        gated = trained.model
        if not isinstance(gated, Gated):
            raise TypeError("the correction of a refinement has a gate")
        return CorrectionErrors(
            n_train=int(trained.report["n_train"]),
            n_unseen=len(self.unseen),
            n_sampled=len(self.sampled),
            faded=float((gated.factors(self.labels.positions[self.sampled]) < 1.0).mean()),
            **found,
        )

    def _missing(self, indices: Indices) -> Floats:
        """Reference forces (n_frames, n_atoms, 3), kcal/mol/Å, without those of the force field."""
        frames = self.labels[indices]
        return frames.labels()[1] - self.forcefield.predict(frames.positions)[1]


def write_correction(folder: Path, found: Correction | None) -> None:
    """Write correction.npz into the folder of a result; without a correction, remove that of an earlier result."""
    if found is None:
        (folder / CORRECTION).unlink(missing_ok=True)  # its force field may be another one
    else:
        found.save(folder / CORRECTION)


def _rmse(errors: Floats) -> float:
    return float(np.sqrt(np.mean(errors**2)))
