"""Base force fields before any fit: forces against GFN2-xTB and stability, for 24 molecules.

python -m benchmarks.bases [--keep PARTS.json] [--only "phenyl phosphate,but-1-yne"]

For each molecule GFN2-xTB relaxes RDKit's conformer and runs Langevin dynamics at 300 K and at 500 K. Its frames,
20 at each temperature and 50 fs apart, are the same for all base force fields. All of them also get the same charges
(NAGL, or AM1-BCC outside NAGL's domain), so that only their bonded and Lennard-Jones terms differ. For each base:

- errors of forces and energies on the frames (energies after the mean difference is removed), and the correlation of
  force components;
- the energy minima from RDKit's conformer and from GFN2-xTB's minimum, and the RMSD of the second from its start after
  superposition;
- 20 ps of Langevin dynamics at 300 K and at 500 K from GFN2-xTB's minimum, with 1 fs and flexible bonds.

A geometry is intact if its coordinates are finite, no two atoms are closer than 0.6 Å, and no bond is longer than 1.4
times its length in GFN2-xTB's minimum. A base is stable for a molecule if both minima and every frame of its dynamics
(one per 0.1 ps) are intact. Everything runs on one thread, and OpenMM on its Reference platform.
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, final

import numpy as np
import openmm
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

import openmm_hybrid as oh
from benchmarks.forcefield_stability import stretch
from benchmarks.parts import Part, measured, part_options
from benchmarks.worker import use_settings
from openmm_hybrid.analysis.error_table import error_table
from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import HybridError, InputError, NumericalError
from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.core.units import NM_PER_ANGSTROM
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.langevin import Langevin
from openmm_hybrid.models.minima import relax
from openmm_hybrid.reference.reference_engine import ReferenceEngine
from openmm_hybrid.sampling.minimize import minimize

BASES = ("gaff-1.81", "gaff-2.11", "gaff-2.2.20", "openff-2.2.1", "openff-2.3.0")
MOLECULES = {
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "ibuprofen anion": "CC(C)Cc1ccc(cc1)C(C)C(=O)[O-]",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "nicotine cation": "C[NH+]1CCCC1c1cccnc1",
    "diazepam": "CN1C(=O)CN=C(c2ccccc2)c2cc(Cl)ccc12",
    "sulfamethoxazole": "Cc1cc(NS(=O)(=O)c2ccc(N)cc2)no1",
    "metronidazole": "Cc1ncc(n1CCO)[N+](=O)[O-]",
    "azobenzene": "c1ccccc1/N=N/c1ccccc1",
    "alanine dipeptide": "CC(=O)NC(C)C(=O)NC",
    "dimethyl sulfoxide": "CS(C)=O",
    "halothane": "FC(F)(F)C(Cl)Br",
    "iodophenol": "Oc1ccc(I)cc1",
    "fluorouracil": "O=c1[nH]cc(F)c(=O)[nH]1",
    "isosorbide dinitrate": "C1C(C2C(O1)C(CO2)O[N+](=O)[O-])O[N+](=O)[O-]",
    "methylguanidinium": "CNC(N)=[NH2+]",
    "pyridine N-oxide": "[O-][n+]1ccccc1",
    "propionitrile": "CCC#N",
    "but-1-yne": "CCC#C",
    "propane-1-thiol": "CCCS",
    "diethylamine": "CCNCC",
    "methanesulfonate": "CS(=O)(=O)[O-]",
    "phenyl phosphate": "OP(=O)([O-])Oc1ccccc1",
    "methylphosphonic acid": "CP(=O)(O)O",
    "benzenesulfonic acid": "OS(=O)(=O)c1ccccc1",
}
"""Name → SMILES. None is a molecule of the paper (ethanol, malonaldehyde, aspirin)."""

TEMPERATURES = (300.0, 500.0)
FRAMES = 20
"""Frames of GFN2-xTB's dynamics at each temperature."""
_TIMESTEP = 1.0  # fs, of all dynamics
_BETWEEN = 50  # steps between two frames of GFN2-xTB
_EQUILIBRATION = 200  # steps of GFN2-xTB before its first frame
_PICOSECONDS = 20  # of each run with a base force field
_CLOSE = 0.6  # Å; atoms closer than this have fused
_BROKEN = 1.4  # length of a broken bond, relative to that in GFN2-xTB's minimum
_MAX_ITERATIONS = 10_000  # of a minimisation

