"""The result of the study of energy surfaces."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis import SurfaceProfile
from openmm_hybrid.core.result_document import document
from openmm_hybrid.core.text_table import TextTable, cell
from openmm_hybrid.studies.study import Drawing, StudyResult

Floats = NDArray[np.float64]

_DIGITS = 5  # decimals of the energies in the document


@final
@dataclass(frozen=True)
class SurfaceMinimum:
    """A minimum of the energy.

    Parameters
    ----------
    angles : (float, float), degrees
        The two dihedrals.
    energy : float, kcal/mol
    """

    angles: tuple[float, float]
    energy: float

    def above(self, zero: float) -> SurfaceMinimum:
        """The same minimum with its energy above another one, kcal/mol."""
        return SurfaceMinimum(self.angles, self.energy - zero)


@final
@dataclass(frozen=True, eq=False)
class ModelSurface:
    """The energy surface of one model.

    Parameters
    ----------
    name : str
    energies : (n, n), kcal/mol
        Energies above the lowest minimum, at angles from −180° on; NaN where no geometry was found.
    minima : tuple of SurfaceMinimum
        Distinct minima without held dihedrals, the lowest first; none in a rigid scan. Symmetry images and exchanges of
        equivalent atoms count as one.
    wells : tuple of (float, float), degrees
        Dihedrals of all minima in the surface, with symmetry images and equivalent ones.
    profiles : (SurfaceProfile, SurfaceProfile)
        Minima and barriers along each dihedral, the other one at its best angle.
    asymmetry : float, kcal/mol
        Largest difference between points that symmetries of the molecule make equal; NaN without symmetries and for
        rigid scans.
    largest_force : float, kcal/mol/Å
        Largest force component that is left at a grid point; NaN for rigid scans.
    n_rounds : int
        Number of rounds of relaxations.
    rms : float, kcal/mol
        RMS difference from the reference.
    """

    name: str
    energies: Floats = field(repr=False)
    minima: tuple[SurfaceMinimum, ...]
    wells: tuple[tuple[float, float], ...]
    profiles: tuple[SurfaceProfile, SurfaceProfile]
    asymmetry: float
    largest_force: float
    n_rounds: int
    rms: float = float("nan")

    def against(self, rms: float) -> ModelSurface:
        """The same surface with its RMS difference from the reference, kcal/mol."""
        return replace(self, rms=rms)

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON; unknown numbers are null."""
        rounded = np.round(self.energies, _DIGITS)
        entry: dict[str, Any] = {"energies": [[_known(value) for value in row] for row in rounded.tolist()]}
        entry |= {"minima": [asdict(minimum) for minimum in self.minima]}
        entry |= {"wells": [list(well) for well in self.wells]}
        entry |= {"profiles": [asdict(profile) for profile in self.profiles]}
        numbers = {name: _known(getattr(self, name)) for name in ("asymmetry", "largest_force", "rms")}
        return entry | numbers | {"n_rounds": self.n_rounds}


@final
@dataclass(frozen=True, eq=False)
class Surfaces(StudyResult):
    """Energy surfaces of several models over two dihedrals.

    Parameters
    ----------
    molecule, smiles : str
    dihedrals : (str, str)
        Names of the dihedrals, such as "C1–C0–O2–H8".
    scan : str
        "relaxed" or "rigid".
    window : float, kcal/mol
        Energy of the reference up to which the surfaces are compared.
    surfaces : tuple of ModelSurface
        The reference comes first.
    """

    molecule: str
    smiles: str
    dihedrals: tuple[str, str]
    scan: str
    window: float
    surfaces: tuple[ModelSurface, ...]

    @property
    def name(self) -> str:
        """See `StudyResult.name`."""
        return "surfaces"

    def tables(self) -> list[TextTable]:
        """See `StudyResult.tables`: kcal/mol above the lowest minimum of each model."""
        columns = ("model", "RMS difference", "asymmetry", "minima", *(f"barriers {name}" for name in self.dihedrals))
        rows = []
        for surface in self.surfaces:
            barriers = [_listed(energy for _, energy in profile.barriers) for profile in surface.profiles]
            minima = _listed(minimum.energy for minimum in surface.minima)
            is_reference = surface is self.surfaces[0]
            asymmetry = "–" if np.isnan(surface.asymmetry) else f"{surface.asymmetry:.4f}"
            rows.append(
                (surface.name, "reference" if is_reference else cell(surface.rms), asymmetry, minima, *barriers)
            )
        return [TextTable(columns, rows)]

    def records(self) -> list[dict[str, Any]]:
        """See `StudyResult.records`: the energies on the grid."""
        rows: list[dict[str, Any]] = []
        for surface in self.surfaces:
            angles = np.linspace(-180.0, 180.0, len(surface.energies), endpoint=False).tolist()
            rows += [
                {
                    "model": surface.name,
                    f"{self.dihedrals[0]}_degrees": first,
                    f"{self.dihedrals[1]}_degrees": second,
                    "energy_kcal_per_mol": round(float(energy), _DIGITS),
                }
                for first, line in zip(angles, surface.energies, strict=True)
                for second, energy in zip(angles, line, strict=True)
            ]
        return rows

    def as_dict(self) -> dict[str, Any]:
        """See `StudyResult.as_dict`."""
        figures: dict[str, tuple[float, str]] = {}
        for surface in self.surfaces:
            name = surface.name
            numbers = {"asymmetry": surface.asymmetry}
            if surface is not self.surfaces[0]:
                numbers["rms"] = surface.rms
            for number, profile in enumerate(surface.profiles, 1):
                heights = [energy for _, energy in profile.barriers]
                if heights:
                    numbers |= {f"barrier{number}.lowest": min(heights), f"barrier{number}.highest": max(heights)}
            if len(surface.minima) > 1:
                numbers["second_minimum"] = surface.minima[1].energy
            figures |= {f"{key}.{name}": (value, "kcal/mol") for key, value in numbers.items() if np.isfinite(value)}
            if surface.minima:
                figures[f"minima.{name}"] = (len(surface.minima), "1")
        return document(
            "surfaces",
            figures,
            molecule=self.molecule,
            smiles=self.smiles,
            dihedrals=list(self.dihedrals),
            scan=self.scan,
            window=self.window,
            reference=self.surfaces[0].name,
            surfaces={surface.name: surface.as_dict() for surface in self.surfaces},
        )

    def drawings(self) -> dict[str, Drawing]:
        """See `StudyResult.drawings`: contours of all surfaces and of their differences from the reference."""
        from openmm_hybrid.figures import surface_figure

        picture = surface_figure(
            {surface.name: surface.energies for surface in self.surfaces},
            self.dihedrals,
            reference=self.surfaces[0].name,
            window=self.window,
            minima={surface.name: surface.wells for surface in self.surfaces},
        )
        caption = "Energies over the two dihedrals, and their differences from the reference; dots are minima"
        return {self.name: Drawing(picture, caption)}


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _listed(energies: Any) -> str:
    return " ".join(f"{energy:.2f}" for energy in energies) or "–"
