"""Ordinary mistakes with labels, as functions that try them.

See `tests.faults.outcomes` for names and outcomes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from numpy.typing import NDArray
from tblite.ase import TBLite
from typer.testing import CliRunner

import openmm_hybrid as oh
from openmm_hybrid.cli import app
from openmm_hybrid.models.langevin import Langevin
from openmm_hybrid.reference import ReferenceEngine, engine, label
from openmm_hybrid.reference.ase import AseEngine
from tests.faults.outcomes import attempt
from tests.helpers.gaff_molecules import gasteiger

QUICK = {"progress": False, "md_steps": 0}


def tried(call: Callable[[], Any], right: Callable[[Any], bool]) -> str:
    """The outcome of a call; `right` judges its result. Any refusal will do."""
    return attempt(lambda folder: call(), right, says="")


def never(result: Any) -> bool:
    """No result of this input is right without a word."""
    return False


def always(result: Any) -> bool:
    """The input is right, and so is a result without a warning."""
    return True


# --- entry 1: charge and spin of labels


@cache
def ion(smiles: str) -> oh.Molecule:
    """An ion, named by its SMILES."""
    return oh.Molecule.from_smiles(smiles, name=smiles)


def labelled(made: Callable[[], ReferenceEngine], molecule: oh.Molecule, *, bare: bool = False) -> Callable[[], float]:
    """A call that labels a molecule, or its atomic numbers alone, and returns the energy."""

    def call() -> float:
        with tempfile.TemporaryDirectory() as folder:
            atoms = molecule.atomic_numbers if bare else molecule
            found = label(made(), atoms, molecule.conformers, output=Path(folder) / "labels.npz", progress=False)
        return float(found.frames.energies[0])

    return call


def is_the_ion(molecule: oh.Molecule, energy: float) -> bool:
    """Whether an energy is that of GFN2-xTB for the molecule's own charge, by tblite's C interface."""
    expected = engine("gfn2", charge=molecule.charge).compute(molecule.atomic_numbers, molecule.positions)[0]
    return abs(energy - expected) < 0.01


def ase_ion(smiles: str, *, bare: bool = False, **settings: Any) -> str:
    """An ion labelled by tblite through ASE."""
    molecule = ion(smiles)
    own = {key: settings.pop(f"own_{key}") for key in ("charge", "multiplicity") if f"own_{key}" in settings}
    calculator = TBLite(method="GFN2-xTB", verbosity=0, **own)
    return tried(
        labelled(lambda: AseEngine(calculator, **settings), molecule, bare=bare), partial(is_the_ion, molecule)
    )


def gfn2_ion(smiles: str, *, bare: bool, charge: int = 0) -> str:
    """An ion labelled by the built-in engine."""
    molecule = ion(smiles)
    return tried(labelled(lambda: engine("gfn2", charge=charge), molecule, bare=bare), partial(is_the_ion, molecule))


def deaf_calculator() -> str:
    """A calculator that takes no notice of the charge of the Atoms."""
    return tried(labelled(lambda: AseEngine(LennardJones(), charge=2), ion("[NH3+]CC[NH3+]")), never)


@cache
def run_of_a_dication() -> tuple[tempfile.TemporaryDirectory[str], Path, Path]:
    """The folders of a build and of a run of the ethylenediammonium dication."""
    folder = tempfile.TemporaryDirectory()
    molecule = ion("[NH3+]CC[NH3+]")
    built = oh.build(molecule, base="gaff-2.2.20", charges=gasteiger(molecule), progress=False)
    build, run = Path(folder.name) / "build", Path(folder.name) / "run"
    oh.save_system(build, built.system, built.topology, built.positions)
    oh.sample(
        built.system, built.topology, built.positions, output=run, n_steps=20, interval=10,
        equilibration=0, platform="Reference", progress=False,
    )  # fmt: skip
    return folder, build, run


def label_on_the_command_line(folder: int, *options: str) -> str:
    """`openmm-hybrid label FOLDER` of the dication: 1 for the build, 2 for the run."""
    path = run_of_a_dication()[folder]
    with tempfile.TemporaryDirectory() as other:
        output = Path(other) / "labels.npz"
        done = CliRunner().invoke(app, ["label", str(path), "-o", str(output), *options])
        if done.exit_code == 2:
            return "refused"
        if done.exit_code:
            return "raw"
        found = oh.Frames.load(output)
    expected = [engine("gfn2", charge=2).compute(found.atomic_numbers, r)[0] for r in found.positions]
    return "right" if np.allclose(found.energies, expected, atol=1e-3) else "silent"


# --- entry 2: stale labels


def second_label(first: Callable[[], ReferenceEngine], second: Callable[[], ReferenceEngine]) -> str:
    """Two engines that write to one path; the second one must not get the labels of the first."""
    water = ion("O")

    def call() -> float:
        with tempfile.TemporaryDirectory() as folder:
            energies = [
                label(made(), water.atomic_numbers, water.conformers, output=Path(folder) / "a.npz", progress=False)
                .frames.energies[0]
                for made in (first, second)
            ]  # fmt: skip
        return float(energies[1])

    return tried(call, lambda energy: abs(energy - second().compute(water.atomic_numbers, water.positions)[0]) < 1e-3)


def without_a_level() -> str:
    """A calculator that does not tell what it computes."""

    class Network(EMT):
        default_parameters: ClassVar[dict[str, Any]] = {}

    return tried(labelled(lambda: AseEngine(Network()), ion("O")), never)


def changed_calculator() -> str:
    """A calculator that is set to another method after the engine was made."""
    calculator = TBLite(method="GFN2-xTB", verbosity=0)
    made = AseEngine(calculator)
    calculator.set(method="GFN1-xTB")
    return tried(labelled(lambda: made, ion("O")), never)


def two_networks() -> str:
    """Two calculators with the same name, parameters and level, whose weights differ."""

    class Network(LennardJones):
        weight = 1.0

        def calculate(self, *arguments: Any) -> None:
            super().calculate(*arguments)
            self.results = {name: self.weight * value for name, value in self.results.items()}

    other = Network(sigma=1.0, epsilon=0.1)
    other.weight = 2.0
    networks = [AseEngine(Network(sigma=1.0, epsilon=0.1), theory="network"), AseEngine(other, theory="network")]
    return second_label(*(partial(lambda made: made, made) for made in networks))


def concatenated(first: Callable[[], ReferenceEngine], second: Callable[[], ReferenceEngine]) -> str:
    """Labels of two levels as one data set."""
    water = ion("O")

    def call() -> oh.Frames:
        with tempfile.TemporaryDirectory() as folder:
            parts = [
                label(made(), water.atomic_numbers, water.conformers, output=Path(folder) / name, progress=False).frames
                for name, made in (("a.npz", first), ("b.npz", second))
            ]
        return oh.Frames.concatenate(parts)

    return tried(call, never)


def ase_gfn(method: str, **settings: Any) -> Callable[[], AseEngine]:
    """A function that makes tblite's ASE calculator into an engine."""
    return lambda: AseEngine(TBLite(method=method, verbosity=0, **settings))