Floats = NDArray[np.float64]


@final
class Labels(EnergyModel):
    """Energies and forces of a molecule by a reference engine."""

    kind = ""

    def __init__(self, engine: ReferenceEngine, molecule: oh.Molecule) -> None:
        self.engine = engine
        self.molecule = molecule

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """Atomic numbers (n_atoms,)."""
        return self.molecule.atomic_numbers

    def evaluate(self, positions: Floats) -> tuple[Floats, Floats]:
        """Energies and forces, one frame after another."""
        rows = [self.engine.evaluate(self.atomic_numbers, frame) for frame in positions]
        return np.array([energy for energy, _ in rows]), np.array([forces for _, forces in rows])


def molecule_part(name: str, smiles: str) -> Part:
    """Everything of one molecule."""
    molecule = oh.Molecule.from_smiles(smiles, name=name)
    model = Labels(oh.reference.engine("gfn2", charge=molecule.charge), molecule)
    start, _ = relax(model, molecule.positions, max_force=0.05)
    frames = sampled(model, start)
    energies, forces = model.predict(frames)
    method, charges = charges_of(molecule)
    part: Part = {
        "smiles": smiles,
        "atoms": molecule.n_atoms,
        "net_charge": molecule.charge,
        "charges": method,
        "reference_intact": intact(frames, molecule.bonds, start),
        "reference_force_rms": float(np.sqrt((forces**2).mean())),
        "bases": {},
    }
    for base in BASES:
        try:
            built = oh.build(molecule, base=base, charges=charges, progress=False)
        except HybridError as error:
            part["bases"][base] = {"refused": str(error)}
            continue
        predicted = built.model().predict(frames)
        part["bases"][base] = (
            errors((energies, forces), predicted)
            | {"minima": minima(built.system, molecule, start)}
            | {"dynamics": [dynamics(built.system, molecule.bonds, start, kelvin) for kelvin in TEMPERATURES]}
        )
    return part


def sampled(model: Labels, start: Floats) -> Floats:
    """Frames (2 * FRAMES, n_atoms, 3) of the reference's dynamics, FRAMES at each of the temperatures."""
    found = []
    for seed, temperature in enumerate(TEMPERATURES):
        rng = np.random.default_rng(seed)
        langevin = Langevin(model.atomic_numbers, temperature, _TIMESTEP, 0.01, rng)
        r = start[None]
        v, f = langevin.velocities(r.shape), model.predict(r)[1]
        for step in range(1, _EQUILIBRATION + FRAMES * _BETWEEN + 1):
            r, v, f = langevin.step(lambda moved: model.predict(moved)[1], r, v, f)
            if step > _EQUILIBRATION and step % _BETWEEN == 0:
                found.append(r[0])
    return np.array(found)


def charges_of(molecule: oh.Molecule) -> tuple[str, Floats]:
    """NAGL charges, or AM1-BCC charges outside its domain, with the name of the method."""
    from openmm_hybrid.charges.assign import assign_charges

    try:
        return "nagl", assign_charges(molecule, "nagl", progress=False)
    except InputError:
        return "am1-bcc", assign_charges(molecule, "am1-bcc", progress=False)


def errors(reference: tuple[Floats, Floats], predicted: tuple[Floats, Floats]) -> Part:
    """Errors on all frames, and of the forces at each temperature."""
    table = error_table(reference, predicted)
    halves = [
        float(np.sqrt(((ours - theirs) ** 2).mean()))
        for ours, theirs in zip(np.split(predicted[1], 2), np.split(reference[1], 2), strict=True)
    ]
    return {
        "force_rmse": table.force_rmse,
        "force_rmse_by_temperature": halves,
        "force_correlation": float(np.corrcoef(reference[1].ravel(), predicted[1].ravel())[0, 1]),
        "energy_rmse": table.energy_rmse,
    }


def minima(system: openmm.System, molecule: oh.Molecule, reference: Floats) -> Part:
    """The minima from RDKit's conformer and from GFN2-xTB's minimum (n_atoms, 3)."""
    found: Part = {}
    for name, start in (("from_conformer", molecule.positions), ("from_reference", reference)):
        try:
            positions, energy = minimize(system, start, max_iterations=_MAX_ITERATIONS)
        except NumericalError as error:
            found[name] = {"intact": False, "error": str(error)}
            continue
        state = intact(positions[None], molecule.bonds, reference)
        found[name] = {"intact": state, "energy": energy, "rmsd": rmsd(positions, reference)}
    return found


