"""Mistakes with molecules, models and Systems that gave wrong numbers, as functions that try them.

See `tests.faults.outcomes` for names and outcomes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from ase import Atoms

import openmm_hybrid as oh
from openmm_hybrid import Molecule, gaff
from openmm_hybrid.correction import train
from openmm_hybrid.models.residual import RESIDUAL
from openmm_hybrid.reference import engine, label
from openmm_hybrid.systems.plan import known_backends
from tests.faults.outcomes import attempt
from tests.helpers.gaff_molecules import gasteiger

SERIES = np.linspace(-0.3, 0.3, 40)
"""Energies in kcal/mol, or any numbers."""


def weights_of(target: Any, temperature: float) -> oh.analysis.Weights:
    return oh.analysis.boltzmann_weights(np.zeros(40), target, temperature)


SHIPPED = "ethanol-rotors"
"""A correction that was made for ethanol in the atom order of C(C)O."""


def built(smiles: str, base: str = "gaff-1.81") -> gaff.BuiltSystem:
    molecule = Molecule.from_smiles(smiles)
    return oh.build(molecule, base=base, charges=gasteiger(molecule))


def energy(system: openmm.System, positions: Any) -> float:
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions)
    return float(context.getState(energy=True).getPotentialEnergy()._value)


def attached_energy(smiles: str, times: int = 1, **settings: Any) -> float:
    """Energy of the shipped correction in ethanol, kcal/mol."""
    system = built(smiles)
    before = energy(system.system, system.positions)
    for _ in range(times):
        oh.attach(system.system, system.topology, oh.load(SHIPPED), **settings)
    return (energy(system.system, system.positions) - before) / 4.184


def in_order(smiles: str) -> str:
    """-1.2188 kcal/mol in the atom order of C(C)O, at the same geometry, and a warning that names the order."""

    def call(_: Any) -> None:
        energy = attached_energy(smiles)
        if abs(energy + 1.2188) > 1e-3:
            raise ValueError(f"{energy} kcal/mol")

    return attempt(call)


def other_molecule(smiles: str, name: str) -> str:
    def call(_: Any) -> None:
        system = built(smiles)
        oh.replace(system.system, system.topology, oh.ForceField.load(name))

    return attempt(call, says="is not the molecule of the model|atoms were given|particles")


def other_order(forcefield: str, frames: str) -> str:
    """Frames of one atom order, a force field of another."""

    def call(_: Any) -> None:
        source = built(frames)
        molecule = source.molecules[0]
        positions = molecule.positions + np.random.default_rng(0).normal(scale=0.03, size=(12, molecule.n_atoms, 3))
        energies, forces = source.model().predict(positions)
        labelled = oh.Frames(molecule.atomic_numbers, positions, energies=energies, forces=forces)
        train(built(forcefield).model(), labelled, n_train=8, progress=False)

    return attempt(call, says=r"Å long in the frames|atomic number")


def labelled_in_other_order(molecule: str, frames: str) -> str:
    """Labels of a molecule at the positions of another order of its atoms."""

    def call(folder: Path) -> float:
        given, positions = Molecule.from_smiles(molecule), Molecule.from_smiles(frames).conformers
        return float(
            label(engine("gfn2"), given, positions, output=folder / "a.npz", progress=False).frames.energies[0]
        )

    return attempt(call, says="long in the frames|atoms of the molecule")


def twice(**settings: Any) -> str:
    return attempt(lambda folder: attached_energy("C(C)O", times=2, **settings), says="already")


def scale(name: str) -> str:
    return attempt(lambda folder: attached_energy("C(C)O", scale=name), says="coordinate in OpenMM's expressions")


def complete_on_top(name: str) -> str:
    """A complete force field beside the terms that it replaces."""

    def call(_: Any) -> None:
        system = built("C(C)O")
        oh.attach(system.system, system.topology, oh.ForceField.load(name))

    return attempt(call, says=r"would act twice.*oh\.replace")


def free_energy(smiles: str) -> str:
    """Negative over GAFF, as the correction favours the gauche form; with other atoms it was +3.14 kcal/mol."""

    def call(folder: Path) -> None:
        system = built(smiles)
        found = oh.correction_free_energy(
            system.system, system.topology, system.positions, oh.load(SHIPPED), output=folder / "run", duration=0.5,
            interval=10, lambdas=(0.0, 1.0), friction=20.0, platform="Reference", progress=False,
        )  # fmt: skip
        if found.difference > 0.5:
            raise ValueError(f"{found.difference} kcal/mol")

    return attempt(call)


def twice_with(first: dict[str, Any], second: dict[str, Any]) -> str:
    """The same correction twice, with other settings the second time."""

    def call(_: Any) -> None:
        system = built("C(C)O")
        for settings in (first, second):
            oh.attach(system.system, system.topology, oh.load(SHIPPED), **settings)

    return attempt(call, says="already")


def saved_with_another_model() -> str:
    """A System saved with a model that it does not have."""

    def call(folder: Path) -> None:
        system, correction = built("C(C)O"), oh.load(SHIPPED)
        other = correction.with_values(np.asarray(correction.parameters.values) * 2.0)
        backend = next(b.name for b in known_backends() if b.needs_torch and b.state().works)
        oh.attach(system.system, system.topology, correction, backend=backend)
        attachments = [oh.Attachment(other, backend=backend)]
        oh.save_system(folder / "a", system.system, system.topology, system.positions, attachments=attachments)

    return attempt(call, says="none of the System's torch forces")


def exported(smiles: str) -> str:
    """The correction as a TorchScript file, which keeps its bonds."""

    def call(folder: Path) -> None:
        system = built(smiles)
        model = oh.load(oh.export_torchscript(oh.load(SHIPPED), folder / "m.pt"))
        before = energy(system.system, system.positions)
        oh.attach(system.system, system.topology, model)
        added = (energy(system.system, system.positions) - before) / 4.184
        if abs(added + 1.2188) > 1e-3:
            raise ValueError(f"{added} kcal/mol")

    return attempt(call)


def isomers(*smiles: str) -> str:
    """Isomers that a residue does not tell apart, in one template generator."""
    members = [Molecule.from_smiles(text) for text in smiles]
    return attempt(lambda folder: oh.template_generator(members), says="tell their residues apart")


def rigid_model() -> str:
    """A model of a System whose bonds are constraints."""

    def call(_: Any) -> None:
        molecule = Molecule.from_smiles("CCO")
        oh.build(molecule, charges=gasteiger(molecule), constraints="HBonds").model()

    return attempt(call)


def subtracted_twice() -> str:
    def call(_: Any) -> None:
        source = built("CCO")
        molecule = source.molecules[0]
        positions = molecule.positions + np.random.default_rng(0).normal(scale=0.03, size=(12, molecule.n_atoms, 3))
        energies, forces = source.model().predict(positions)
        rest = oh.Frames(
            molecule.atomic_numbers, positions, energies=energies, forces=forces, theory=f"GAFF {RESIDUAL}"
        )
        train(source.model(), rest, n_train=8, progress=False)

    return attempt(call, says="a residual already")


def ase_in_other_order() -> str:
    """Ethanol with its carbon atoms exchanged, in ASE."""

    def call(_: Any) -> None:
        model, positions = oh.ForceField.load("ethanol-gaff"), Molecule.from_smiles("C(C)O").positions
        order = [1, 0, *range(2, 9)]
        Atoms(model.atomic_numbers, positions[order], calculator=oh.as_ase(model)).get_potential_energy()

    return attempt(call)


def analysed(call: Callable[[], float], right: float) -> str:
    return attempt(lambda folder: call(), lambda value: bool(abs(value - right) < 1e-6), says="±2π|temperature is")


def noted(smiles: str, base: str) -> str:
    """The System is built with a warning."""
    return attempt(lambda folder: built(smiles, base))


def trusted(smiles: str, base: str) -> str:
    """A molecule without a doubt is built without a warning."""

    def call(_: Any) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return len(built(smiles, base).notes)

    return attempt(call, lambda count: count == 0)


CASES: dict[str, Callable[[], str]] = {
    "6 CCO with a correction for C(C)O": partial(in_order, "CCO"),
    "6 OCC with a correction for C(C)O": partial(in_order, "OCC"),
    "6 [H]OCC with a correction for C(C)O": partial(in_order, "[H]OCC"),
    "6 an ether with a force field of ethanol": partial(other_molecule, "COC", "ethanol-gaff"),
    "6 malonaldehyde with a force field of ethanol": partial(other_molecule, "O=CC=CO", "ethanol-gaff"),
    "6 correction of CCO trained on frames of C(C)O": partial(other_order, "CCO", "C(C)O"),
    "6 correction of OCC trained on frames of CCO": partial(other_order, "OCC", "CCO"),
    "6 correction of CCCO trained on frames of CC(C)O": partial(other_order, "CCCO", "CC(C)O"),
    "6 labels of OCC at frames of C(C)O": partial(labelled_in_other_order, "OCC", "C(C)O"),
    "6 labels of CCO at frames of OCC": partial(labelled_in_other_order, "CCO", "OCC"),
    "6 labels of CCCO at frames of CC(C)O": partial(labelled_in_other_order, "CCCO", "CC(C)O"),
    "8 phenyl sulfur pentafluoride, GAFF 1.81": partial(noted, "FS(F)(F)(F)(F)c1ccccc1", "gaff-1.81"),
    "8 phenyl sulfur pentafluoride, GAFF 2.2.20": partial(noted, "FS(F)(F)(F)(F)c1ccccc1", "gaff-2.2.20"),
    "8 methyl sulfur pentafluoride": partial(noted, "CS(F)(F)(F)(F)F", "gaff-1.81"),
    "9 methylphosphonic acid, GAFF 1.81": partial(noted, "CP(=O)(O)O", "gaff-1.81"),
    "9 methanesulfonic acid, GAFF 1.81": partial(noted, "CS(=O)(=O)O", "gaff-1.81"),
    "9 phosphate ester, GAFF 1.7": partial(noted, "COP(=O)(O)OC", "gaff-1.7"),
    "9 methylphosphonic acid, GAFF 2.2.20": partial(trusted, "CP(=O)(O)O", "gaff-2.2.20"),
    "11 attached twice": twice,
    "11 attached twice, another force group": partial(twice, force_group=3),
    "11 attached twice, atoms given": partial(twice, atoms=list(range(9))),
    "29 a complete force field attached": partial(complete_on_top, "ethanol-cross"),
    "29 attached twice, one with a scale": partial(twice_with, {}, {"scale": "one"}),
    "29 attached twice, two scales": partial(twice_with, {"scale": "one"}, {"scale": "two"}),
    "29 free energy of CCO with a correction for C(C)O": partial(free_energy, "CCO"),
    "29 exported correction in OCC": partial(exported, "OCC"),
    "29 generator of E and Z": partial(isomers, "F/C=C/F", "F/C=C\\F"),
    "29 model of a System with constraints": rigid_model,
    "29 residual of a residual": subtracted_twice,
    "29 another order in ASE": ase_in_other_order,
    "29 dihedrals in degrees": partial(analysed, lambda: oh.analysis.dihedral_density(SERIES * 600.0).values[0], 0.0),
    "29 negative temperature": partial(analysed, lambda: float(weights_of(SERIES, -300.0).values[0]), 0.0),
    "29 energies in kJ/mol as a Quantity": partial(
        analysed,
        lambda: float(weights_of(SERIES * 4.184 * openmm.unit.kilojoule_per_mole, 300.0).values[0]),
        float(weights_of(SERIES, 300.0).values[0]),
    ),
    "29 saved with another model": saved_with_another_model,
    "16 scale x1": partial(scale, "x1"),
    "16 scale z3": partial(scale, "z3"),
    "16 scale theta": partial(scale, "theta"),
}
"""Name → function that tries it."""
