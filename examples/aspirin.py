"""Aspirin, end to end: GAFF from a SMILES string, corrected towards GFN2-xTB, sampled in OpenMM.

    make run                        # or: python examples/aspirin.py

A classical force field has a separate function for each bond, angle and dihedral. It has no terms for the coupling
between them, nor for the interaction of aspirin's ester with its acid group. The paper that this package follows
(Sauceda et al., J. Chem. Phys. 153, 124109) learns the difference between ab initio and GAFF forces with an sGDML
kernel model, and adds it to GAFF as one more force. This script does every step, with the fast semi-empirical method
GFN2-xTB as the reference.

All files are written to runs/aspirin/. Started again, the script keeps finished files and resumes an interrupted run.
OPENMM_HYBRID_QUICK=1 runs a small version in runs/aspirin-quick/.
"""

from __future__ import annotations

import copy
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import openmm
import torch

import openmm_hybrid as oh
from openmm_hybrid import analysis, figures
from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.files import replacing
from openmm_hybrid.core.html_report import Section, write_report
from openmm_hybrid.core.result_document import document, write_json
from openmm_hybrid.core.same_job import note_job

SMILES = "CC(=O)Oc1ccccc1C(=O)O"
TEMPERATURE = 500.0  # K
LEVEL = "GFN2-xTB"


@dataclass(frozen=True)
class Size:
    """Numbers of frames, and lengths of trajectories in ps for each start."""

    starts: int = 4
    gaff_ps: float = 50.0
    from_gaff: int = 150
    unseen: int = 100
    rounds: int = 3
    round_ps: float = 4.0
    from_round: int = 50
    hybrid_ps: float = 30.0
    relabelled: int = 1200
    nve_ps: float = 100.0


FULL = Size()
QUICK = Size(
    2, 5.0, from_gaff=40, unseen=20, rounds=1, round_ps=0.5, from_round=10, hybrid_ps=1, relabelled=20, nve_ps=1
)


