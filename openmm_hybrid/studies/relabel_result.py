"""Result of the study relabel: errors of each model on each distribution, and the overlap of the distributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from openmm_hybrid.analysis.distances import DistanceOverlap
from openmm_hybrid.analysis.frame_errors import FrameErrors, MeanError
from openmm_hybrid.core.files import as_file_name
from openmm_hybrid.core.result_document import document
from openmm_hybrid.core.text_table import TextTable
from openmm_hybrid.studies.relabel_sets import FileCheck
from openmm_hybrid.studies.study import Drawing, StudyResult

_KINDS = (
    ("mae", "force_mae", "kcal/mol/Å"),
    ("rmse", "force_rmse", "kcal/mol/Å"),
    ("energy_mae", "energy_mae", "kcal/mol"),
    ("energy_rmse", "energy_rmse", "kcal/mol"),
)
"""Name of a figure, attribute of `FrameErrors`, unit."""


@final
@dataclass(frozen=True, eq=False)
class RelabelResult(StudyResult):
    """Errors of sGDML models that were trained and tested on frames of two distributions.

    Parameters
    ----------
    molecule : str
        Name of the molecule.
    sets : (str, str)
        Labels of the distributions: the frames of the sampler and those of the teacher.
    n_train : tuple of int
        Numbers of training frames, in rising order.
    errors : mapping of (str, str, int) to FrameErrors
        Training set, test set and number of training frames → errors.
    sigma : mapping of (str, int) to float, 1/Å
        Training set and number of training frames → sigma of the model.
    overlap : DistanceOverlap
    intervals : mapping of str to float, fs
        Time between two frames, for sets from dynamics.
    check : FileCheck or None
        Comparison of a file's labels with the teacher's.
    settings : dict
        Settings as JSON holds them.
    """

    molecule: str
    sets: tuple[str, str]
    n_train: tuple[int, ...]
    errors: Mapping[tuple[str, str, int], FrameErrors] = field(repr=False)
    sigma: Mapping[tuple[str, int], float]
    overlap: DistanceOverlap = field(repr=False)
    intervals: Mapping[str, float]
    check: FileCheck | None
    settings: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """See `StudyResult.name`."""
        return f"relabel_{as_file_name(self.molecule) or 'molecule'}"

    def other(self, label: str) -> str:
        """Label of the other distribution."""
        return self.sets[1] if label == self.sets[0] else self.sets[0]

    def cross_minus_same(self, test: str, n_train: int) -> MeanError:
        """Force MAE on a test set of the model of the other distribution, minus that of the set's own distribution.

        Both models are tested on the same frames, so that the error is that of the difference by frame.

        Parameters
        ----------
        test : str
            Label of the test set.
        n_train : int
        """
        return self.errors[self.other(test), test, n_train].force_mae_above(self.errors[test, test, n_train])

    def tables(self) -> list[TextTable]:
        """See `StudyResult.tables`: MAE of forces in kcal/mol/Å and of energies in kcal/mol."""
        columns = ["trained on", "frames", *(f"forces, {test}" for test in self.sets)]
        columns += [f"energies, {test}" for test in self.sets]
        rows = []
        for n in self.n_train:
            for train in self.sets:
                found = [self.errors[train, test, n] for test in self.sets]
                values = [errors.force_mae for errors in found] + [errors.energy_mae for errors in found]
                rows.append([train, str(n), *(f"{value.value:.3f} ± {value.error:.3f}" for value in values)])
        lines = []
        for test in self.sets:
            rise = self.cross_minus_same(test, self.n_train[-1])
            lines.append(
                f"forces of {test}: {rise.value:+.3f} ± {rise.error:.3f} kcal/mol/Å for {self.n_train[-1]} frames of"
                f" {self.other(test)} in place of {test}"
            )
        lines.append(
            f"pair distances: Jensen-Shannon divergence {self.overlap.divergence:.3f} bits,"
            f" {self.overlap.floor:.3f} between halves of one set"
        )
        if self.check is not None:
            lines.append(f"labels of the file and of the teacher: force MAE {self.check.force_mae:.3f} kcal/mol/Å")
        return [TextTable(columns, rows, ["", *lines])]

    def records(self) -> list[dict[str, Any]]:
        """See `StudyResult.records`: the errors of each set of models on each set of frames."""
        rows = []
        for (train, test, n), errors in self.errors.items():
            row: dict[str, Any] = {"trained_on": train, "tested_on": test, "n_train": n}
            for kind, attribute, _ in _KINDS:
                value: MeanError = getattr(errors, attribute)
                row |= {kind: value.value, f"{kind}_error": value.error}
            rows.append(row)
        return rows

    def figures(self) -> dict[str, tuple[float, str]]:
        """Name of each figure → value and unit."""
        found: dict[str, tuple[float, str]] = {}
        for (train, test, n), errors in self.errors.items():
            for kind, attribute, unit in _KINDS:
                value: MeanError = getattr(errors, attribute)
                found[f"{kind}.{train}.{test}.{n}"] = (value.value, unit)
                found[f"{kind}_error.{train}.{test}.{n}"] = (value.error, unit)
        for test in self.sets:
            for n in self.n_train:
                rise = self.cross_minus_same(test, n)
                found[f"cross_minus_same.{test}.{n}"] = (rise.value, "kcal/mol/Å")
                found[f"cross_minus_same_error.{test}.{n}"] = (rise.error, "kcal/mol/Å")
        for (train, n), sigma in self.sigma.items():
            found[f"sigma.{train}.{n}"] = (sigma, "1/Å")
        found["divergence"] = (self.overlap.divergence, "bit")
        found["divergence_floor"] = (self.overlap.floor, "bit")
        for part in self.overlap.types:
            found[f"divergence.{part.name}"] = (part.divergence, "bit")
            found[f"divergence_floor.{part.name}"] = (part.floor, "bit")
        for label, interval in self.intervals.items():
            found[f"interval.{label}"] = (interval, "fs")
        if self.check is not None:
            found["file.force_mae"] = (self.check.force_mae, "kcal/mol/Å")
            found["file.energy_offset"] = (self.check.energy_offset, "kcal/mol")
        return found

    def as_dict(self) -> dict[str, Any]:
        """See `StudyResult.as_dict`."""
        return document("relabel", self.figures(), molecule=self.molecule, sets=list(self.sets), settings=self.settings)

    def drawings(self) -> dict[str, Drawing]:
        """See `StudyResult.drawings`: errors against training frames, and the densities of pair distances."""
        from openmm_hybrid.figures import distance_figure, transfer_figure

        curves = {
            (train, test): [self.errors[train, test, n] for n in self.n_train]
            for test in self.sets
            for train in self.sets
        }
        return {
            self.name: Drawing(transfer_figure(self.n_train, curves), "Errors against the number of training frames"),
            f"{self.name}_distances": Drawing(
                distance_figure(self.overlap, self.sets), "Densities of the distances between atoms"
            ),
        }
