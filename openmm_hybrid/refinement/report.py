"""The report of a refinement: one page with the errors of each round and the force field's use."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from openmm_hybrid.analysis.error_table import error_table
from openmm_hybrid.core.html_report import Section, write_report
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.figures.error_plots import force_error_figure
from openmm_hybrid.figures.style import save_figure
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.refinement.refined import REPORT, Refined
from openmm_hybrid.refinement.settings import RefineSettings

_SHOWN = 200  # frames in the picture of the forces
_USE = """import openmm_hybrid as oh
forcefield = oh.load("forcefield.npz")
# The molecule alone, ready for OpenMM:
system, topology, positions = oh.load_system("system")
# Or in a System of your own, in water too; atoms are those of the molecule:
oh.replace(your_system, your_topology, forcefield, atoms=range(forcefield.n_atoms))"""


def write(result: Refined, molecule: Molecule, base: ForceField, settings: RefineSettings, labels: Frames) -> Path:
    """Write report.html into the folder of the result."""
    with tempfile.TemporaryDirectory() as scratch:
        drawing, forces = Path(scratch) / "molecule.png", Path(scratch) / "forces.png"
        drawing.write_bytes(_drawn(molecule))
        chosen = np.random.default_rng(0).permutation(len(labels))[:_SHOWN]
        few = labels[np.sort(chosen)]
        models = {settings.base: base, "refined": result.forcefield}
        predicted = {name: model.predict(few.positions) for name, model in models.items()}
        tables = {name: error_table(few, found) for name, found in predicted.items()}
        figure = force_error_figure(few.labels()[1], {name: part[1] for name, part in predicted.items()}, tables)
        save_figure(figure, forces)
        sections = (
            Section("Molecule", picture=drawing, caption=f"{molecule.name} with the numbers of its atoms"),
            Section(
                "Errors by round",
                text="Force and energy RMSE in kcal/mol/Å and kcal/mol against the labels. The own dynamics are those "
                "of the force field of the round; their frames are random and were not in its fit.",
                columns=("round", "labels", "force, unseen", "force, own", "worst frame", "energy, own", "force, base"),
                rows=[
                    (
                        str(number), str(entry.n_labels), f"{entry.unseen_force:.2f}", f"{entry.own_force:.2f}",
                        f"{entry.own_worst:.1f}", f"{entry.own_energy:.2f}", f"{entry.base_force:.1f}",
                    )
                    for number, entry in enumerate(result.rounds, 1)
                ],
            ),
            Section("Notes", text="\n\n".join(result.rounds[-1].notes) or "All checks of the last fit passed."),
            Section("Forces", picture=forces, caption="Predicted against reference force components"),
            Section("Use", text="In the folder of this report:", code=_USE),
            Section(
                "What was used",
                text=f"Base {settings.base} with {settings.charges} charges, {len(labels)} labels of {labels.theory}, "
                f"dynamics at {settings.temperature:g} K from {settings.n_conformers} conformers. result.json has the "
                "versions of all programs.",
            ),
        )  # fmt: skip
        return write_report(result.path / REPORT, f"Force field for {molecule.name}", result.verdict, sections)


def _drawn(molecule: Molecule) -> bytes:
    """A PNG of the structure with the numbers of its atoms."""
    flat = molecule.to_rdkit()
    flat.RemoveAllConformers()
    rdDepictor.Compute2DCoords(flat)
    canvas = rdMolDraw2D.MolDraw2DCairo(700, 420)
    options: Any = canvas.drawOptions()
    options.addAtomIndices = True
    rdMolDraw2D.PrepareAndDrawMolecule(canvas, flat, kekulize=True)
    canvas.FinishDrawing()
    return bytes(canvas.GetDrawingText())
