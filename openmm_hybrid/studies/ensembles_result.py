"""The result of the study ensembles: one row per model, the reference first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, final

import numpy as np

from openmm_hybrid.analysis import Density, Estimate, Excess, PairDensities, PairOverlap, StartDependence
from openmm_hybrid.core.result_document import document
from openmm_hybrid.core.text_table import TextTable, cell
from openmm_hybrid.studies.study import Drawing, StudyResult

_SHOWN = 6  # kinds of pairs in the table and the picture


@final
@dataclass(frozen=True, eq=False)
class ModelEnsemble:
    """The ensemble of one model.

    Parameters
    ----------
    name : str
    n_starts : int
        Starts that kept all bonds. The numbers below are of these.
    n_lost : int
        Starts that lost a bond, which are left out.
    n_unrelaxed : int
        Geometries that did not relax to an intact one before the dynamics, in whose place other starts serve.
    temperature : float, K
        Mean kinetic temperature.
    density : Density or None
        Density of the dihedrals; None for a molecule without bonds that turn.
    divergence : Excess or None
        Jensen-Shannon divergence from the reference, bit; None for the reference itself.
    surface : Excess or None
        Root mean square difference from the reference's free-energy surface, kcal/mol; None for the reference itself.
    populations : dict of str to Estimate
        Populations of the reference's wells.
    dependence : StartDependence or None
        A test of whether the density depends on the well in which starts began; None if all began alike.
    overlaps : tuple of PairOverlap
        Overlaps of the distances of pairs with the reference, the smallest first; none for the reference itself.
    distances : PairDensities or None
        Densities of these distances; None for a molecule without such pairs.
    """

    name: str
    n_starts: int
    n_lost: int
    n_unrelaxed: int
    temperature: float
    density: Density | None = field(repr=False)
    divergence: Excess | None
    surface: Excess | None
    populations: dict[str, Estimate]
    dependence: StartDependence | None
    overlaps: tuple[PairOverlap, ...] = field(repr=False)
    distances: PairDensities | None = field(repr=False)

    @property
    def mean_overlap(self) -> float:
        """Mean overlap over the kinds of pairs; NaN if there are none."""
        return float(np.mean([pair.overlap for pair in self.overlaps])) if self.overlaps else float("nan")

    def as_dict(self) -> dict[str, Any]:
        """Entries of the JSON document apart from the figures."""
        return {
            "starts": self.n_starts,
            "lost": self.n_lost,
            "not_relaxed": self.n_unrelaxed,
            "populations": {name: asdict(share) for name, share in self.populations.items()},
            "start_dependence": None if self.dependence is None else asdict(self.dependence),
            "pairs": {
                pair.name: {
                    "overlap": pair.overlap,
                    "floor": pair.floor,
                    "missing_excess": pair.missing.value,
                    "missing_excess_error": pair.missing.error,
                }
                for pair in self.overlaps
            },
        }

    def figures(self) -> dict[str, tuple[float, str]]:
        """Name of each figure → value and unit."""
        name = self.name
        found: dict[str, tuple[float, str]] = {
            f"lost.{name}": (self.n_lost, "1"),
            f"temperature.{name}": (self.temperature, "K"),
        }
        for key, excess, unit in (("js", self.divergence, "bit"), ("free_energy", self.surface, "kcal/mol")):
            if excess is not None:
                found[f"{key}.{name}"] = excess.distance, unit
                found[f"{key}_excess.{name}"] = excess.value, unit
                found[f"{key}_excess_error.{name}"] = excess.error, unit
        for well, share in self.populations.items():
            found[f"population.{well}.{name}"] = share.value, "1"
            found[f"population_error.{well}.{name}"] = share.error, "1"
        if self.dependence is not None:
            found[f"start_dependence_p.{name}"] = self.dependence.p, "1"
        if self.overlaps:
            found[f"overlap_mean.{name}"] = self.mean_overlap, "1"
            found[f"overlap_lowest.{name}"] = self.overlaps[0].overlap, "1"
        return found


@final
@dataclass(frozen=True, eq=False)
class Ensembles(StudyResult):
    """Thermal ensembles of several models.

    Parameters
    ----------
    molecule, smiles : str
    dihedrals : tuple of str
        Names of up to two dihedrals.
    pairs : dict of str to int
        Name of each kind of pairs of atoms → number of its pairs.
    ensembles : tuple of ModelEnsemble
        The reference comes first.
    settings : dict
    """

    molecule: str
    smiles: str
    dihedrals: tuple[str, ...]
    pairs: Mapping[str, int] = field(repr=False)
    ensembles: tuple[ModelEnsemble, ...]
    settings: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """See `StudyResult.name`."""
        return "ensembles"

    @property
    def least_overlapping(self) -> tuple[str, ...]:
        """Names of the kinds of pairs with the smallest overlap in any model, up to six, the smallest first."""
        lowest: dict[str, float] = {}
        for one in self.ensembles:
            for pair in one.overlaps:
                lowest[pair.name] = min(pair.overlap, lowest.get(pair.name, 1.0))
        return tuple(sorted(lowest, key=lambda name: lowest[name])[:_SHOWN])

    def tables(self) -> list[TextTable]:
        """See `StudyResult.tables`: differences from the reference, populations of its wells, and overlaps of pairs."""
        columns = (
            "model",
            "starts",
            "lost",
            "T / K",
            "JS / bit",
            "excess",
            "ΔF RMS / kcal/mol",
            "excess",
            "p of starts",
        )
        rows = []
        for one in self.ensembles:
            row = [one.name, str(one.n_starts), str(one.n_lost), f"{one.temperature:.0f}"]
            for excess in (one.divergence, one.surface):
                row += ["–", "–"] if excess is None else [f"{excess.distance:.4f}", _with_error(excess)]
            rows.append([*row, "–" if one.dependence is None else f"{one.dependence.p:.3f}"])
        return [TextTable(columns, rows), *self._populations(), *self._overlaps()]

    def _populations(self) -> list[TextTable]:
        wells = list(self.ensembles[0].populations)
        if not wells:
            return []
        head = f"Populations of wells of {self.ensembles[0].name} at {' / '.join(self.dihedrals)}, degrees"
        rows = [[well, *(_share(one.populations[well]) for one in self.ensembles)] for well in wells]
        return [TextTable(("well", *(one.name for one in self.ensembles)), rows, [head])]

    def _overlaps(self) -> list[TextTable]:
        others = [one for one in self.ensembles if one.overlaps]
        if not others:
            return []
        found = {one.name: {pair.name: pair for pair in one.overlaps} for one in others}
        rows = []
        for name in self.least_overlapping:
            floor = found[others[0].name][name].floor
            values = [cell(found[one.name][name].overlap) for one in others]
            rows.append([name, str(self.pairs[name]), cell(floor), *values])
        rows.append(
            ["mean of all kinds", str(sum(self.pairs.values())), "", *(cell(one.mean_overlap) for one in others)]
        )
        columns = ("distances", "pairs", "halves of the reference", *(one.name for one in others))
        return [TextTable(columns, rows, [f"Overlap of the densities of distances with {self.ensembles[0].name}."])]

    def records(self) -> list[dict[str, Any]]:
        """See `StudyResult.records`: the figures of each model."""
        return [
            {"model": one.name, "figure": name.removesuffix(f".{one.name}"), "value": value, "unit": unit}
            for one in self.ensembles
            for name, (value, unit) in one.figures().items()
        ]

    def as_dict(self) -> dict[str, Any]:
        """See `StudyResult.as_dict`."""
        figures: dict[str, tuple[float, str]] = {}
        for one in self.ensembles:
            figures |= one.figures()
        other = next((one for one in self.ensembles if one.divergence is not None), None)
        if other is not None and other.divergence is not None and other.surface is not None:
            figures["js_floor"] = other.divergence.floor, "bit"
            figures["free_energy_floor"] = other.surface.floor, "kcal/mol"
        return document(
            "ensembles",
            figures,
            molecule=self.molecule,
            smiles=self.smiles,
            dihedrals=list(self.dihedrals),
            reference=self.ensembles[0].name,
            pairs=dict(self.pairs),
            least_overlapping=list(self.least_overlapping),
            ensembles={one.name: one.as_dict() for one in self.ensembles},
            settings=self.settings,
        )

    def drawings(self) -> dict[str, Drawing]:
        """See `StudyResult.drawings`: densities of the dihedrals, and of the least overlapping distances."""
        from openmm_hybrid.figures import density_figure, dihedral_figure, pair_figure

        found = {}
        densities = {one.name: one.density for one in self.ensembles if one.density is not None}
        if len(self.dihedrals) == 2:
            notes = {
                one.name: f"{one.divergence.value:.3f} ± {one.divergence.error:.3f} bit"
                for one in self.ensembles
                if one.divergence is not None
            }
            picture = density_figure(densities, (self.dihedrals[0], self.dihedrals[1]), notes=notes)
            caption = "Densities of the two dihedrals, with the excess divergence from the reference"
            found[self.name] = Drawing(picture, caption)
        elif self.dihedrals:
            found[self.name] = Drawing(dihedral_figure(densities, self.dihedrals[0]), "Density of the dihedral")
        if self.least_overlapping:
            distances = {one.name: one.distances for one in self.ensembles if one.distances is not None}
            picture = pair_figure(distances, self.least_overlapping)
            found[f"{self.name}_distances"] = Drawing(picture, "Densities of the least overlapping distances")
        return found


def _with_error(excess: Excess) -> str:
    return f"{excess.value:.4f} ± {excess.error:.4f}"


def _share(share: Estimate) -> str:
    """A population with its error, marked if the runs are too short for the error."""
    return f"{share.value:.3f} ± {share.error:.3f}{'' if share.converged else ' (?)'}"