# --- entries 3, 12, 15, 25: labels beside a force field


@cache
def ethanol() -> oh.Frames:
    """240 frames of ethanol at 500 K, by the shipped force field with networks as the reference."""
    model = oh.ForceField.load("ethanol-nn")
    molecule = oh.Molecule.from_smiles("C(C)O")
    start = np.repeat(molecule.positions[None], 40, axis=0)
    langevin = Langevin(model.atomic_numbers, 500.0, 0.5, 0.02, np.random.default_rng(0))

    def forces(r: NDArray[np.float64]) -> NDArray[np.float64]:
        return model.predict(r)[1]

    r, v, f, kept = start, langevin.velocities(start.shape), forces(start), []
    for step in range(1, 1201):
        r, v, f = langevin.step(forces, r, v, f)
        if step % 200 == 0:
            kept.append(r)
    positions = np.concatenate(kept)
    return oh.Frames(model.atomic_numbers, positions, *model.predict(positions), name="ethanol", theory="ethanol-nn")


def gaff() -> oh.ForceField:
    """The shipped GAFF of ethanol."""
    return oh.ForceField.load("ethanol-gaff")


def fit(frames: oh.Frames, n_train: int = 60, **settings: Any) -> oh.FitResult:
    """A quick fit of GAFF."""
    return oh.fit(gaff(), frames, **{"n_train": n_train, "n_test": 100, **QUICK, **settings})


