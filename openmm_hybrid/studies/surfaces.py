"""Surfaces: the energies of several models over two dihedrals of a molecule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis import grid_minima, image_difference, rms_difference, surface_profile
from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.models.dihedral_scan import Image, Scan, grid, relaxed_scan
from openmm_hybrid.models.held_dihedrals import HeldDihedral, Relaxed
from openmm_hybrid.studies.compared_model import CONVERGED, ComparedModel
from openmm_hybrid.studies.comparison import Comparison, ComparisonSettings, molecule_and_starts, open_comparison
from openmm_hybrid.studies.dihedral_choice import dihedral_name, symmetries, two_dihedrals
from openmm_hybrid.studies.study import Study, option
from openmm_hybrid.studies.surfaces_result import ModelSurface, SurfaceMinimum, Surfaces

Floats = NDArray[np.float64]


@final
@dataclass(frozen=True)
class SurfacesSettings(ComparisonSettings):
    """Settings of energy surfaces; see the help of each field.

    Raises
    ------
    InputError
        The grid has fewer than 6 angles, the window is not positive, or another setting is out of range.
    """

    dihedral: tuple[str, ...] = option(
        (), help="Four atoms of a dihedral, such as 0-1-2-3; give two, or none for the rotors of the molecule."
    )
    scan: Literal["relaxed", "rigid"] = option(
        "relaxed", help="Relax every point in each model, or turn the lowest minimum of the reference rigidly."
    )
    n_angles: int = option(24, help="Number of angles of each dihedral.")
    window: float = option(
        10.0, help="Energy of the reference, kcal/mol, up to which surfaces are compared; the end of the colour scale."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_angles < 6 or not self.window > 0.0:
            raise InputError(
                f"n_angles = {self.n_angles}, window = {self.window}", expected="n_angles ≥ 6 and window > 0"
            )

    @property
    def free(self) -> tuple[str, ...]:
        """See `ComparisonSettings.free`."""
        return ("molecule", "template", "window")


@final
class SurfacesStudy(Study):
    """Compares the energy surfaces of several models over two dihedrals."""

    name = "surfaces"
    summary = "Compare energy surfaces of several models over two dihedrals, with their minima and barriers."
    Settings = SurfacesSettings

    def run(self, settings: SurfacesSettings, output: Path, *, progress: bool = True) -> Surfaces:
        """See `Study.run`.

        The folder of each model gets the relaxed geometries of every round, at most ten seconds after they are done.
        """
        molecule, starts = molecule_and_starts(settings)
        held = two_dihedrals(molecule, starts, settings.dihedral)
        comparison = open_comparison(settings, molecule, starts, output, "surfaces study", progress=progress)
        with lock_folder(output):
            images = symmetries(molecule, starts, held)
            work = _Work(settings, comparison, held, images)
            found = [work.surface(model) for model in comparison.models]
        truth = found[0]
        compared = tuple(
            surface.against(rms_difference(surface.energies, truth.energies, window=settings.window))
            for surface in found
        )
        names = tuple(dihedral_name(molecule, dihedral.atoms) for dihedral in held)
        return Surfaces(
            molecule.name, molecule.smiles, (names[0], names[1]), settings.scan, settings.window,
            compared,
        )  # fmt: skip


class _Work:
    """Scans of the models of a comparison."""

    def __init__(
        self,
        settings: SurfacesSettings,
        comparison: Comparison,
        held: tuple[HeldDihedral, HeldDihedral],
        images: Sequence[Image],
    ) -> None:
        self._settings, self._comparison, self._held, self._images = settings, comparison, held, images
        self._reference = comparison.models[0]

    def surface(self, model: ComparedModel) -> ModelSurface:
        """The surface of a model, with its minima and barriers."""
        starts = self._minima(model)
        n = self._settings.n_angles
        scan = self._rigid(model) if self._settings.scan == "rigid" else self._relaxed(model, starts)
        minima, wells = ([], []) if self._settings.scan == "rigid" else self._surface_minima(model, scan)
        zero = min([float(np.nanmin(scan.energies)), *(minimum.energy for minimum in minima)])
        energies = scan.energies - zero
        relaxed = self._settings.scan == "relaxed"
        points = [image.points(n) for image in self._images]
        return ModelSurface(
            name=model.label,
            energies=energies,
            minima=tuple(minimum.above(zero) for minimum in minima),
            wells=tuple(wells),
            profiles=(surface_profile(energies, 0), surface_profile(energies, 1)),
            asymmetry=image_difference(energies, points) if relaxed else float("nan"),
            largest_force=float(np.nanmax(scan.forces)) if relaxed else float("nan"),
            n_rounds=scan.n_rounds,
        )

    def _minima(self, model: ComparedModel) -> Floats:
        """Distinct minima (n_minima, n_atoms, 3) to which the conformers relax, the lowest first."""
        found = model.relaxed("conformers", self._comparison.starts)
        return np.array([minimum.positions for minimum in model.minima(found)])

    def _relaxed(self, model: ComparedModel, starts: Floats) -> Scan:
        molecule = self._comparison.molecule

        def relax(number: int, positions: Floats, angles: Floats) -> Relaxed:
            return model.relaxed(f"round-{number:03d}", positions, self._held, angles)

        return relaxed_scan(
            molecule.atomic_numbers, molecule.bonds, self._held, self._settings.n_angles, starts, relax,
            images=self._images,
        )  # fmt: skip

    def _rigid(self, model: ComparedModel) -> Scan:
        """Energies of the reference's lowest minimum with its dihedrals turned."""
        lowest = self._minima(self._reference)[0]
        angles = grid(self._settings.n_angles)
        turned = np.repeat(lowest[None], len(angles), axis=0)
        found = model.relaxed("rigid", turned, self._held, angles, max_steps=0)
        shape = (self._settings.n_angles, self._settings.n_angles)
        return Scan(found.positions.reshape(*shape, *lowest.shape), found.energies.reshape(shape), found.forces, 1)

    def _surface_minima(
        self, model: ComparedModel, scan: Scan
    ) -> tuple[list[SurfaceMinimum], list[tuple[float, float]]]:
        """Distinct minima to which the conformers and the lowest grid points relax, and the dihedrals of the latter."""
        points = grid_minima(scan.energies)
        found = model.relaxed("minima", np.array([scan.positions[point] for point in points]))
        converged = np.isfinite(found.energies) & (found.forces < CONVERGED)
        wells = self._angles(found.positions[converged])
        minima = model.minima(Relaxed.joined([model.relaxed("conformers", self._comparison.starts), found]))
        angles = self._angles(np.array([minimum.positions for minimum in minima]))
        pairs = zip(angles, minima, strict=True)
        return [SurfaceMinimum(pair, minimum.energy) for pair, minimum in pairs], wells

    def _angles(self, positions: Floats) -> list[tuple[float, float]]:
        """The two dihedrals of each geometry, degrees."""
        values = np.degrees(geometry.dihedral(positions, [dihedral.atoms for dihedral in self._held]))
        return [(first, second) for first, second in values.tolist()]
