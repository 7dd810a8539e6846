"""The result of all studies of a molecule: the results of each, and one report."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from openmm_hybrid.core.files import as_file_name
from openmm_hybrid.core.html_report import Section, write_report
from openmm_hybrid.core.result_document import document, versions
from openmm_hybrid.core.text_table import TextTable, cell
from openmm_hybrid.refinement.drawing import numbered
from openmm_hybrid.studies.lineup import MODELS, Lineup
from openmm_hybrid.studies.published import BesidePublished, beside_published
from openmm_hybrid.studies.study import StudyResult
from openmm_hybrid.studies.subject import model_label

REPORT = "report.html"
"""Name of the report in the folder of an overview."""

_TITLES = {
    "minima": "Minima",
    "surfaces": "Energy surfaces",
    "ensembles": "Thermal ensembles",
    "spectra": "Vibrational spectra",
    "relabel": "Relabelled frames",
}
_TEXTS = {
    "minima": "Conformations that conformers relax to in each model, matched by structure: energies in kcal/mol above "
    "the lowest one, and the rank in brackets. An arrow leads to the minimum that a conformation relaxes to in a model "
    "where it is none.",
    "surfaces": "Energies over two dihedrals, all else relaxed in each model: RMS difference from the reference, "
    "largest difference between points that are equal by symmetry, minima, and barriers along each dihedral, in "
    "kcal/mol.",
    "ensembles": "Dynamics of each model from starts of its own, which share nothing with the reference: "
    "Jensen-Shannon divergence of the density of the dihedrals from that of the reference, and RMS difference of "
    "the free energies. The excess is the part that noise does not explain. p is the probability that chance alone "
    "makes starts from different wells differ as much as they do.",
    "spectra": "Positions of the bands in cm⁻¹ from velocities of runs at constant energy, with standard errors; the "
    "shift is that from the lowest to the highest temperature, and km/mol is the infrared intensity at the lowest. "
    "Each band is named by its harmonic wavenumbers.",
    "relabel": "sGDML models of frames of the base force field with labels of the reference, and of frames of the "
    "reference itself: MAE of forces in kcal/mol/Å and of energies in kcal/mol on the frames of each.",
}


@final
@dataclass(frozen=True, eq=False)
class Overview(StudyResult):
    """All studies of a molecule.

    Parameters
    ----------
    lineup : Lineup
    results : mapping of str to StudyResult
        Name of the study → result.
    left_out : mapping of str to str
        Name of a study that was not possible → why.
    """

    lineup: Lineup
    results: Mapping[str, StudyResult]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """See `StudyResult.name`."""
        return f"study_{as_file_name(self.lineup.molecule.name) or 'molecule'}"

    def figures(self) -> dict[str, tuple[float, str]]:
        """Figures of all studies, with the study's name before each; value and unit."""
        found: dict[str, tuple[float, str]] = {}
        if self.lineup.refined is not None:
            chosen = self.lineup.refined.rounds[self.lineup.refined.chosen - 1]
            for name in ("own_force", "unseen_force", "base_force"):
                found[f"refine.{name}"] = getattr(chosen, name), "kcal/mol/Å"
        for label, errors in self.lineup.errors.items():
            found[f"force_rmse.{label}"] = errors.force_rmse, "kcal/mol/Å"
            found[f"energy_rmse.{label}"] = errors.energy_rmse, "kcal/mol"
        for study, result in self.results.items():
            for name, figure in result.as_dict()["figures"].items():
                found[f"{study}.{name}"] = figure["value"], figure["unit"]
        for one in self.published():
            found[f"published.{one.key}"] = one.values[self.reference], one.unit
        return found

    @property
    def reference(self) -> str:
        """Label of the reference."""
        return model_label(self.lineup.reference)

    def published(self) -> list[BesidePublished]:
        """Published numbers of this molecule beside those of the models."""
        labels = [model_label(name) for name in self.lineup.models]
        return beside_published(self.lineup.molecule, self.results, labels)

    def tables(self) -> list[TextTable]:
        """See `StudyResult.tables`: those of all studies."""
        found = [*self._models(), *(table for result in self.results.values() for table in result.tables())]
        notes = [f"{name} is left out: {reason}" for name, reason in self.left_out.items()]
        counts = [(name, str(len(result.as_dict()["figures"]))) for name, result in self.results.items()]
        return [*found, TextTable(("study", "figures"), counts, notes)]

    def as_dict(self) -> dict[str, Any]:
        """See `StudyResult.as_dict`: the figures of all studies, each with the study's name before it."""
        lineup = self.lineup
        return document(
            "study",
            self.figures(),
            molecule=lineup.molecule.name,
            smiles=lineup.molecule.smiles,
            models=[model_label(name) for name in lineup.models],
            reference=self.reference,
            published=[one.as_dict() for one in self.published()],
            left_out=dict(self.left_out),
        )

    def records(self) -> list[dict[str, Any]]:
        """See `StudyResult.records`: all figures."""
        return [{"figure": name, "value": value, "unit": unit} for name, (value, unit) in self.figures().items()]

    def write_report(self, folder: Path) -> Path:
        """Write report.html from the results and the pictures in the folders of the studies."""
        molecule = self.lineup.molecule
        done = ", ".join(_TITLES[name].lower() for name in self.results) or "nothing yet"
        lead = f"{molecule.smiles}: {done}. The reference is {self.reference}."
        with tempfile.TemporaryDirectory() as scratch:
            drawing = Path(scratch) / "molecule.png"
            drawing.write_bytes(numbered(molecule))
            first = Section("Molecule", picture=drawing, caption=f"{molecule.name} with the numbers of its atoms")
            sections = [first, *self._model_sections(), *self._published_sections()]
            for name, result in self.results.items():
                sections += _sections(name, result, folder / name)
            if self.left_out:
                reasons = [f"{_TITLES[name]}: {reason}" for name, reason in self.left_out.items()]
                sections.append(Section("Left out", items=reasons))
            used = [f"{package} {number}" for package, number in versions().items()]
            sections.append(Section("What was used", items=used))
            return write_report(folder / REPORT, f"Models of {molecule.name}", lead, sections)

    def _models(self) -> list[TextTable]:
        """Errors of the models on unseen frames."""
        errors = self.lineup.errors
        if not errors:
            return []
        rows = [
            (label, str(one.n_frames), cell(one.force_rmse), cell(one.energy_rmse)) for label, one in errors.items()
        ]
        return [TextTable(("model", "unseen frames", "force RMSE", "energy RMSE"), rows)]

    def _model_sections(self) -> list[Section]:
        items = [f"{model_label(name)}: {_kind(name, self.lineup)}" for name in self.lineup.models]
        (table,) = self._models() or [TextTable((), ())]
        text = "Errors on labelled frames that were not used for training here: kcal/mol/Å and kcal/mol." * bool(
            table.rows
        )
        return [Section("Models", text=text, items=items, columns=table.columns, rows=table.rows)]

    def _published_sections(self) -> list[Section]:
        found = self.published()
        if not found:
            return []
        labels = list(found[0].values)
        rows = [
            (f"{one.quantity} / {one.unit}", one.published, *(cell(one.values[label]) for label in labels))
            for one in found
        ]
        sources = [f"{one.quantity}: {one.source}" for one in found]
        return [Section("Beside published numbers", columns=("", "published", *labels), rows=rows, items=sources)]


def _sections(name: str, result: StudyResult, folder: Path) -> list[Section]:
    """The sections of a study: its first table with the pictures, then the other tables."""
    first, *others = result.tables()
    pictures = [(folder / f"{stem}.png", drawing.caption) for stem, drawing in result.drawings().items()]
    parts = [
        Section(
            f"{_TITLES[name]}: {table.columns[0]}" if others else _TITLES[name],
            text="\n\n".join([_TEXTS[name]] * (table is first) + [note for note in table.notes if note]),
            columns=table.columns,
            rows=table.rows,
        )
        for table in (first, *others)
    ]
    return [*parts, *(Section("", picture=path, caption=caption) for path, caption in pictures)]


def _kind(name: str, lineup: Lineup) -> str:
    if name == lineup.base:
        return "base force field"
    if name == lineup.reference:
        return "reference: " + ("sGDML model of the labelled frames" if name.endswith(".npz") else "reference engine")
    if Path(name).parts[-2:] == (MODELS, "cross.npz"):
        return "base force field with cross terms, fitted to the labelled frames"
    if lineup.refined is not None and Path(name) == lineup.refined.path:
        return f"force field that `refine` made of the base force field. {lineup.refined.verdict}"
    return "given"
