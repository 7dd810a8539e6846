"""A model in a comparison, and the file in which it keeps the geometries that it has relaxed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.core.files import reading_npz, replacing
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.models.dihedral_scan import shape_atoms
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.held_dihedrals import HeldDihedral, Relaxed, keeps_bonds, relax_held
from openmm_hybrid.models.minima import Minimum, distinct
from openmm_hybrid.reference.engine_model import EngineModel

Floats = NDArray[np.float64]

CONVERGED = 0.1
"""Largest remaining force of a minimum, kcal/mol/Å."""

_BATCH = 32  # geometries that share the calls of a model
_EVERY = 10.0  # most seconds between two writings of finished geometries


@final
@dataclass(frozen=True, eq=False)
class ComparedModel:
    """A model in a comparison, with the geometries that it has relaxed so far.

    Parameters
    ----------
    label : str
        Name in tables and figures.
    model : EnergyModel
    bonds : (n_bonds, 2)
    folder : Path
        Folder for the relaxed geometries.
    progress : bool
        Whether to show the progress.
    """

    label: str
    model: EnergyModel = field(repr=False)
    bonds: NDArray[np.int64] = field(repr=False)
    folder: Path
    progress: bool = False

    def relaxed(
        self,
        stage: str,
        positions: Floats,
        held: Sequence[HeldDihedral] = (),
        angles: Floats | None = None,
        *,
        max_steps: int = 300,
    ) -> Relaxed:
        """Relaxed geometries, as of `relax_held`, which a file in the folder keeps.

        Every ten seconds the finished geometries are written. A later call with the same stage continues after them.

        Parameters
        ----------
        stage : str
            Stem of the file's name.
        positions : (n_frames, n_atoms, 3), Å
        held : sequence of HeldDihedral
        angles : (n_frames, n_held), rad, optional
            Needed for held dihedrals.
        max_steps : int
            0 evaluates the model at the given dihedrals.

        Raises
        ------
        InputError
            The file is damaged or of other geometries.
        """
        wanted = np.zeros((len(positions), 0)) if angles is None else angles
        path, parts = self.folder / f"{stage}.npz", []
        if path.is_file():
            parts.append(_read(path, positions.shape, wanted))
        batch = 1 if isinstance(self.model, EngineModel) else _BATCH
        done, written = sum(len(part.energies) for part in parts), time.monotonic()
        description = f"{self.label}: {stage}"
        unwritten, shown = False, self.progress and done < len(positions)
        with progress_bar(len(positions), description, "geometries", done=done, enabled=shown) as advance:
            try:
                while done < len(positions):
                    block = slice(done, min(done + batch, len(positions)))
                    parts.append(
                        relax_held(self.model, positions[block], held, wanted[block], self.bonds, max_steps=max_steps)
                    )
                    unwritten, done = True, block.stop
                    advance(block.stop - block.start)
                    if time.monotonic() - written > _EVERY:
                        _write(path, Relaxed.joined(parts), wanted)
                        unwritten, written = False, time.monotonic()
            finally:
                if unwritten:
                    _write(path, Relaxed.joined(parts), wanted)
        return Relaxed.joined(parts) if parts else Relaxed(positions, np.zeros(0), np.zeros(0), 0)

    def minima(self, found: Relaxed) -> list[Minimum]:
        """The distinct minima among relaxed geometries, the lowest first.

        Symmetry images and exchanges of equivalent atoms count as one, and so do geometries of equal energy that differ
        by hydrogens on carbon alone, since methyl groups may turn almost freely. Geometries that are not converged, or
        whose bonds broke, are left out.

        Raises
        ------
        NumericalError
            None is left.
        """
        lengths = np.median(geometry.distance(found.positions, self.bonds), axis=0)
        good = np.isfinite(found.energies) & (found.forces < CONVERGED)
        good &= keeps_bonds(found.positions, self.bonds, lengths)
        if not good.any():
            raise NumericalError(f"{self.label} finds no minimum of the molecule", hint="leave this model out")
        pairs = zip(found.positions[good], found.energies[good].tolist(), strict=True)
        atoms = shape_atoms(self.model.atomic_numbers, self.bonds)
        return distinct(pairs, lambda positions: np.sort(pdist(positions[atoms])))


def _write(path: Path, found: Relaxed, angles: Floats) -> None:
    with replacing(path) as temporary:
        np.savez(
            temporary,
            allow_pickle=False,
            positions=found.positions,
            energies=found.energies,
            forces=found.forces,
            angles=angles[: len(found.energies)],
            n_evaluations=found.n_evaluations,
        )


def _read(path: Path, shape: tuple[int, ...], wanted: Floats) -> Relaxed:
    with reading_npz(path, "relaxed geometries", hint="remove this file: it is made again") as arrays:
        positions, energies, forces, angles = (arrays[name] for name in ("positions", "energies", "forces", "angles"))
        n_evaluations = int(arrays["n_evaluations"])
    n = len(energies)
    fits = n <= shape[0] and positions.shape == (n, *shape[1:]) and forces.shape == energies.shape == (n,)
    # Equal numbers of geometries at other angles, of another version of a program, would go to the wrong points.
    if not fits or angles.shape != wanted[:n].shape or not np.allclose(angles, wanted[:n], atol=1e-9):
        raise InputError(f"{path} holds other geometries", hint="remove this file: it is made again")
    return Relaxed(positions, energies, forces, n_evaluations)
