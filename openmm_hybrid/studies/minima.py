"""Minima: the conformations of a molecule in several models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.models.held_dihedrals import Relaxed
from openmm_hybrid.models.minima import Minimum
from openmm_hybrid.studies.comparison import Comparison, ComparisonSettings, molecule_and_starts, open_comparison
from openmm_hybrid.studies.matching import Conformation, Conformations
from openmm_hybrid.studies.minima_result import ConformationEnergies, Minima
from openmm_hybrid.studies.study import Study

_MOST_PASSES = 5
_SHAKE = 0.02  # Å, standard deviation of displacements that take a geometry of another model off a saddle point


@final
@dataclass(frozen=True)
class MinimaSettings(ComparisonSettings):
    """Settings of the study of minima; see the help of each field."""

    @property
    def free(self) -> tuple[str, ...]:
        """See `ComparisonSettings.free`."""
        return ("molecule", "template")


@final
class MinimaStudy(Study):
    """Compares the minima of several models."""

    name = "minima"
    summary = "Compare the conformations and their energies in several models, matched by structure."
    Settings = MinimaSettings

    def run(self, settings: MinimaSettings, output: Path, *, progress: bool = True) -> Minima:
        """See `Study.run`.

        Every model relaxes embedded conformers, then the conformations that only other models have, until no model
        finds a new one. A conformation that is still missing is then no minimum of the model.
        """
        molecule, starts = molecule_and_starts(settings)
        comparison = open_comparison(settings, molecule, starts, output, "minima study", progress=progress)
        with lock_folder(output):
            shapes = Conformations(molecule, starts)
            relaxed = {model.label: model.relaxed("conformers", starts) for model in comparison.models}
            for number in range(_MOST_PASSES):
                minima = _minima(comparison, relaxed)
                known = shapes.matched(minima)
                others = _from_others(comparison, known, number)
                relaxed = {name: Relaxed.joined([found, others[name]]) for name, found in relaxed.items()}
                if all(len(minima[name]) == len(found) for name, found in _minima(comparison, relaxed).items()):
                    break
            ends = {name: _ends(shapes, known, name, found) for name, found in others.items()}
        return Minima(
            molecule.name,
            molecule.smiles,
            molecule.elements,
            tuple((int(i), int(j)) for i, j in molecule.bonds),
            tuple(model.label for model in comparison.models),
            _ordered(known, minima, ends),
        )


def _minima(comparison: Comparison, relaxed: dict[str, Relaxed]) -> dict[str, list[Minimum]]:
    return {model.label: model.minima(relaxed[model.label]) for model in comparison.models}


def _from_others(comparison: Comparison, known: list[Conformation], number: int) -> dict[str, Relaxed]:
    """For each model, the conformations that it lacks, relaxed in it."""
    found = {}
    shape = comparison.starts.shape[1:]
    for model in comparison.models:
        lacking = [conformation.positions for conformation in known if model.label not in conformation.minima]
        shakes = np.random.default_rng(number).normal(scale=_SHAKE, size=(len(lacking), *shape))
        starts = np.array(lacking).reshape(-1, *shape) + shakes
        found[model.label] = model.relaxed(f"from-others-{number}", starts)
    return found


def _ends(shapes: Conformations, known: list[Conformation], name: str, found: Relaxed) -> dict[int, int]:
    """Index of a conformation that a model lacks → index of the one to which it relaxes there."""
    lacking = [index for index, conformation in enumerate(known) if name not in conformation.minima]
    present = [index for index, conformation in enumerate(known) if name in conformation.minima]
    ends = {}
    for index, positions in zip(lacking, found.positions, strict=True):
        nearest = shapes.nearest(positions, [known[other] for other in present])
        if nearest is not None:
            ends[index] = present[nearest]
    return ends


def _ordered(
    known: list[Conformation], minima: dict[str, list[Minimum]], ends: dict[str, dict[int, int]]
) -> tuple[ConformationEnergies, ...]:
    """The conformations in the order of the reference's energies, then those of the other models."""
    lowest = {name: found[0].energy for name, found in minima.items()}
    rows = []
    for conformation in known:
        energies = {name: minima[name][index].energy - lowest[name] for name, index in conformation.minima.items()}
        rows.append(energies)
    names = list(minima)
    order = sorted(
        range(len(known)),
        key=lambda index: next((rank, rows[index][name]) for rank, name in enumerate(names) if name in rows[index]),
    )
    new = {index: rank for rank, index in enumerate(order)}
    return tuple(
        ConformationEnergies(
            known[index].positions,
            rows[index],
            {name: new[found[index]] for name, found in ends.items() if index in found},
        )
        for index in order
    )
