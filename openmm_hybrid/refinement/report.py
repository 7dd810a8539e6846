"""The report of a refinement: one page with errors, checks, and the force field's use."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.error_table import error_table
from openmm_hybrid.core.html_report import Section, write_report
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.figures.error_plots import force_error_figure
from openmm_hybrid.figures.frequencies import frequency_figure
from openmm_hybrid.figures.style import save_figure
from openmm_hybrid.figures.torsion_profile import torsion_profile_figure
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.refinement.check_results import WINDOW, RotorProfile
from openmm_hybrid.refinement.citations import citations
from openmm_hybrid.refinement.drawing import coloured, numbered
from openmm_hybrid.refinement.refined import REPORT, RESIDUES, SOLVATED, SYSTEM, Refined
from openmm_hybrid.refinement.settings import RefineSettings

_SHOWN = 200  # frames in the picture of the forces
_NAMED = 3  # atoms with the largest errors that the caption names
_USE = """import openmm_hybrid as oh
from openmm import app

result = oh.load(".")  # result.forcefield, result.labels, result.rounds and result.checks
system, topology, positions = oh.load_system("{stored}")  # {contents}, ready for OpenMM
# In your own topology, also with protein and water:
forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
oh.register(forcefield, result.forcefield)
system = forcefield.createSystem(topology)
# {base} alone, without the fitted terms:
base = app.ForceField("{residues}", "amber14/tip3p.xml").createSystem(topology)"""
_USE_CORRECTION = """
# With the correction, which is evaluated every 2 fs:
oh.sample(system, topology, positions, output="run", duration=100, temperature=300,
          models=[result.correction], timestep=0.5, outer_timestep=2.0)"""


def write(result: Refined, molecule: Molecule, base: ForceField, settings: RefineSettings, labels: Frames) -> Path:
    """Write report.html into the folder of the result."""
    with tempfile.TemporaryDirectory() as scratch:
        report = _Report(result, molecule, base, settings, labels, Path(scratch))
        return write_report(result.path / REPORT, f"Force field for {molecule.name}", result.verdict, report.sections())


@final
@dataclass(frozen=True, eq=False)
class _Report:
    """The sections of a report; their pictures are files in a folder."""

    result: Refined
    molecule: Molecule
    base: ForceField
    settings: RefineSettings
    labels: Frames
    pictures: Path

    def sections(self) -> list[Section]:
        drawing = self._picture("molecule", numbered(self.molecule))
        parts = [
            Section("Molecule", picture=drawing, caption=f"{self.molecule.name} with the numbers of its atoms"),
            self._rounds(),
            *self._profiles(),
            *self._minima(),
            *self._frequencies(),
            *self._hot_run(),
            self._forces(),
            self._atoms(),
            *self._correction(),
            Section("Notes", text="\n\n".join(self._notes) or "All checks of the fit passed."),
            self._use(),
            self._used(),
        ]
        return parts

    @cached_property
    def few(self) -> Frames:
        """Labelled frames for the errors of the forces."""
        chosen = np.random.default_rng(0).permutation(len(self.labels))[:_SHOWN]
        return self.labels[np.sort(chosen)]

    @cached_property
    def predicted(self) -> Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Name of the force field → its energies and forces of these frames."""
        models = {self.settings.base: self.base, "refined": self.result.forcefield}
        return {name: model.predict(self.few.positions) for name, model in models.items()}

    @property
    def _notes(self) -> list[str]:
        """Notes on the fit of the result, and the failed checks that led to another round."""
        result = self.result
        failures = {number: entry.failures for number, entry in enumerate(result.rounds, 1) if number != result.chosen}
        earlier = [f"Round {number}: {failure}." for number, found in failures.items() for failure in found]
        return [*result.rounds[result.chosen - 1].notes, *earlier]

    def _picture(self, name: str, content: bytes) -> Path:
        path = self.pictures / f"{name}.png"
        path.write_bytes(content)
        return path

    def _rounds(self) -> Section:
        return Section(
            "Errors by round",
            text="Force and energy RMSE in kcal/mol/Å and kcal/mol against the labels. The own dynamics are those "
            "of the force field of the round; their frames are random and were not in its fit.",
            columns=("round", "labels", "force, unseen", "force, own", "worst frame", "energy, own", "force, base"),
            rows=[
                (
                    str(number), str(entry.n_labels), f"{entry.unseen_force:.2f}", f"{entry.own_force:.2f}",
                    f"{entry.own_worst:.1f}", f"{entry.own_energy:.2f}", f"{entry.base_force:.1f}",
                )
                for number, entry in enumerate(self.result.rounds, 1)
            ],
        )  # fmt: skip

    def _profiles(self) -> list[Section]:
        checks, name = self.result.checks, self.settings.base
        if not checks.profiles:
            return []
        text = (
            "Each bond was turned in steps with the refined force field, which relaxed everything else. The reference "
            f"energies belong to these geometries; {name} relaxed them at the same angle. Deviations in kcal/mol are "
            f"from the reference without the mean, over angles up to {WINDOW:g} kcal/mol above the lowest one."
        )
        if checks.left_out:
            text += f"\n\nThese rotors have no profile: {', '.join(checks.left_out)}."
        return [
            Section(
                "Torsion profiles",
                text=text,
                columns=("bond", "RMS", "largest", f"RMS, {name}", f"largest, {name}"),
                rows=[
                    (
                        entry.name, f"{entry.rms:.2f}", f"{entry.largest:.2f}", f"{entry.base_rms:.2f}",
                        f"{entry.base_largest:.2f}",
                    )
                    for entry in checks.profiles
                ],
                gallery=[(self._profile(entry), f"Rotation about {entry.name}") for entry in checks.profiles],
            )
        ]  # fmt: skip

    def _profile(self, entry: RotorProfile) -> Path:
        label = "–".join(f"{self.molecule.elements[atom]}{atom}" for atom in entry.atoms)
        figure = torsion_profile_figure(
            entry.angles, entry.reference, {"refined": entry.refined, self.settings.base: entry.base}, label=label
        )
        return save_figure(figure, self.pictures / f"rotor-{entry.name}.png", dpi=200)

    def _minima(self) -> list[Section]:
        found, name = self.result.checks.minima, self.settings.base
        if not found:
            return []
        count = len(found.reference)
        noun = "minimum" if count == 1 else "minima"
        text = f"Conformers relaxed with the refined force field lead to {count} distinct {noun}. "
        if count > 1:
            text += (
                "The energies of these geometries, in kcal/mol, are shifted to the same mean. Pairs in another order "
                f"than the reference: {found.n_swapped}. RMS deviation of the relative energies: {found.rms:.2f} "
                f"kcal/mol, {found.base_rms:.2f} with {name}. "
            )
        text += (
            f"The RMS force of the reference is {found.force:.2f} kcal/mol/Å. It would be zero if the reference had "
            "its minima at the same geometries."
        )
        numbers = zip(found.reference, found.refined, found.base, found.forces, strict=True)
        rows = [(str(number), *map(_signed, values)) for number, values in enumerate(numbers, 1)]
        return [Section("Minima", text, ("minimum", "reference", "refined", name, "force"), rows)]

    def _frequencies(self) -> list[Section]:
        found, name = self.result.checks.frequencies, self.settings.base
        if not found:
            return []
        text = (
            f"{len(found.reference)} harmonic frequencies at the lowest minimum, from second derivatives. RMS "
            f"deviation from the reference: {found.rms:.0f} cm⁻¹, {found.base_rms:.0f} with {name} at its own minimum. "
            f"The largest: {found.largest:.0f} cm⁻¹. Imaginary frequencies are negative."
        )
        picture = frequency_figure(found.reference, {"refined": found.refined, name: found.base})
        return [
            Section(
                "Harmonic frequencies",
                text=text,
                picture=save_figure(picture, self.pictures / "frequencies.png"),
                caption="Deviation of each frequency from that of the reference",
            )
        ]

    def _hot_run(self) -> list[Section]:
        run = self.result.checks.hot_run
        if not run:
            return []
        text = (
            f"{run.picoseconds:g} ps at {run.temperature:g} K: {run.n_broken} of {run.n_frames} frames have a broken "
            f"bond. {run.failure}"
        )
        return [Section("Run at high temperature", text=text)]

    def _forces(self) -> Section:
        forces = {name: found[1] for name, found in self.predicted.items()}
        tables = {name: error_table(self.few, found) for name, found in self.predicted.items()}
        figure = force_error_figure(self.few.labels()[1], forces, tables)
        picture = save_figure(figure, self.pictures / "forces.png")
        return Section("Forces", picture=picture, caption="Predicted against reference force components")

    def _atoms(self) -> Section:
        errors = self.predicted["refined"][1] - self.few.labels()[1]
        sizes = np.sqrt(np.mean(errors**2, axis=(0, 2)))
        worst: Sequence[int] = np.argsort(-sizes)[:_NAMED].tolist()
        named = ", ".join(f"{self.molecule.elements[atom]}{atom} {sizes[atom]:.2f}" for atom in worst)
        return Section(
            "Force error of each atom",
            picture=self._picture("atoms", coloured(self.molecule, sizes)),
            caption=f"RMS error of the refined force field, from 0 (white) to {sizes.max():.2f} kcal/mol/Å (orange). "
            f"The largest: {named}",
        )

    def _use(self) -> Section:
        in_water = self.settings.solvate is not None
        code = _USE.format(
            stored=SOLVATED if in_water else SYSTEM,
            contents="the molecule in water" if in_water else "the molecule alone",
            base=self.settings.base,
            residues=RESIDUES,
        )
        corrected = self.result.correction_errors is not None
        return Section("Use", text="In the folder of this report:", code=code + _USE_CORRECTION * corrected)

    def _correction(self) -> list[Section]:
        errors = self.result.correction_errors
        if not errors:
            return []
        return [
            Section(
                "Correction",
                text=f"correction.npz is an sGDML model of the forces that the refined force field leaves, trained on "
                f"{errors.n_train} of the labels. It acts on all atoms and fades far from its training frames. Force "
                "RMSE in kcal/mol/Å, on labelled frames that neither the fit nor this training saw. The gate weakens "
                f"the correction in {errors.faded:.0%} of the frames of the dynamics. The files of system/ do not "
                "contain it.",
                columns=("frames", "number", "refined", "with the correction"),
                rows=[
                    (
                        "dynamics of the refined force field", str(errors.n_sampled), f"{errors.sampled:.2f}",
                        f"{errors.corrected_sampled:.2f}",
                    ),
                    (
                        "unseen training frames", str(errors.n_unseen), f"{errors.unseen:.2f}",
                        f"{errors.corrected_unseen:.2f}",
                    ),
                ],
            )
        ]  # fmt: skip

    def _used(self) -> Section:
        settings = self.settings
        return Section(
            "What was used",
            text=f"Base {settings.base} with {settings.charges} charges, {len(self.labels)} labels of "
            f"{self.labels.theory}, dynamics at {settings.temperature:g} K from {settings.n_conformers} conformers. "
            "result.json has the versions of all programs.\n\nPlease cite:",
            items=citations(settings.base, settings.charges, self.labels.theory),
        )


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")
