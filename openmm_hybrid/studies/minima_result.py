"""The result of the study of minima."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from string import ascii_lowercase
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.result_document import document
from openmm_hybrid.core.text_table import TextTable
from openmm_hybrid.studies.study import Drawing, StudyResult

Floats = NDArray[np.float64]

_DRAWN = 8  # largest number of structures in the picture
_TIE = 0.01  # kcal/mol, largest difference of energies without an order


@final
@dataclass(frozen=True, eq=False)
class ConformationEnergies:
    """A conformation and its energies.

    Parameters
    ----------
    positions : (n_atoms, 3), Å
        Geometry in the reference, or in the first model that has it.
    energies : mapping of str to float, kcal/mol
        Name of a model that has the minimum → energy above the model's lowest minimum.
    ends : mapping of str to int
        Name of a model without the minimum → index of the conformation to which it relaxes there, if that is known.
    """

    positions: Floats = field(repr=False)
    energies: dict[str, float]
    ends: dict[str, int]


@final
@dataclass(frozen=True, eq=False)
class Minima(StudyResult):
    """The minima of several models, matched by structure.

    Parameters
    ----------
    molecule, smiles : str
    elements : (n_atoms,)
    bonds : tuple of (int, int)
    models : tuple of str
        Names of the models; the reference comes first.
    conformations : tuple of ConformationEnergies
        In the order of the reference's energies; those that it lacks come last.
    """

    molecule: str
    smiles: str
    elements: tuple[str, ...]
    bonds: tuple[tuple[int, int], ...]
    models: tuple[str, ...]
    conformations: tuple[ConformationEnergies, ...]

    @property
    def name(self) -> str:
        """See `StudyResult.name`."""
        return "minima"

    @property
    def labels(self) -> tuple[str, ...]:
        """A letter for each conformation: a, …, z, a1, …."""
        letters = len(ascii_lowercase)
        return tuple(
            ascii_lowercase[index % letters] + (str(index // letters) if index >= letters else "")
            for index in range(len(self.conformations))
        )

    def tables(self) -> list[TextTable]:
        """See `StudyResult.tables`: kcal/mol above the lowest minimum, and the rank in each model.

        "→ b" marks a conformation that relaxes to another one in the model.
        """
        rows = []
        ranks = {name: self._order(name) for name in self.models}
        for index, (label, conformation) in enumerate(zip(self.labels, self.conformations, strict=True)):
            row = [label]
            for name in self.models:
                if name in conformation.energies:
                    row.append(f"{conformation.energies[name]:.2f} ({ranks[name].index(index) + 1})")
                else:
                    row.append(f"→ {self.labels[conformation.ends[name]]}" if name in conformation.ends else "–")
            rows.append(row)
        heads = [f"{self.models[0]} (reference)", *self.models[1:]]
        return [TextTable(["minimum", *heads], rows)]

    def records(self) -> list[dict[str, Any]]:
        """See `StudyResult.records`: the energies of the conformations that a model has."""
        return [
            {"minimum": label, "model": name, "energy_kcal_per_mol": energy}
            for label, conformation in zip(self.labels, self.conformations, strict=True)
            for name, energy in conformation.energies.items()
        ]

    def as_dict(self) -> dict[str, Any]:
        """See `StudyResult.as_dict`."""
        figures: dict[str, tuple[float, str]] = {}
        reference = self.models[0]
        for name in self.models:
            figures[f"minima.{name}"] = (len(self._order(name)), "1")
            if name == reference:
                continue
            has = [(reference in one.energies, name in one.energies) for one in self.conformations]
            figures[f"missing.{name}"] = (has.count((True, False)), "1")
            figures[f"extra.{name}"] = (has.count((False, True)), "1")
            figures[f"misordered.{name}"] = (self._misordered(name), "1")
            if has.count((True, True)):
                figures[f"rms.{name}"] = (self._rms(name), "kcal/mol")
        table = [
            {
                "label": label,
                "energies": conformation.energies,
                "relaxes_to": {name: self.labels[index] for name, index in conformation.ends.items()},
                "positions": np.round(conformation.positions, 5).tolist(),
            }
            for label, conformation in zip(self.labels, self.conformations, strict=True)
        ]
        return document(
            "minima",
            figures,
            molecule=self.molecule,
            smiles=self.smiles,
            reference=reference,
            models=list(self.models),
            elements=list(self.elements),
            conformations=table,
        )

    def drawings(self) -> dict[str, Drawing]:
        """See `StudyResult.drawings`: the energy levels of all models, and the first eight structures."""
        from openmm_hybrid.figures import level_figure, structure_figure

        levels = {
            name: [conformation.energies.get(name, float("nan")) for conformation in self.conformations]
            for name in self.models
        }
        shown = self.conformations[:_DRAWN]
        structures = structure_figure(
            self.elements,
            self.bonds,
            {label: conformation.positions for label, conformation in zip(self.labels, shown, strict=False)},
        )
        return {
            "minima_levels": Drawing(level_figure(levels, self.labels), "Energies of the minima in each model"),
            "minima_structures": Drawing(structures, "Structures of the lowest minima"),
        }

    def _order(self, name: str) -> list[int]:
        """Indices of a model's conformations, the lowest first."""
        present = [index for index, conformation in enumerate(self.conformations) if name in conformation.energies]
        return sorted(present, key=lambda index: self.conformations[index].energies[name])

    def _common(self, name: str) -> Floats:
        """Energies (n_common, 2) of the conformations that both the reference and a model have, kcal/mol."""
        reference = self.models[0]
        pairs = [
            (one.energies[reference], one.energies[name])
            for one in self.conformations
            if reference in one.energies and name in one.energies
        ]
        return np.array(pairs, dtype=np.float64).reshape(-1, 2)

    def _rms(self, name: str) -> float:
        """RMS difference of the energies from the reference, kcal/mol, after the best shift."""
        truth, energies = self._common(name).T
        return float(np.std(energies - truth))

    def _misordered(self, name: str) -> int:
        """Number of pairs of common conformations that the model orders differently from the reference."""
        pairs = combinations(self._common(name), 2)
        gaps = [second - first for first, second in pairs]
        return sum(bool((np.abs(gap) > _TIE).all() and gap[0] * gap[1] < 0.0) for gap in gaps)
