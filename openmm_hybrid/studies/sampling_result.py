"""The result of the sampling study: one row per ensemble."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis import Density, ErrorTable, Estimate, Excess, StartDependence
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.result_document import document
from openmm_hybrid.core.text_table import TextTable, cell
from openmm_hybrid.correction import ContrastRow
from openmm_hybrid.models.minima import Minimum
from openmm_hybrid.studies.potentials import PLAIN
from openmm_hybrid.studies.study import Drawing, StudyResult

Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Ensemble:
    """The ensemble of one potential.

    Parameters
    ----------
    name : str
        Name of the potential.
    density : Density
        Joint density of the two dihedrals, all starts together.
    divergence : Excess or None
        Jensen-Shannon divergence from the reference, bit; None for the reference itself.
    surface : Excess or None
        Root mean square difference from the reference's free-energy surface, kcal/mol; None for the reference itself.
    populations : tuple of dict
        Populations of the three thirds of each dihedral's absolute value.
    dependence : tuple of StartDependence
        For each dihedral, a test of whether the populations depend on where the starts began.
    minima : (n_minima,), kcal/mol
        Energies of the reference's lowest minima, relaxed in this potential, above the first one.
    shifts : (n_minima,), rad
        Largest rotation of a dihedral during each relaxation.
    contrast : tuple of ContrastRow
        Coordinates along which the ensemble differs most from the reference; empty for the reference itself.
    errors : ErrorTable
        Errors of energies and forces on unseen frames.
    speed : float, ns/day
        Speed of all starts together.
    """

    name: str
    density: Density = field(repr=False)
    divergence: Excess | None
    surface: Excess | None
    populations: tuple[dict[str, Estimate], ...]
    dependence: tuple[StartDependence, ...]
    minima: Floats
    shifts: Floats
    contrast: tuple[ContrastRow, ...] = field(repr=False)
    errors: ErrorTable
    speed: float

    def details(self) -> dict[str, Any]:
        """Entries of the JSON document apart from the figures."""
        return {
            "populations": [{name: asdict(share) for name, share in one.items()} for one in self.populations],
            "start_dependence": [asdict(found) for found in self.dependence],
            "turned_in_relaxation": np.degrees(self.shifts).tolist(),
            "contrast": [asdict(row) for row in self.contrast],
            "errors": self.errors.as_dict(),
        }


@final
@dataclass(frozen=True, eq=False)
class Comparison(StudyResult):
    """All ensembles, the reference first.

    Parameters
    ----------
    ensembles : tuple of Ensemble
    minima : tuple of Minimum
        The reference's lowest minima.
    job : dict
        Settings, with the name of the molecule.
    labels : (str, str)
        Names of the two dihedrals.
    label : str
        The molecule's name as files have it.
    """

    ensembles: tuple[Ensemble, ...]
    minima: tuple[Minimum, ...]
    job: dict[str, Any]
    labels: tuple[str, str]
    label: str

    @property
    def name(self) -> str:
        """See `StudyResult.name`."""
        return f"sampling_{self.label}"

    def tables(self) -> list[TextTable]:
        """See `StudyResult.tables`."""
        divergence = ("JS / bit", "excess", "of GAFF's", "ΔF RMS", "excess")
        columns = ("", *divergence, "minima / kcal/mol", "force MAE", "ns/day")
        rows = []
        for one in self.ensembles:
            row = [one.name]
            if one.divergence is None or one.surface is None:
                row += [""] * len(divergence)
            else:
                ratio, error = self.ratio(one)
                row += [f"{one.divergence.distance:.4f}", f"{one.divergence.value:.4f} ± {one.divergence.error:.4f}"]
                row += [f"{ratio:.2f} ± {error:.2f}", cell(one.surface.distance), cell(one.surface.value)]
            minima = " ".join(f"{energy:.2f}" for energy in one.minima)
            rows.append([*row, minima, cell(one.errors.force_mae), f"{one.speed:.0f}"])
        return [TextTable(columns, rows)]

    def records(self) -> list[dict[str, Any]]:
        """See `StudyResult.records`: the density of the two dihedrals in every ensemble."""
        first, second = (f"{label}_degrees" for label in self.labels)
        rows: list[dict[str, Any]] = []
        for one in self.ensembles:
            angles = np.degrees(one.density.grid).round(3).tolist()
            rows += [
                {"potential": one.name, first: a, second: b, "probability": share}
                for a, line in zip(angles, one.density.probabilities.tolist(), strict=True)
                for b, share in zip(angles, line, strict=True)
            ]
        return rows

    def ratio(self, ensemble: Ensemble) -> tuple[float, float]:
        """Excess divergence of an ensemble divided by GAFF's, and its bootstrap error.

        Raises
        ------
        InputError
            The ensemble is the reference's.
        """
        plain = next(one for one in self.ensembles if one.name == PLAIN)
        if ensemble.divergence is None or plain.divergence is None:
            raise InputError(f"{ensemble.name} has no divergence", expected="an ensemble other than the reference")
        return ensemble.divergence.over(plain.divergence)

    def as_dict(self) -> dict[str, Any]:
        """See `StudyResult.as_dict`."""
        figures: dict[str, tuple[float, str]] = {}
        for one in self.ensembles:
            figures |= self._figures(one)
        first = next((one for one in self.ensembles if one.divergence is not None), None)
        if first is not None and first.divergence is not None and first.surface is not None:
            figures["js_floor"] = first.divergence.floor, "bit"
            figures["free_energy_floor"] = first.surface.floor, "kcal/mol"
        return document(
            "sampling",
            figures,
            job=self.job,
            ensembles={one.name: one.details() for one in self.ensembles},
            minima=[
                {"energy": one.energy, "features": one.features.tolist(), "found": one.found} for one in self.minima
            ],
        )

    def _figures(self, one: Ensemble) -> dict[str, tuple[float, str]]:
        figures: dict[str, tuple[float, str]] = {}
        for letter, energy in zip("abc", one.minima, strict=False):
            figures[f"minimum_{letter}.{one.name}"] = float(energy), "kcal/mol"
        figures[f"force_mae.{one.name}"] = one.errors.force_mae, "kcal/mol/Å"
        figures[f"speed.{one.name}"] = one.speed, "ns/day"
        figures[f"start_dependence_p.{one.name}"] = min(found.p for found in one.dependence), "1"
        if one.divergence is None or one.surface is None:
            return figures
        for name, excess, unit in (("js", one.divergence, "bit"), ("free_energy", one.surface, "kcal/mol")):
            figures[f"{name}.{one.name}"] = excess.distance, unit
            figures[f"{name}_excess.{one.name}"] = excess.value, unit
            figures[f"{name}_excess_error.{one.name}"] = excess.error, unit
        ratio, error = self.ratio(one)
        figures[f"js_ratio.{one.name}"] = ratio, "1"
        figures[f"js_ratio_error.{one.name}"] = error, "1"
        figures[f"contrast.{one.name}"] = one.contrast[0].divergence, "bit"
        off = np.abs(one.minima - self.ensembles[0].minima).max()
        figures[f"minima_error.{one.name}"] = float(off), "kcal/mol"
        return figures

    def drawings(self) -> dict[str, Drawing]:
        """See `StudyResult.drawings`: the densities of the two dihedrals in every ensemble."""
        from openmm_hybrid.figures import density_figure

        notes = {
            one.name: f"{one.divergence.value:.3f} ± {one.divergence.error:.3f} bit"
            for one in self.ensembles
            if one.divergence is not None
        }
        densities = {one.name: one.density for one in self.ensembles}
        picture = density_figure(densities, self.labels, notes=notes)
        caption = "Densities of the two dihedrals, with the excess divergence from the reference"
        return {self.name: Drawing(picture, caption)}