def correct(frames: oh.Frames) -> Any:
    """A quick correction to GAFF."""
    return oh.correction.train(gaff(), frames, n_train=20, progress=False)


def distill(frames: oh.Frames) -> Any:
    """A correction of one torsion."""
    return oh.correction.distill(gaff(), frames, [(1, 0, 2, 8)], progress=False)


def kernel(frames: oh.Frames) -> Any:
    """A quick sGDML model."""
    return oh.sgdml.train(frames, sigma=20, n_train=20, progress=False)


def scaled(factor: float, what: str = "both") -> oh.Frames:
    """Labels in other units."""
    frames = ethanol()
    energies = frames.energies if what == "forces" else frames.energies * factor
    forces = frames.forces if what == "energies" else frames.forces * factor
    return replace(frames, energies=energies, forces=forces)


def shuffled(what: str) -> oh.Frames:
    """Energies or forces of other frames."""
    frames, order = ethanol(), np.random.default_rng(1).permutation(len(ethanol()))
    return replace(frames, **{what: getattr(frames, what)[order]})


def in_length(factor: float) -> oh.Frames:
    """Positions in another unit."""
    return replace(ethanol(), positions=ethanol().positions * factor)


def with_bad_frames(kind: str, indices: tuple[int, ...] = (7,)) -> oh.Frames:
    """A hydrogen 3 Å away, forces times 10 or of the wrong sign, or an energy 60 kcal/mol off, in a few frames."""
    frames = ethanol()
    arrays = {name: getattr(frames, name).copy() for name in ("positions", "energies", "forces")}
    for index in indices:
        if kind == "hydrogen":
            arrays["positions"][index, 8, 0] += 3.0
        elif kind == "energy":
            arrays["energies"][index] += 60.0
        else:
            arrays["forces"][index] *= {"large": 10.0, "sign": -1.0}[kind]
    return replace(frames, **arrays)


def few_frames(n_train: int, n_test: int, seed: int = 0) -> str:
    """A fit with cross terms to a few frames; right if the test error became clearly smaller."""
    call = partial(oh.fit, gaff().edit(cross=True), ethanol(), n_train=n_train, n_test=n_test, seed=seed, **QUICK)

    def right(result: oh.FitResult) -> bool:
        return result.test is not None and result.test.force_rmse < 0.9 * result.molecules[0].start.force_rmse

    return tried(call, right)


def forces_alone(method: str = "auto", **settings: Any) -> str:
    """A fit without energies, which must give the parameters of the fit that ignores the energies."""
    bare = replace(ethanol(), energies=None)
    expected = fit(ethanol(), energy_weight=0, method=method, **settings).after

    def right(result: oh.FitResult) -> bool:
        json.dumps(result.as_dict(), allow_nan=False)
        return np.allclose(result.after, expected) and np.isnan(result.test.energy_rmse)

    return tried(lambda: fit(bare, energy_weight=0, method=method, **settings), right)


def no_energies() -> str:
    """A fit of energies and forces to frames without energies."""
    return tried(lambda: fit(replace(ethanol(), energies=None)), never)


ACETATE, AMMONIUM, DICATION, OXALATE = "CC(=O)[O-]", "C[NH3+]", "[NH3+]CC[NH3+]", "[O-]C(=O)C(=O)[O-]"
EV, KJ, HARTREE = 23.060548, 1.0 / 4.184, 627.50947