def main() -> None:
    """Run all seven steps."""
    began = time.monotonic()
    size = QUICK if os.environ.get("OPENMM_HYBRID_QUICK") else FULL
    folder = Path("runs/aspirin-quick" if size is QUICK else "runs/aspirin")
    note_job(folder / "settings.json", asdict(size), what="run", hint=f"remove the folder {folder}")
    # The matrices of one small molecule are too small to be shared between threads.
    torch.set_num_threads(1)

    heading("1/7 GAFF from SMILES, with RESP charges")
    molecule = oh.Molecule.from_smiles(SMILES, name="aspirin", n_conformers=size.starts)
    gaff = oh.gaff.build(molecule, version="1.81", charges=resp_charges(molecule, folder / "charges.npy"))
    forcefield = gaff.model()

    heading(f"2/7 sampling GAFF at {TEMPERATURE:g} K")
    gaff_run = oh.sample(
        gaff.system,
        gaff.topology,
        molecule.conformers,
        temperature=TEMPERATURE,
        duration=size.gaff_ps,
        output=folder / "gaff",
    )

    heading(f"3/7 labelling frames of GAFF with {LEVEL}")
    engine = oh.reference.engine("gfn2")
    frames = gaff_run.positions
    chosen = frames[np.random.default_rng(0).permutation(len(frames))[: size.from_gaff + size.unseen]]
    labelled = oh.reference.label(engine, molecule, chosen, output=folder / "gaff_frames.npz").frames
    training, unseen = labelled[: size.from_gaff], labelled[size.from_gaff :]

    heading(f"4/7 training the correction: sGDML of {LEVEL} minus GAFF")
    # The hybrid visits geometries that GAFF does not: a few rounds label frames of its own runs as well.
    for number in range(size.rounds):
        trial = trained(forcefield, training, molecule, folder / f"round_{number}" / "model.npz")
        met = explore(gaff, trial, gaff_run, size.round_ps, folder / f"round_{number}")
        chosen = met[np.random.default_rng(number).permutation(len(met))[: size.from_round]]
        path = folder / f"round_{number}" / "frames.npz"
        training = oh.Frames.concatenate([training, oh.reference.label(engine, molecule, chosen, output=path).frames])
    correction = trained(forcefield, training, molecule, folder / "model.npz")
    hybrid = oh.Sum((forcefield, correction))
    oh.export_torchscript(correction, folder / "correction.pt", name="aspirin correction")

    heading(f"5/7 sampling GAFF + correction at {TEMPERATURE:g} K")
    system = hybrid_system(gaff, correction)
    with replacing(folder / "system.xml") as temporary:
        temporary.write_text(openmm.XmlSerializer.serialize(system))
    # Start from the last frames of GAFF: minimised geometries would be outside the 500 K training set.
    thermal = np.array([start.positions[-1] for start in gaff_run.starts])
    hybrid_run = oh.sample(
        system,
        gaff.topology,
        thermal,
        temperature=TEMPERATURE,
        duration=size.hybrid_ps,
        minimize=False,
        output=folder / "hybrid",
    )

    heading("6/7 checking: energy conservation, parity, labels of the hybrid's frames")
    nve_run = oh.sample(
        system,
        gaff.topology,
        thermal[0],
        temperature=TEMPERATURE,
        duration=size.nve_ps,
        timestep=0.25,
        minimize=False,
        ensemble="nve",
        output=folder / "nve",
    )
    every = max(1, len(hybrid_run.positions) // size.relabelled)
    relabelled = oh.reference.label(
        engine, molecule, hybrid_run.positions[::every], output=folder / "hybrid_frames.npz"
    ).frames

    heading("7/7 comparing")
    errors = {
        f"{model_name}, {where}": analysis.error_table(reference, model.predict(reference.positions))
        for where, reference in (("unseen frames of GAFF", unseen), ("frames of the hybrid", relabelled))
        for model_name, model in (("GAFF", forcefield), ("hybrid", hybrid))
    }
    attached = oh.gaff.SystemModel(system, gaff.topology)
    parity = [
        np.abs(a - b).max() for a, b in zip(attached.predict(frames[:50]), hybrid.predict(frames[:50]), strict=True)
    ]
    drift = analysis.energy_drift(nve_run.log["time"], nve_run.log["total"], molecule.n_atoms)
    # The ensemble of the reference: frames of the hybrid, weighted by the ratio of their Boltzmann factors.
    weights = analysis.boltzmann_weights(hybrid.predict(relabelled.positions)[0], relabelled.labels()[0], TEMPERATURE)
    twists = {
        "GAFF": dihedrals(molecule, gaff_run.positions),
        "hybrid": dihedrals(molecule, hybrid_run.positions),
        LEVEL: dihedrals(molecule, relabelled.positions),
    }
    densities = {name: density(values, weights.values if name == LEVEL else None) for name, values in twists.items()}
    divergence = {name: analysis.jensen_shannon(densities[name], densities[LEVEL]) for name in ("GAFF", "hybrid")}
    shares = {name: populations(values, weights.values if name == LEVEL else None) for name, values in twists.items()}

    notes = {name: f"{value:.3f} bit from {LEVEL}" for name, value in divergence.items()}
    notes[LEVEL] = f"by reweighting, {weights.effective_samples:.0f} effective frames"
    picture = figures.density_figure(densities, ("ester twist C–C–O–C", "acid C–C–C=O"), notes=notes)
    figures.save_figure(picture, folder / "densities.png")
    scatter = figures.force_error_figure(
        unseen.labels()[1],
        {name: model.predict(unseen.positions)[1] for name, model in (("GAFF", forcefield), ("hybrid", hybrid))},
        {name: errors[f"{name}, unseen frames of GAFF"] for name in ("GAFF", "hybrid")},
    )
    figures.save_figure(scatter, folder / "forces.png")
    gaff_error, hybrid_error = (errors[f"{name}, unseen frames of GAFF"] for name in ("GAFF", "hybrid"))
    numbers = {
        "force_rmse_gaff": (gaff_error.force_rmse, "kcal/mol/Å"),
        "force_rmse_hybrid": (hybrid_error.force_rmse, "kcal/mol/Å"),
        "force_rmse_ratio": (hybrid_error.force_rmse / gaff_error.force_rmse, "1"),
        "energy_rmse_gaff": (gaff_error.energy_rmse, "kcal/mol"),
        "energy_rmse_hybrid": (hybrid_error.energy_rmse, "kcal/mol"),
        "parity_energy": (float(parity[0]), "kcal/mol"),
        "parity_force": (float(parity[1]), "kcal/mol/Å"),
        "nve_drift": (abs(drift.value), "kcal/mol/ps/atom"),
        "nve_drift_error": (drift.error, "kcal/mol/ps/atom"),
        "divergence_gaff": (divergence["GAFF"], "bit"),
        "divergence_hybrid": (divergence["hybrid"], "bit"),
        "effective_frames": (weights.effective_samples, "frames"),
        "speed_gaff": (gaff_run.speed, "ns/day"),
        "speed_hybrid": (hybrid_run.speed, "ns/day"),
    }
    details = {
        "settings": asdict(size),
        "errors": {name: table.as_dict() for name, table in errors.items()},
        "populations": {
            name: {basin: asdict(share) for basin, share in table.items()} for name, table in shares.items()
        },
    }
    write_json(folder / "result.json", document("aspirin", numbers, **details))
    report(folder, numbers, errors, shares)
    print(f"\n{folder}/report.html is ready after {time.monotonic() - began:.0f} s")


def heading(text: str) -> None:
    """Print the name of the next step."""
    print(f"\n{text}", flush=True)


def resp_charges(molecule: oh.Molecule, path: Path) -> np.ndarray:
    """RESP charges (n_atoms,) of two conformers, computed once and stored in `path`."""
    if not path.exists():
        charges = oh.gaff.assign_charges(molecule.with_conformers(molecule.conformers[:2]), "resp")
        with replacing(path) as temporary:
            np.save(temporary, charges)
    return np.load(path)


def trained(forcefield: oh.EnergyModel, training: oh.Frames, molecule: oh.Molecule, path: Path) -> oh.EnergyModel:
    """The correction in `path`; it is trained first if the file does not exist."""
    if not path.exists():
        print(f"training on {len(training)} frames", flush=True)
        torch.set_num_threads(os.cpu_count() or 1)
        oh.correction.train(forcefield, training, molecule=molecule).model.save(path)
        torch.set_num_threads(1)
    return oh.sgdml.load(path)


def hybrid_system(gaff: oh.gaff.BuiltSystem, correction: oh.EnergyModel) -> openmm.System:
    """A copy of GAFF's System with the correction as one more force, ready for any OpenMM script."""
    system = copy.deepcopy(gaff.system)
    oh.attach(system, gaff.topology, correction)
    return system


def explore(
    gaff: oh.gaff.BuiltSystem, correction: oh.EnergyModel, gaff_run: oh.SampleResult, duration: float, folder: Path
) -> np.ndarray:
    """Frames (n, n_atoms, 3) of short runs of a hybrid; a run that blows up contributes the frames before."""
    system = hybrid_system(gaff, correction)
    frames = []
    for number, start in enumerate(gaff_run.starts):
        output = folder / f"start_{number}"
        try:
            oh.sample(
                system,
                gaff.topology,
                start.positions[-1],
                temperature=TEMPERATURE,
                duration=duration,
                interval=100,
                equilibration=0,
                minimize=False,
                output=output,
            )
        except NumericalError as error:
            print(f"a run blew up; the next round trains on its frames: {error}", flush=True)
        frames.append(oh.SampleResult.open(output).positions)
    return np.concatenate(frames)


def dihedrals(molecule: oh.Molecule, positions: np.ndarray) -> np.ndarray:
    """Ester twist (ring C, ring C, O, C) and acid dihedral (ring C, ring C, C, =O), (n_frames, 2), rad."""
    ring_acid, acid_c, acid_o, _, ring_ester, ester_o, ester_c = molecule.find("c(C(=O)[OH])c-O-C")[0]
    return geometry.dihedral(
        positions, [[ring_acid, ring_ester, ester_o, ester_c], [ring_ester, ring_acid, acid_c, acid_o]]
    )


def density(twists: np.ndarray, weights: np.ndarray | None) -> analysis.Density:
    """Joint density of both dihedrals; each frame counts with its mirror image, because the molecule is achiral."""
    both = np.concatenate([twists, -twists])
    return analysis.dihedral_density(both, bandwidth=0.17, weights=None if weights is None else np.tile(weights, 2))


def populations(twists: np.ndarray, weights: np.ndarray | None) -> dict[str, analysis.Estimate]:
    """Populations of the basins of both dihedrals, with block errors."""
    bounds = np.radians([0.0, 60.0, 120.0, 180.0])
    ester = {f"ester twist {low} to {low + 60}°": (bounds[k], bounds[k + 1]) for k, low in enumerate((0, 60, 120))}
    acid = {"acid C=O towards the ester": (0.0, np.pi / 2), "acid C=O away from it": (np.pi / 2, np.pi)}
    found = {}
    # The molecule is achiral, so that the sign of a twist does not matter.
    for column, basins in enumerate((ester, acid)):
        labels = analysis.label_basins(np.abs(twists[:, column]), basins)
        found |= analysis.populations(labels, weights, names=tuple(basins))
    return found


def report(
    folder: Path,
    numbers: dict[str, tuple[float, str]],
    errors: dict[str, analysis.ErrorTable],
    shares: dict[str, dict[str, analysis.Estimate]],
) -> None:
    """Write the report of the run as an HTML page."""
    error_rows = [
        (name, *(f"{value:.2f}" for value in (t.force_rmse, t.force_mae, t.energy_rmse, t.energy_mae)), str(t.n_frames))
        for name, t in errors.items()
    ]
    share_rows = [
        (basin, *(f"{table[basin].value:.3f} ± {table[basin].error:.3f}" for table in shares.values()))
        for basin in shares["GAFF"]
    ]
    sections = [
        Section(
            f"Densities of the dihedrals at {TEMPERATURE:g} K",
            f"The density of {LEVEL} comes from frames of the hybrid, weighted by exp(−(E_reference − E_hybrid)/kT). "
            "It shows errors of the correction in regions that the hybrid visits, but no other regions. Both densities "
            "share the noise of the hybrid, so that they look more alike than those of independent runs.",
            picture=folder / "densities.png",
            caption="Densities of the ester twist and the acid dihedral in the three ensembles.",
        ),
        Section("Populations, with block errors", columns=("basin", *shares), rows=share_rows),
        Section(
            f"Errors against {LEVEL}",
            "Errors on frames outside the training set, in kcal/mol and kcal/mol/Å. Energy errors are computed after "
            "subtracting the mean difference.",
            ("", "force RMSE", "force MAE", "energy RMSE", "energy MAE", "frames"),
            error_rows,
            folder / "forces.png",
            "Force components against the reference, on unseen frames.",
        ),
        Section(
            "All figures",
            columns=("figure", "value", "unit"),
            rows=[(name, f"{value:.4g}", unit) for name, (value, unit) in numbers.items()],
        ),
    ]
    lead = f"GAFF 1.81 with RESP charges, corrected by sGDML towards {LEVEL}, sampled by OpenMM at {TEMPERATURE:g} K."
    write_report(folder / "report.html", "Aspirin: GAFF and its correction", lead, sections)


if __name__ == "__main__":
    main()
