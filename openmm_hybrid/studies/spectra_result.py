"""The result of the study spectra: bands at several temperatures, with shifts, spectra and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.stability import Drift
from openmm_hybrid.analysis.vibrations import Band, BandValue, Slope, Spectrum, band_value, bands, temperature_slope
from openmm_hybrid.core.files import as_file_name
from openmm_hybrid.core.result_document import document
from openmm_hybrid.core.text_table import TextTable, cell
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.studies.study import Drawing, StudyResult

_BEYOND = 200.0  # highest wavenumber of pictures and files, above the highest harmonic one, cm⁻¹
_NOISY = 0.02  # change of the total energy in a run, relative to the thermal energy, that the table mentions


@final
@dataclass(frozen=True, eq=False)
class TemperatureSpectra:
    """Spectra of one model at one temperature.

    Parameters
    ----------
    temperature : float, K
        Temperature of the equilibration.
    measured : float, K
        Mean kinetic temperature of the vibrations in the runs of the spectra.
    vdos : Spectrum
        Vibrational density of states, modes per cm⁻¹.
    infrared : Spectrum or None
        Infrared absorption, km/mol per cm⁻¹; None for a model without charges.
    drift : Drift
        Drift of the total energy.
    n_lost : int
        Number of runs that lost a bond. Spectra leave out the runs that lost one at any temperature.
    """

    temperature: float
    measured: float
    vdos: Spectrum = field(repr=False)
    infrared: Spectrum | None = field(repr=False)
    drift: Drift
    n_lost: int


@final
@dataclass(frozen=True, eq=False)
class ModelSpectra:
    """Spectra of one model.

    Parameters
    ----------
    label : str
        Name of the model in tables and figures.
    harmonic : (n_modes,), cm⁻¹
        Harmonic wavenumbers at the lowest minimum, ascending; negative for imaginary ones.
    spectra : tuple of TemperatureSpectra
        Rising temperatures.
    gap, margin : float, cm⁻¹
        See `openmm_hybrid.analysis.bands`.
    """

    label: str
    harmonic: NDArray[np.float64] = field(repr=False)
    spectra: tuple[TemperatureSpectra, ...]
    gap: float
    margin: float

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """Bands of the harmonic wavenumbers."""
        return bands(self.harmonic, gap=self.gap, margin=self.margin)

    def values(self, band: Band) -> list[BandValue]:
        """The position of a band at each temperature."""
        return [band_value(part.vdos, band) for part in self.spectra]

    def intensities(self, band: Band) -> list[float]:
        """The infrared intensity of a band at each temperature, km/mol; empty for a model without charges.

        It is scaled to the energy of equipartition: the runs are few, and the energy of a mode fluctuates by as much as
        its mean from run to run.
        """
        return [
            part.infrared.power(band)
            * (len(band.harmonic) / part.vdos.power(band))
            * (part.temperature / part.measured)
            for part in self.spectra
            if part.infrared is not None
        ]

    def slope(self, band: Band) -> Slope | None:
        """Slope of a band's position against temperature; None with a single temperature."""
        if len(self.spectra) < 2:
            return None
        return temperature_slope([part.temperature for part in self.spectra], self.values(band))

    @property
    def span(self) -> float:
        """Difference between the highest and the lowest temperature, K."""
        return self.spectra[-1].temperature - self.spectra[0].temperature

    @property
    def notes(self) -> Iterator[str]:
        """Sentences on runs that lost a bond or did not keep their energy, and on imaginary frequencies."""
        n_imaginary = int((self.harmonic < 0).sum())
        if n_imaginary:
            yield f"{self.label}: {n_imaginary} imaginary frequencies at the minimum belong to no band."
        for part in self.spectra:
            where = f"{self.label} at {part.temperature:g} K"
            if part.n_lost:
                yield f"{where}: {part.n_lost} runs lost a bond and are left out."
            if part.drift.fluctuation > _NOISY * len(self.harmonic) * BOLTZMANN * part.temperature:
                yield (
                    f"{where}: the total energy fluctuates by {part.drift.fluctuation:.2g} kcal/mol; "
                    "a shorter timestep helps."
                )

    def figures(self) -> dict[str, tuple[float, str]]:
        """Figures of the JSON document: value and unit by name."""
        found: dict[str, tuple[float, str]] = {}
        for band in self.bands:
            key = f"{self.label}.{band.name}"
            found[f"harmonic.{key}"] = (band.centre, "cm⁻¹")
            values, intensities = self.values(band), self.intensities(band)
            for number, (part, value) in enumerate(zip(self.spectra, values, strict=True)):
                at = f"{key}.{part.temperature:g}"
                found[f"position.{at}"] = (value.position, "cm⁻¹")
                found[f"position_error.{at}"] = (value.error, "cm⁻¹")
                found[f"modes.{at}"] = (value.power, "1")
                if intensities:
                    found[f"infrared.{at}"] = (intensities[number], "km/mol")
            slope = self.slope(band)
            if slope is not None:
                found[f"shift.{key}"] = (slope.value * self.span, "cm⁻¹")
                found[f"shift_error.{key}"] = (slope.error * self.span, "cm⁻¹")
        for part in self.spectra:
            found[f"drift.{self.label}.{part.temperature:g}"] = (part.drift.value, "kcal/mol/ps/atom")
            found[f"temperature.{self.label}.{part.temperature:g}"] = (part.measured, "K")
        return found