def positions_in(factor: float) -> str:
    """Positions in another unit, with atomic numbers alone."""
    molecule = ion("CCO")
    moved = replace(molecule, conformers=molecule.conformers * factor)
    return tried(labelled(lambda: engine("gfn2", charge=0), moved, bare=True), never)


CASES: dict[str, Callable[[], str]] = {
    "1 acetate through ASE": partial(ase_ion, ACETATE),
    "1 acetate through ASE, atomic numbers alone": partial(ase_ion, ACETATE, bare=True),
    "1 acetate through ASE, charge of the engine": partial(ase_ion, ACETATE, charge=-1),
    "1 acetate through ASE, charge of the calculator": partial(ase_ion, ACETATE, own_charge=-1),
    "1 acetate through ASE, two charges": partial(ase_ion, ACETATE, charge=-1, own_charge=0),
    "1 acetate through ASE, a multiplicity it cannot have": partial(ase_ion, ACETATE, charge=-1, multiplicity=2),
    "1 ammonium through ASE": partial(ase_ion, AMMONIUM, charge=1),
    "1 dication through ASE": partial(ase_ion, DICATION),
    "1 dication through ASE, atomic numbers alone": partial(ase_ion, DICATION, bare=True),
    "1 oxalate by gfn2, atomic numbers alone": partial(gfn2_ion, OXALATE, bare=True),
    "1 dication by gfn2, atomic numbers alone": partial(gfn2_ion, DICATION, bare=True),
    "1 dication by gfn2, atomic numbers and charge": partial(gfn2_ion, DICATION, bare=True, charge=2),
    "1 dication by gfn2": partial(gfn2_ion, DICATION, bare=False),
    "1 a calculator that does not read the charge": deaf_calculator,
    "1 label RUN of a dication": partial(label_on_the_command_line, 2),
    "1 label BUILD of a dication": partial(label_on_the_command_line, 1),
    "1 label RUN of a dication, --charge 0": partial(label_on_the_command_line, 2, "--charge", "0"),
    "2 GFN2, then GFN1": partial(second_label, ase_gfn("GFN2-xTB"), ase_gfn("GFN1-xTB")),
    "2 GFN2, then GFN2 with charge 2": partial(second_label, ase_gfn("GFN2-xTB"), ase_gfn("GFN2-xTB", charge=2)),
    "2 GFN2, then as a triplet": partial(second_label, ase_gfn("GFN2-xTB"), ase_gfn("GFN2-xTB", multiplicity=3)),
    "2 GFN2, then at 5000 K": partial(
        second_label, ase_gfn("GFN2-xTB"), ase_gfn("GFN2-xTB", electronic_temperature=5000.0)
    ),
    "2 GFN2, then in water": partial(
        second_label, ase_gfn("GFN2-xTB"), ase_gfn("GFN2-xTB", solvation=("alpb", "water"))
    ),
    "2 two networks of one name": two_networks,
    "2 a calculator without a level": without_a_level,
    "2 a calculator that is changed": changed_calculator,
    "2 two levels in one data set": partial(concatenated, ase_gfn("GFN2-xTB"), ase_gfn("GFN1-xTB")),
    "3 fit, kcal/mol": lambda: tried(lambda: fit(ethanol()), always),
    "3 correction, kcal/mol": lambda: tried(lambda: correct(ethanol()), always),
    "3 distill, kcal/mol": lambda: tried(lambda: distill(ethanol()), always),
    "3 sGDML, kcal/mol": lambda: tried(lambda: kernel(ethanol()), always),
    "3 fit, eV": lambda: tried(lambda: fit(scaled(1 / EV)), never),
    "3 correction, eV": lambda: tried(lambda: correct(scaled(1 / EV)), never),
    "3 distill, eV": lambda: tried(lambda: distill(scaled(1 / EV)), never),
    "3 sGDML, eV": lambda: tried(lambda: kernel(scaled(1 / EV)), never),
    "3 fit, kJ/mol": lambda: tried(lambda: fit(scaled(1 / KJ)), never),
    "3 sGDML, kJ/mol": lambda: tried(lambda: kernel(scaled(1 / KJ)), never),
    "3 fit, hartree": lambda: tried(lambda: fit(scaled(1 / HARTREE)), never),
    "3 correction, hartree/bohr": lambda: tried(lambda: correct(scaled(0.529177 / HARTREE, "forces")), never),
    "3 fit, kcal/mol/bohr": lambda: tried(lambda: fit(scaled(0.529177, "forces")), never),
    "3 fit, converted twice": lambda: tried(lambda: fit(scaled(EV)), never),
    "3 fit, energies in hartree": lambda: tried(lambda: fit(scaled(1 / HARTREE, "energies")), never),
    "3 fit, gradients": lambda: tried(lambda: fit(scaled(-1.0, "forces")), never),
    "3 correction, gradients": lambda: tried(lambda: correct(scaled(-1.0, "forces")), never),
    "3 sGDML, gradients": lambda: tried(lambda: kernel(scaled(-1.0, "forces")), never),
    "3 sGDML, gradients without energies": lambda: tried(
        lambda: kernel(replace(scaled(-1.0, "forces"), energies=None)), never
    ),
    "3 fit, negative energies": lambda: tried(lambda: fit(scaled(-1.0, "energies")), never),
    "3 fit, energies of other frames": lambda: tried(lambda: fit(shuffled("energies")), never),
    "3 correction, energies of other frames": lambda: tried(lambda: correct(shuffled("energies")), never),
    "3 fit, forces of other frames": lambda: tried(lambda: fit(shuffled("forces")), never),
    "3 sGDML, energies of other frames": lambda: tried(lambda: kernel(shuffled("energies")), never),
    "3 fit, nm": lambda: tried(lambda: fit(in_length(0.1)), never),
    "3 correction, bohr": lambda: tried(lambda: correct(in_length(1.8897)), never),
    "12 fit, a hydrogen 3 Å away": lambda: tried(
        lambda: fit(with_bad_frames("hydrogen"), 240, n_test=0), never
    ),
    "12 correction, a hydrogen 3 Å away": lambda: tried(lambda: correct(with_bad_frames("hydrogen")), never),
    "12 sGDML, a hydrogen 3 Å away": lambda: tried(lambda: kernel(with_bad_frames("hydrogen")), never),
    "12 fit, forces times 10": lambda: tried(lambda: fit(with_bad_frames("large"), 240, n_test=0), never),
    "12 sGDML, forces times 10": lambda: tried(lambda: kernel(with_bad_frames("large")), never),
    "12 correction, two frames of gradients": lambda: tried(lambda: correct(with_bad_frames("sign", (3, 99))), never),
    "12 fit, an energy 60 kcal/mol off": lambda: tried(
        lambda: fit(with_bad_frames("energy"), 240, n_test=0), never
    ),
    "15 cross terms on 4 frames": partial(few_frames, 4, 100),
    "15 cross terms on 4 frames, another seed": partial(few_frames, 4, 100, 1),
    "15 cross terms on 4 frames, no test frames": partial(few_frames, 4, 0),
    "15 cross terms on 8 frames, no test frames": partial(few_frames, 8, 0),
    "15 cross terms on 120 frames": partial(few_frames, 120, 100),
    "29 label positions in bohr": partial(positions_in, 1 / 0.529177),
    "29 label positions in nm": partial(positions_in, 0.1),
    "25 fit without energies": forces_alone,
    "25 fit without energies, by gradients": partial(forces_alone, "gradient"),
    "25 fit without energies, charges fixed": partial(forces_alone, fixed=("charges/*",)),
    "25 fit without energies, with a weight": no_energies,
}  # fmt: skip
