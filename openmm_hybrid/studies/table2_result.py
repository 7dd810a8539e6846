"""The result of the table II study: errors by molecule, form and number of training frames, with the paper's."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import fmean, stdev
from typing import Any, final

from openmm_hybrid.analysis.error_table import ErrorTable, error_table_from
from openmm_hybrid.core.result_document import document
from openmm_hybrid.core.text_table import TextTable, cell
from openmm_hybrid.studies.study import Drawing, StudyResult

Curve = dict[int, float]
"""Number of training frames → error."""

UNITS = {"force_rmse": "kcal/mol/Å", "force_mae": "kcal/mol/Å", "energy_rmse": "kcal/mol", "energy_mae": "kcal/mol"}
"""Measure of error → its unit."""

_SIZES = (110, 1100, 11000)
PUBLISHED = {
    f"{measure}.{molecule}.{form}": dict(zip(_SIZES, values, strict=True))
    for measure, molecule, form, values in (
        ("force_rmse", "ethanol", "gaff", (6.53, 6.37, 6.38)),
        ("force_rmse", "ethanol", "morse", (15.38, 14.59, 4.80)),
        ("force_rmse", "ethanol", "nn", (5.00, 4.78, 4.66)),
        ("force_rmse", "aspirin", "gaff", (7.91, 7.46, 7.35)),
        ("force_rmse", "aspirin", "morse", (10.29, 7.77, 6.28)),
        ("force_rmse", "aspirin", "nn", (6.72, 6.15, 5.95)),
        ("energy_rmse", "ethanol", "gaff", (1.27, 1.21, 1.20)),
        ("energy_rmse", "ethanol", "nn", (1.37, 1.16, 1.11)),
        ("energy_rmse", "aspirin", "gaff", (2.18, 2.20, 2.05)),
        ("energy_rmse", "aspirin", "nn", (2.28, 2.19, 1.98)),
    )
}
"""Errors in table II of Sauceda et al., J. Chem. Phys. 153, 124109 (2020), on PBE+TS frames of MD17, by training
frames, in kcal/mol and kcal/mol/Å."""


def published(measure: str, molecule: str, form: str, n_train: int) -> float:
    """The paper's error in a cell of table II, NaN where the paper has none.

    From 7000 training frames on, the paper's value for 11000 frames is returned.
    """
    known = PUBLISHED.get(f"{measure}.{molecule}.{form}", {})
    return known.get(n_train if n_train < 7000 else 11000, float("nan"))


@final
@dataclass(frozen=True)
class Cell:
    """One fit.

    Parameters
    ----------
    molecule, form : str
    n_train, seed : int
    seconds : float
        Wall-clock time of the fit.
    test : ErrorTable
        Errors on unseen frames.
    """

    molecule: str
    form: str
    n_train: int
    seed: int
    seconds: float
    test: ErrorTable

    @property
    def key(self) -> str:
        """Name of the cell, also of its model file."""
        return cell_key(self.molecule, self.form, self.n_train, self.seed)

    def __str__(self) -> str:
        return (
            f"{self.key}: force RMSE {self.test.force_rmse:.2f} kcal/mol/Å, "
            f"energy RMSE {self.test.energy_rmse:.2f} kcal/mol, {self.seconds:.0f} s"
        )


def cell_key(molecule: str, form: str, n_train: int, seed: int) -> str:
    """Name of a cell, such as "ethanol-cross-110-0"."""
    return f"{molecule}-{form}-{n_train}-{seed}"


def cell_from_json(entry: dict[str, Any]) -> Cell:
    """The cell in an entry of the JSON document."""
    return Cell(**(entry | {"test": error_table_from(entry["test"])}))


@final
@dataclass(frozen=True)
class Table(StudyResult):
    """The table.

    Parameters
    ----------
    job : dict
        Settings and data that decide the cells.
    cells : tuple of Cell
    """

    job: dict[str, Any]
    cells: tuple[Cell, ...] = field(default=())

    @property
    def name(self) -> str:
        """See `StudyResult.name`."""
        return "table2"

    def mean(self, measure: str, molecule: str, form: str, n_train: int) -> tuple[float, float]:
        """Mean and standard deviation of an error over the seeds.

        Both are NaN without cells; the deviation of a single cell is 0.
        """
        row = (molecule, form, n_train)
        values = [getattr(one.test, measure) for one in self.cells if (one.molecule, one.form, one.n_train) == row]
        if not values:
            return float("nan"), float("nan")
        return fmean(values), stdev(values) if len(values) > 1 else 0.0

    def rows(self) -> list[tuple[str, str, int]]:
        """Molecule, form and number of training frames of each row, in the order of the cells."""
        return list(dict.fromkeys((one.molecule, one.form, one.n_train) for one in self.cells))

    def tables(self) -> list[TextTable]:
        """See `StudyResult.tables`."""
        columns = ("", "frames", "force RMSE", "paper", "MAE", "energy RMSE", "paper", "MAE")
        lines = []
        for molecule, form, n in self.rows():
            entry = [f"{molecule} {form}", str(n)]
            for kind in ("force", "energy"):
                entry.append(cell(self.mean(f"{kind}_rmse", molecule, form, n)[0]))
                entry.append(cell(published(f"{kind}_rmse", molecule, form, n)))
                entry.append(cell(self.mean(f"{kind}_mae", molecule, form, n)[0]))
            lines.append(entry)
        return [TextTable(columns, lines)]

    def records(self) -> list[dict[str, Any]]:
        """See `StudyResult.records`: every fit, with its errors in kcal/mol and kcal/mol/Å."""
        return [{k: v for k, v in asdict(one).items() if k != "test"} | one.test.as_dict() for one in self.cells]

    def curves(self, measure: str) -> tuple[dict[str, dict[str, Curve]], dict[str, dict[str, Curve]]]:
        """Molecule → form → (training frames → error), for this table and for the paper."""
        computed: dict[str, dict[str, Curve]] = {}
        paper: dict[str, dict[str, Curve]] = {}
        for molecule, form, n in self.rows():
            computed.setdefault(molecule, {}).setdefault(form, {})[n] = self.mean(measure, molecule, form, n)[0]
            known = published(measure, molecule, form, n)
            if known == known:
                paper.setdefault(molecule, {}).setdefault(form, {})[n] = known
        return computed, paper

    def as_dict(self) -> dict[str, Any]:
        """See `StudyResult.as_dict`."""
        figures = {
            f"{measure}.{molecule}.{form}.{n}": (self.mean(measure, molecule, form, n)[0], unit)
            for molecule, form, n in self.rows()
            for measure, unit in UNITS.items()
        }
        return document("table2", figures, job=self.job, cells=[asdict(one) for one in self.cells])

    def drawings(self) -> dict[str, Drawing]:
        """See `StudyResult.drawings`: errors against training frames, forces and energies."""
        from openmm_hybrid.figures import table2_figure

        found = {}
        for measure in ("force_rmse", "energy_rmse"):
            label = f"{measure.split('_')[0]} RMSE / {UNITS[measure]}"
            picture = table2_figure(*self.curves(measure), label=label)
            found[f"table2_{measure}"] = Drawing(
                picture, f"{label[0].upper()}{label[1:]} against the number of training frames"
            )
        return found
