"""Sampling: how far the ensembles of force fields, and of corrected ones, are from that of their reference.

Sauceda, Gastegger, Chmiela, Müller, Tkatchenko, J. Chem. Phys. 153, 124109 (2020), Figs. 5, 7 and 9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid import analysis, correction
from openmm_hybrid.analysis import Density, ErrorTable, Estimate, Excess, StartDependence
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.result_document import document
from openmm_hybrid.core.text_table import cell, text_table
from openmm_hybrid.correction import ContrastRow
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.minima import Minimum, minima, relax
from openmm_hybrid.studies import conformations
from openmm_hybrid.studies.potentials import POTENTIALS, Bench

Floats = NDArray[np.float64]

REFERENCE, PLAIN = "reference", "gaff"

_CONTRASTS = 10
_MINIMA = 3  # of the lowest, called (a), (b), (c)
_BELOW = 3.0  # kcal/mol, where free-energy surfaces are compared
_THIRDS = {
    "0 to 60°": (0.0, np.pi / 3),
    "60 to 120°": (np.pi / 3, 2 * np.pi / 3),
    "120 to 180°": (2 * np.pi / 3, np.pi),
}


@final
@dataclass(frozen=True, eq=False)
class Ensemble:
    """What was seen of one potential.

    Parameters
    ----------
    name : str
    density : Density
        Joint density of the two dihedrals, all starts.
    divergence : Excess or None
        Jensen-Shannon divergence from the reference, bit; None for the reference itself.
    surface : Excess or None
        RMS difference of the free-energy surfaces, kcal/mol.
    populations : tuple of dict
        Of the thirds of each dihedral's absolute value.
    dependence : tuple of StartDependence
        For each dihedral, of the starts that began above the median of its absolute value against the others.
    minima : (n_minima,), kcal/mol
        Energies of the reference's lowest minima, relaxed in this potential, above that of the first.
    shifts : (n_minima,), rad
        How far the relaxation turned a dihedral at most.
    contrast : tuple of ContrastRow
        The coordinates along which it differs most from the reference; none for the reference itself.
    errors : ErrorTable
        Of energies and forces on unseen frames.
    speed : float, ns/day
        Of all starts together.
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


@final
@dataclass(frozen=True, eq=False)
class Comparison:
    """All ensembles, the reference first.

    Parameters
    ----------
    ensembles : tuple of Ensemble
    minima : tuple of Minimum
        The reference's lowest.
    job : dict
        Settings.
    """

    ensembles: tuple[Ensemble, ...]
    minima: tuple[Minimum, ...]
    job: dict[str, Any]

    def table(self) -> str:
        """The comparison as lines of text."""
        columns = (
            "",
            "JS / bit",
            "excess",
            "of GAFF's",
            "ΔF RMS",
            "excess",
            "minima / kcal/mol",
            "force MAE",
            "ns/day",
        )
        rows = []
        for each in self.ensembles:
            row = [each.name]
            if each.divergence is None or each.surface is None:
                row += ["", "", "", "", ""]
            else:
                ratio, error = self.ratio(each)
                row += [f"{each.divergence.distance:.4f}", f"{each.divergence.value:.4f} ± {each.divergence.error:.4f}"]
                row += [f"{ratio:.2f} ± {error:.2f}", cell(each.surface.distance), cell(each.surface.value)]
            row += [
                " ".join(f"{energy:.2f}" for energy in each.minima),
                cell(each.errors.force_mae),
                f"{each.speed:.0f}",
            ]
            rows.append(row)
        return text_table(columns, rows)

    def densities(self) -> dict[str, Density]:
        """Name → joint density of the dihedrals, for a picture."""
        return {each.name: each.density for each in self.ensembles}

    def notes(self) -> dict[str, str]:
        """Name → how far from the reference, for a picture."""
        return {
            each.name: f"{each.divergence.value:.3f} ± {each.divergence.error:.3f} bit"
            for each in self.ensembles
            if each.divergence is not None
        }

    def ratio(self, ensemble: Ensemble) -> tuple[float, float]:
        """Excess divergence over that of GAFF, and its bootstrap error."""
        plain = next(each for each in self.ensembles if each.name == PLAIN)
        if ensemble.divergence is None or plain.divergence is None:
            raise InputError(f"{ensemble.name} has no divergence", expected="an ensemble beside the reference")
        return ensemble.divergence.over(plain.divergence)

    def as_dict(self) -> dict[str, Any]:
        """The comparison as a JSON-ready document."""
        figures: dict[str, tuple[float, str]] = {}
        for each in self.ensembles:
            for number, energy in enumerate(each.minima):
                figures[f"minimum_{'abc'[number]}.{each.name}"] = float(energy), "kcal/mol"
            figures[f"force_mae.{each.name}"] = each.errors.force_mae, "kcal/mol/Å"
            figures[f"speed.{each.name}"] = each.speed, "ns/day"
            figures[f"start_dependence_p.{each.name}"] = min(found.p for found in each.dependence), "1"
            if each.divergence is None or each.surface is None:
                continue
            for name, excess, unit in (("js", each.divergence, "bit"), ("free_energy", each.surface, "kcal/mol")):
                figures[f"{name}.{each.name}"] = excess.distance, unit
                figures[f"{name}_excess.{each.name}"] = excess.value, unit
                figures[f"{name}_excess_error.{each.name}"] = excess.error, unit
            ratio, error = self.ratio(each)
            figures[f"js_ratio.{each.name}"] = ratio, "1"
            figures[f"js_ratio_error.{each.name}"] = error, "1"
            figures[f"contrast.{each.name}"] = each.contrast[0].divergence, "bit"
            off = np.abs(each.minima - self.ensembles[0].minima).max()
            figures[f"minima_error.{each.name}"] = float(off), "kcal/mol"
        first = next(each for each in self.ensembles if each.divergence is not None)
        if first.divergence is not None and first.surface is not None:
            figures["js_floor"] = first.divergence.floor, "bit"
            figures["free_energy_floor"] = first.surface.floor, "kcal/mol"
        details = {
            each.name: {
                "populations": [{name: asdict(share) for name, share in one.items()} for one in each.populations],
                "start_dependence": [asdict(found) for found in each.dependence],
                "turned_in_relaxation": np.degrees(each.shifts).tolist(),
                "contrast": [asdict(row) for row in each.contrast],
                "errors": each.errors.as_dict(),
            }
            for each in self.ensembles
        }
        lowest = [
            {"energy": each.energy, "features": each.features.tolist(), "found": each.found} for each in self.minima
        ]
        return document("sampling", figures, job=self.job, ensembles=details, minima=lowest)