@final
@dataclass(frozen=True, eq=False)
class SpectraResult(StudyResult):
    """Spectra of several models of one molecule.

    Parameters
    ----------
    molecule : str
        Name of the molecule.
    models : tuple of ModelSpectra
    markers : tuple of float, cm⁻¹
        Wavenumbers of an experiment, for the pictures.
    settings : dict
        Settings as JSON holds them.
    """

    molecule: str
    models: tuple[ModelSpectra, ...]
    markers: tuple[float, ...]
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """See `StudyResult.name`."""
        return f"spectra_{as_file_name(self.molecule) or 'molecule'}"

    def tables(self) -> list[TextTable]:
        """See `StudyResult.tables`: positions of the bands in cm⁻¹, one table per model."""
        return [self._table(model) for model in self.models]

    def _table(self, model: ModelSpectra) -> TextTable:
        temperatures = [f"{part.temperature:g} K" for part in model.spectra]
        columns = [model.label, "modes", *temperatures]
        columns += ["shift"] * (len(temperatures) > 1) + ["km/mol"] * bool(model.intensities(model.bands[0]))
        rows = []
        for band in model.bands:
            ends = dict.fromkeys(f"{value:.0f}" for value in (band.harmonic[0], band.harmonic[-1]))
            row = ["–".join(ends), str(len(band.harmonic))]
            row += [f"{value.position:.1f} ± {value.error:.1f}" for value in model.values(band)]
            slope, intensities = model.slope(band), model.intensities(band)
            if slope is not None:
                row.append(f"{slope.value * model.span:+.1f} ± {slope.error * model.span:.1f}")
            row += [cell(intensity) for intensity in intensities[:1]]
            rows.append(row)
        return TextTable(columns, rows, list(model.notes))

    def as_dict(self) -> dict[str, Any]:
        """See `StudyResult.as_dict`."""
        figures = {name: figure for model in self.models for name, figure in model.figures().items()}
        harmonic = {model.label: [round(value, 3) for value in model.harmonic.tolist()] for model in self.models}
        notes = [note for model in self.models for note in model.notes]
        return document(
            "spectra", figures, molecule=self.molecule, settings=self.settings, harmonic=harmonic, notes=notes
        )

    def drawings(self) -> dict[str, Drawing]:
        """See `StudyResult.drawings`: the densities of states, and infrared spectra if a model has charges."""
        from openmm_hybrid.figures import spectra_figure

        harmonic: Mapping[str, NDArray[np.float64]] = {model.label: model.harmonic for model in self.models}
        kinds = {
            "": ("density of states / modes per cm⁻¹", "vdos", "Vibrational density of states"),
            "_infrared": ("absorption / km/mol per cm⁻¹", "infrared", "Infrared spectrum of the partial charges"),
        }
        found = {}
        for ending, (label, attribute, caption) in kinds.items():
            spectra = {model.label: self._curves(model, attribute) for model in self.models}
            spectra = {name: curves for name, curves in spectra.items() if curves}
            if spectra:
                picture = spectra_figure(spectra, harmonic, label=label, markers=self.markers)
                found[f"{self.name}{ending}"] = Drawing(picture, f"{caption}; ticks are harmonic wavenumbers")
        return found

    def _curves(
        self, model: ModelSpectra, attribute: str
    ) -> dict[float, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Wavenumbers and mean densities by temperature, up to one wavenumber for all models."""
        found, highest = {}, max(float(other.harmonic.max()) for other in self.models) + _BEYOND
        for part in model.spectra:
            spectrum: Spectrum | None = getattr(part, attribute)
            if spectrum is not None:
                shown = spectrum.below(highest)
                found[part.temperature] = (shown.wavenumbers, shown.density)
        return found

    def records(self) -> list[dict[str, Any]]:
        """See `StudyResult.records`: all spectra."""
        rows: list[dict[str, Any]] = []
        for model in self.models:
            absorption = self._curves(model, "infrared")
            for temperature, (wavenumbers, density) in self._curves(model, "vdos").items():
                known = absorption[temperature][1].tolist() if absorption else [None] * len(density)
                rows += [
                    {
                        "model": model.label,
                        "temperature_K": temperature,
                        "wavenumber_per_cm": round(x, 3),
                        "modes_per_wavenumber": y,
                        "km_per_mol_per_wavenumber": z,
                    }
                    for x, y, z in zip(wavenumbers.tolist(), density.tolist(), known, strict=True)
                ]
        return rows
