"""Sampling: how far the ensembles of force fields, plain and corrected, are from the ensemble of their reference.

Sauceda, Gastegger, Chmiela, Müller, Tkatchenko, J. Chem. Phys. 153, 124109 (2020), Figs. 5, 7 and 9.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid import analysis, correction
from openmm_hybrid.analysis import Density, Estimate
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.minima import Minimum, minima, relax
from openmm_hybrid.studies import torsion_pair
from openmm_hybrid.studies.potentials import PLAIN, REFERENCE, ensemble, potential
from openmm_hybrid.studies.sampling_result import Comparison, Ensemble
from openmm_hybrid.studies.study import Study
from openmm_hybrid.studies.workspace import SamplingSettings, Workspace, open_workspace

Floats = NDArray[np.float64]

_CONTRASTS = 10  # coordinates listed per ensemble
_MINIMA = 3  # number of lowest minima, called (a), (b), (c)
_BELOW = 3.0  # free energy up to which surfaces are compared, kcal/mol
_THIRDS = {
    "0 to 60°": (0.0, np.pi / 3),
    "60 to 120°": (np.pi / 3, 2 * np.pi / 3),
    "120 to 180°": (2 * np.pi / 3, np.pi),
}


@final
class SamplingStudy(Study):
    """Compares ensembles of GAFF, plain, refitted and corrected, with the ensemble of a reference."""

    name = "sampling"
    summary = "Compare the ensembles of GAFF, plain, refitted and corrected, with the ensemble of a reference model."
    Settings = SamplingSettings

    def run(self, settings: SamplingSettings, output: Path, *, progress: bool = True) -> Comparison:
        """See `Study.run`. Errors are those of `open_workspace`.

        Raises
        ------
        InputError
            Another process writes to the folder.
        """
        workspace = open_workspace(settings, output, progress=progress)
        job = {name: value for name, value in settings.job.items() if name != "potentials"}
        with lock_folder(output):
            seen = _sampled(workspace, list(dict.fromkeys([REFERENCE, PLAIN, *settings.potentials])))
            lowest = _lowest(workspace, seen.atoms)
            found = tuple(_ensemble(workspace, seen, lowest, name) for name in seen.frames)
        return Comparison(found, tuple(lowest), job, workspace.pair.labels, settings.label)


@final
@dataclass(frozen=True, eq=False)
class _Sampled:
    """Runs of all potentials.

    Parameters
    ----------
    atoms : tuple of two tuples
        Atoms of the two dihedrals.
    frames : dict of str to (n_starts, n_frames, n_atoms, 3), Å
    dihedrals : dict of str to (n_starts, n_frames, 2), rad
    speeds : dict of str to float, ns/day
    densities : dict of str to list of Density
        Density of the two dihedrals for each start.
    began : two (n_starts,) masks
        Starts that began above the median of each dihedral's absolute value.
    """

    atoms: tuple[tuple[int, ...], ...]
    frames: dict[str, Floats]
    dihedrals: dict[str, Floats]
    speeds: dict[str, float]
    densities: dict[str, list[Density]]
    began: list[NDArray[np.bool_]]


def _sampled(workspace: Workspace, names: Sequence[str]) -> _Sampled:
    atoms = workspace.pair.dihedral_atoms(workspace.molecule)
    frames, dihedrals, speeds = {}, {}, {}
    for name in names:
        run = ensemble(workspace, name)
        frames[name] = np.stack([start.positions for start in run.starts])
        dihedrals[name] = np.stack([torsion_pair.values(start, atoms) for start in frames[name]])
        speeds[name] = run.speed
        if workspace.progress:
            n_starts, n_frames = dihedrals[name].shape[:2]
            print(f"{name}: {n_frames} frames of {n_starts} starts, {run.speed:.0f} ns/day", file=sys.stderr)
    first = workspace.pair.folded(torsion_pair.values(workspace.starts(), atoms))
    began = [distance > np.median(distance) for distance in first.T]
    mirrored = workspace.pair.mirrored
    densities = {
        name: [torsion_pair.density(start, mirrored=mirrored) for start in starts] for name, starts in dihedrals.items()
    }
    return _Sampled(atoms, frames, dihedrals, speeds, densities, began)


def _ensemble(workspace: Workspace, seen: _Sampled, lowest: Sequence[Minimum], name: str) -> Ensemble:
    """An ensemble with its distance from the reference."""
    whole, unseen = potential(workspace, name).whole, workspace.data.test()
    densities, reference = seen.densities[name], seen.densities[REFERENCE]
    energies, shifts = _relaxed(whole, lowest, seen.atoms)
    divergence = surface = None
    contrast: list[correction.ContrastRow] = []
    if name != REFERENCE:
        divergence = analysis.excess(densities, reference, analysis.jensen_shannon)
        measure = analysis.free_energy_difference(workspace.settings.temperature, _BELOW)
        surface = analysis.excess(densities, reference, measure)
        contrast = correction.contrast(seen.frames[name], seen.frames[REFERENCE], workspace.molecule)
    return Ensemble(
        name,
        torsion_pair.density(seen.dihedrals[name].reshape(-1, 2), mirrored=workspace.pair.mirrored),
        divergence,
        surface,
        tuple(_populations(seen.dihedrals[name][..., axis]) for axis in range(2)),
        tuple(analysis.start_dependence(densities, mask, analysis.jensen_shannon) for mask in seen.began),
        energies,
        shifts,
        tuple(contrast[:_CONTRASTS]),
        analysis.error_table(unseen, whole.predict(unseen.positions)),
        seen.speeds[name],
    )


def _lowest(workspace: Workspace, atoms: tuple[tuple[int, ...], ...]) -> list[Minimum]:
    """The reference's lowest minima."""

    def features(positions: Floats) -> Floats:
        return workspace.pair.features(torsion_pair.values(positions[None], atoms)[0])

    frames = ensemble(workspace, REFERENCE).positions
    chosen = np.linspace(0, len(frames) - 1, workspace.settings.searches).astype(int)
    return minima(potential(workspace, REFERENCE).whole, list(frames[chosen]), features)[:_MINIMA]


def _relaxed(
    model: EnergyModel, lowest: Sequence[Minimum], atoms: tuple[tuple[int, ...], ...]
) -> tuple[Floats, Floats]:
    """Energies of minima that a model has relaxed, above the first one, and the largest rotation of a dihedral."""
    energies, shifts = [], []
    for minimum in lowest:
        positions, energy = relax(model, minimum.positions)
        before, after = torsion_pair.values(np.stack([minimum.positions, positions]), atoms)
        energies.append(energy)
        shifts.append(np.abs(np.angle(np.exp(1j * (after - before)))).max())
    return np.array(energies) - energies[0], np.array(shifts)


def _populations(dihedrals: Floats) -> dict[str, Estimate]:
    """Populations of the thirds of a dihedral's absolute value (n_starts, n_frames), with block errors."""
    labels = analysis.label_basins(np.minimum(np.abs(dihedrals), np.pi - 1e-9), _THIRDS)
    return analysis.populations(labels, names=tuple(_THIRDS))