def dynamics(system: openmm.System, bonds: NDArray[np.int64], start: Floats, temperature: float) -> Part:
    """Whether all frames of a run are intact; it stops at the first that is not."""
    integrator = openmm.LangevinMiddleIntegrator(temperature, 1.0, _TIMESTEP * 1e-3)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(start * NM_PER_ANGSTROM)
    context.setVelocitiesToTemperature(temperature, 1)
    for frame in range(1, 10 * _PICOSECONDS + 1):
        try:
            integrator.step(100)
            state = context.getState(positions=True)
        except openmm.OpenMMException as error:
            return {"temperature": temperature, "intact": False, "picoseconds": 0.1 * frame, "error": str(error)}
        positions = state.getPositions(asNumpy=True)._value / NM_PER_ANGSTROM
        if not intact(positions[None], bonds, start):
            return {"temperature": temperature, "intact": False, "picoseconds": 0.1 * frame}
    return {"temperature": temperature, "intact": True, "picoseconds": float(_PICOSECONDS)}


def intact(frames: Floats, bonds: NDArray[np.int64], reference: Floats) -> bool:
    """Whether all frames (n_frames, n_atoms, 3) are finite, without fused atoms and without broken bonds."""
    if not np.isfinite(frames).all():
        return False
    pairs = np.array(list(combinations(range(frames.shape[1]), 2)))
    closest = geometry.distance(frames, pairs).min()
    return bool(closest > _CLOSE and stretch(frames, bonds, reference).max() < _BROKEN)


def rmsd(positions: Floats, reference: Floats) -> float:
    """Root mean square distance of all atoms after superposition, Å."""
    first, second = positions - positions.mean(axis=0), reference - reference.mean(axis=0)
    return float(Rotation.align_vectors(first, second)[1] / np.sqrt(len(first)))


def summary(parts: dict[str, Part]) -> dict[str, tuple[float, str]]:
    """Figures of each base over the molecules that all of them have parameters for."""
    common = [part for part in parts.values() if all("refused" not in part["bases"][base] for base in BASES)]
    figures: dict[str, tuple[float, str]] = {"molecules": (len(parts), "1"), "molecules_compared": (len(common), "1")}
    best = [min(BASES, key=lambda base: part["bases"][base]["force_rmse"]) for part in common]
    for base in BASES:
        rows = [part["bases"][base] for part in common]
        force = np.array([row["force_rmse"] for row in rows])
        figures[f"force_rmse_mean.{base}"] = float(force.mean()), "kcal/mol/Å"
        figures[f"force_rmse_median.{base}"] = float(np.median(force)), "kcal/mol/Å"
        figures[f"force_rmse_largest.{base}"] = float(force.max()), "kcal/mol/Å"
        figures[f"force_correlation_mean.{base}"] = float(np.mean([row["force_correlation"] for row in rows])), "1"
        figures[f"energy_rmse_mean.{base}"] = float(np.mean([row["energy_rmse"] for row in rows])), "kcal/mol"
        moved = [row["minima"]["from_reference"].get("rmsd", np.inf) for row in rows]
        figures[f"rmsd_median.{base}"] = float(np.median(moved)), "Å"
        figures[f"smallest_error.{base}"] = best.count(base), "1"
        built = [part["bases"][base] for part in parts.values() if "refused" not in part["bases"][base]]
        figures[f"built.{base}"] = len(built), "1"
        figures[f"stable.{base}"] = sum(map(stable, built)), "1"
    return figures


def stable(row: Part) -> bool:
    """Whether both minima and both runs of a base are intact."""
    return all(state["intact"] for state in (*row["minima"].values(), *row["dynamics"]))


def main() -> None:
    """Measure and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    part_options(parser)
    parser.set_defaults(threads=1)
    options = parser.parse_args()
    use_settings("benchmarks.bases", options.threads)
    tasks: dict[str, Any] = {name: partial(molecule_part, name, smiles) for name, smiles in MOLECULES.items()}
    keep: Path | None = options.keep
    parts = measured(options.only, tasks, keep)
    print(
        to_json(
            document(
                "bases",
                summary(parts),
                bases=BASES,
                reference="GFN2-xTB",
                openmm=openmm.version.version,
                molecules=parts,
            )
        )
    )


if __name__ == "__main__":
    main()
