"""Small systems and data for the snippets of the documentation, and limits on their long calculations.

The molecules have shipped force fields, so that no quantum chemistry is needed: labels come from a second force field.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

import openmm_hybrid as oh
from tests.docs.snippets import ROOT

SAMPLE = {
    "duration": 0.05,
    "n_steps": 100,
    "interval": 3,
    "equilibration": 2,
    "platform": lambda name: "Reference" if name == "auto" else name,
}
"""Limits of `oh.sample`, ps and steps; the fastest platform need not be found."""

FIT = {
    "n_train": 12,
    "n_valid": 2,
    "n_test": 4,
    "md_steps": 100,
    "gradient": lambda settings: replace(settings or oh.fitting.GradientSettings(), adam=4, lbfgs=2),
}
"""Limits of `oh.fit`."""


@final
@dataclass(frozen=True, eq=False)
class Case:
    """A molecule with a System of its own.

    Parameters
    ----------
    molecule : Molecule
    gaff : BuiltSystem
        The molecule in vacuum with GAFF's parameters and Gasteiger charges; its residue is named MOL.
    forcefield : ForceField
        Shipped force field with the terms of GAFF.
    reference : ForceField
        Shipped force field with cross terms; it makes the labels.
    """

    molecule: oh.Molecule
    gaff: oh.gaff.BuiltSystem
    forcefield: oh.ForceField
    reference: oh.ForceField

    def run(self, n_frames: int, temperature: float = 500.0, seed: int = 1) -> oh.Frames:
        """Frames of a simulation with GAFF, one every 0.05 ps, without labels."""
        integrator = openmm.LangevinMiddleIntegrator(temperature, 1, 0.0005)
        integrator.setRandomNumberSeed(seed)
        context = openmm.Context(self.gaff.system, integrator, openmm.Platform.getPlatformByName("Reference"))
        context.setPositions(self.gaff.positions)
        context.setVelocitiesToTemperature(temperature, seed)
        found = []
        for _ in range(n_frames):
            integrator.step(100)
            found.append(context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom))
        return oh.Frames(self.molecule.atomic_numbers, np.array(found), name=self.molecule.name)

    def frames(self, n_frames: int) -> oh.Frames:
        """Frames of `run`, labelled by the reference."""
        geometries = self.run(n_frames)
        energies, forces = self.reference.predict(geometries.positions)
        return replace(geometries, energies=energies, forces=forces)


def ethanol() -> Case:
    """Ethanol in the atom order of the shipped force fields."""
    return _case(oh.Molecule.from_smiles("C(C)O", name="ethanol"))


def aspirin() -> Case:
    """Aspirin in the atom order of the shipped force fields."""
    pdb = app.PDBFile(str(ROOT / "examples" / "drop_in" / "aspirin.pdb"))
    numbers = [atom.element.atomic_number for atom in pdb.topology.atoms()]
    return _case(oh.Molecule.from_geometry(numbers, pdb.positions, name="aspirin"))


def _case(molecule: oh.Molecule) -> Case:
    gaff = oh.gaff.build(molecule, charges=gasteiger(molecule), progress=False)
    return Case(
        molecule,
        gaff,
        oh.ForceField.load(f"{molecule.name}-gaff"),
        oh.ForceField.load(f"{molecule.name}-cross"),
    )


def limited(function: Callable[..., Any], limits: Mapping[str, Any]) -> Callable[..., Any]:
    """`function` with smaller numbers: an argument above its limit becomes the limit.

    Names and the number of the arguments are checked against the signature of `function`, which gets them all.

    Parameters
    ----------
    function : callable
    limits : mapping
        Argument → largest number, or a function from the argument to a smaller one.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        for name, limit in limits.items():
            value = given.arguments[name]
            if callable(limit):
                given.arguments[name] = limit(value)
            elif value is not None:
                given.arguments[name] = min(value, limit)
        return function(*given.args, **given.kwargs)

    return call


def limit_samples() -> None:
    """Make `oh.sample` run 0.05 ps at most."""
    oh.sample = limited(oh.sample, SAMPLE)


def limit_fits() -> None:
    """Make `oh.fit` use a few frames."""
    oh.fit = limited(oh.fit, FIT)


def limit_refinements() -> None:
    """Make `oh.refine` and `oh.refine_series` run one round with few labels and without checks."""
    oh.refine = limited(oh.refine, {"settings": _few_labels})
    oh.refine_series = limited(oh.refine_series, {"settings": _few_labels})


def limit_batches() -> None:
    """Make `oh.refine_batch` refine each molecule in one round with few labels and without checks."""
    oh.refine_batch = limited(oh.refine_batch, {"settings": _few_labels})


def _few_labels(settings: oh.RefineSettings | None) -> oh.RefineSettings:
    return replace(
        settings or oh.RefineSettings(),
        n_conformers=1, n_first=40, n_scan=0, n_fresh=10, n_more=0, rounds=1, n_profile=0, hot_ps=0.0,
        frequencies=False,
    )  # fmt: skip


def limit_charges() -> None:
    """Make `oh.gaff.build` take Gasteiger charges in place of RESP, which needs minutes of Hartree-Fock."""
    build = oh.gaff.build

    def with_gasteiger(molecules: oh.Molecule, *, charges: Any = "resp", **others: Any) -> Any:
        if isinstance(charges, str) and charges == "resp":
            charges = gasteiger(molecules)
        return build(molecules, charges=charges, **others)

    oh.gaff.build = with_gasteiger


def gasteiger(molecule: oh.Molecule) -> NDArray[np.float64]:
    """Gasteiger's charges (n_atoms,), e."""
    from rdkit.Chem import AllChem

    copy = AllChem.Mol(molecule.rdkit)
    AllChem.ComputeGasteigerCharges(copy)
    return np.array([atom.GetDoubleProp("_GasteigerCharge") for atom in copy.GetAtoms()])


def correction_file(case: Case, path: str) -> oh.correction.Correction:
    """Train a correction of `case` on ten frames and write it to a file."""
    correction = oh.correction.train(case.gaff.model(), case.frames(10), molecule=case.molecule, progress=False)
    correction.save(path)
    return correction