def run(bench: Bench, names: Sequence[str], *, report: Callable[[str], None] = print) -> Comparison:
    """Sample the potentials and compare them with the reference; what is in the bench's folder is not made again.

    Parameters
    ----------
    bench : Bench
    names : sequence of str
        Of `POTENTIALS`; the reference and plain GAFF are always among them.
    report : function
        Takes a line for every ensemble.

    Raises
    ------
    InputError
        An unknown potential.
    """
    unknown = [name for name in names if name not in POTENTIALS]
    if unknown:
        raise InputError(f"unknown potential {unknown[0]!r}", expected=f"some of {', '.join(POTENTIALS)}")
    wanted = dict.fromkeys([REFERENCE, PLAIN, *names])
    atoms = bench.case.dihedral_atoms(bench.molecule)
    frames, series, speeds = {}, {}, {}
    for name in wanted:
        sampled = bench.run(name)
        frames[name] = np.stack([start.positions for start in sampled.starts])
        series[name] = np.stack([conformations.values(start, atoms) for start in frames[name]])
        speeds[name] = sampled.speed
        report(f"{name}: {series[name].shape[1]} frames of {len(series[name])} starts, {speeds[name]:.0f} ns/day")
    lowest = _lowest(bench, atoms)
    unseen = bench.data.test()
    by_start = {name: [conformations.density(each) for each in values] for name, values in series.items()}
    first = bench.case.folded(conformations.values(bench.starts(), atoms))
    began = [far > np.median(far) for far in first.T]
    found = []
    for name in wanted:
        whole = bench.potential(name).whole
        energies, shifts = _relaxed(whole, lowest, atoms)
        divergence = surface = None
        contrast: list[ContrastRow] = []
        if name != REFERENCE:
            divergence = analysis.excess(by_start[name], by_start[REFERENCE], analysis.jensen_shannon)
            measure = analysis.free_energy_difference(bench.settings.temperature, _BELOW)
            surface = analysis.excess(by_start[name], by_start[REFERENCE], measure)
            contrast = correction.contrast(frames[name], frames[REFERENCE], bench.molecule)
        found.append(
            Ensemble(
                name,
                conformations.density(series[name].reshape(-1, 2)),
                divergence,
                surface,
                tuple(_populations(series[name][..., axis]) for axis in range(2)),
                tuple(analysis.start_dependence(by_start[name], far, analysis.jensen_shannon) for far in began),
                energies,
                shifts,
                tuple(contrast[:_CONTRASTS]),
                analysis.error_table(unseen, whole.predict(unseen.positions)),
                speeds[name],
            )
        )
    return Comparison(tuple(found), tuple(lowest), asdict(bench.settings) | {"molecule": bench.molecule.name})


def _lowest(bench: Bench, atoms: tuple[tuple[int, ...], ...]) -> list[Minimum]:
    """The reference's lowest minima."""

    def features(positions: Floats) -> Floats:
        return bench.case.features(conformations.values(positions[None], atoms)[0])

    frames = bench.run(REFERENCE).positions
    chosen = np.linspace(0, len(frames) - 1, bench.settings.searches).astype(int)
    return minima(bench.potential(REFERENCE).whole, list(frames[chosen]), features)[:_MINIMA]


def _relaxed(
    model: EnergyModel, lowest: Sequence[Minimum], atoms: tuple[tuple[int, ...], ...]
) -> tuple[Floats, Floats]:
    """Energies of minima above the first, and how far each turned, when a model relaxes them."""
    energies, shifts = [], []
    for each in lowest:
        positions, energy = relax(model, each.positions)
        before, after = conformations.values(np.stack([each.positions, positions]), atoms)
        energies.append(energy)
        shifts.append(np.abs(np.angle(np.exp(1j * (after - before)))).max())
    return np.array(energies) - energies[0], np.array(shifts)


def _populations(dihedrals: Floats) -> dict[str, Estimate]:
    """Of the thirds of a dihedral's absolute value, (n_starts, n_frames), with block errors."""
    labels = analysis.label_basins(np.minimum(np.abs(dihedrals), np.pi - 1e-9), _THIRDS)
    return analysis.populations(labels, names=tuple(_THIRDS))
