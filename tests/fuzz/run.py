"""Tries a case: the same energies and forces everywhere, or a clear refusal."""

from __future__ import annotations

import re
import tempfile
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

import openmm_hybrid as oh
from openmm_hybrid import ForceField, Molecule
from openmm_hybrid.core.errors import HybridError
from openmm_hybrid.core.units import NM_PER_ANGSTROM
from openmm_hybrid.systems.tabulate import can_tabulate, tabulate
from openmm_hybrid.systems.xml import read_xml
from tests.fuzz import place
from tests.fuzz.classical import distorted, make_system, make_topology
from tests.fuzz.draw import Case, directions
from tests.fuzz.evaluate import Comparison, Difference, Evaluated, Evaluator
from tests.fuzz.forcefields import base_forcefield, bonded_part, edited, without_constant_terms

EXACT, DOUBLE, SINGLE, DIFFERENCES = 1e-12, 1e-8, 2e-4, 1e-7
"""Tolerances: of copies, of two programs in double precision, of OpenMM's CPU platform, of finite differences."""
BETWEEN = 2.0
"""Largest error of a table over that at its probes."""
LAMBDA = "lambda_fuzz"
EXPECTED_WARNINGS = (
    "has dihedral terms through straight angles",
    "constraints lie inside the model's atoms",
)
"""Warnings that say what is so."""


@dataclass(frozen=True)
class Outcome:
    """What a case led to.

    Parameters
    ----------
    kind : {"passed", "refused", "failed"}
    message : str
        The refusal or the failure.
    largest : dict of str to float
        Largest deviation of each kind over its tolerance.
    """

    kind: str
    message: str = ""
    largest: dict[str, float] = field(default_factory=dict)


def run(case: Case) -> Outcome:
    """Try a case. Anything but equal numbers and refusals in one line is a failure, warnings too."""
    comparison = Comparison()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", r".torch\.jit\..* is deprecated", DeprecationWarning)
        try:
            _try(case, comparison)
        except Difference as error:
            return Outcome("failed", str(error), comparison.largest)
        except HybridError as error:
            if "\n" in str(error):
                return Outcome("failed", f"a refusal of several lines: {error}", comparison.largest)
            return Outcome("refused", str(error), comparison.largest)
        except Exception:  # noqa: BLE001
            return Outcome("failed", traceback.format_exc(), comparison.largest)
    for warning in caught:
        if not any(re.search(text, str(warning.message)) for text in EXPECTED_WARNINGS):
            return Outcome("failed", f"warning: {warning.category.__name__}: {warning.message}", comparison.largest)
    return Outcome("passed", "", comparison.largest)


def _try(case: Case, comparison: Comparison) -> None:
    molecule = Molecule.from_smiles(case.smiles)
    molecule = molecule.reordered(case.random(0).permutation(molecule.n_atoms).tolist())
    vacuum = make_system(molecule, case.classical, case.random(1))
    base = base_forcefield(case, molecule, vacuum)
    frames = distorted(molecule, case.shake, 2, case.random(4))
    _compare_alone(comparison, "base force field", vacuum, base, frames)
    forcefield = edited(case, base)
    _check_model(case, comparison, forcefield, frames)
    with tempfile.TemporaryDirectory() as folder:
        _check_files(comparison, forcefield, frames, Path(folder))
    {"replace": _replace, "attach": _attach, "register": _register, "replicate": _replicate}[case.how](
        case, comparison, molecule, vacuum, forcefield
    )


def _compare_alone(
    comparison: Comparison, name: str, system: openmm.System, model: ForceField, frames: NDArray[np.float64]
) -> None:
    evaluator = Evaluator(system)
    energies, forces = model.predict(frames)
    for frame, energy, force in zip(frames, energies, forces, strict=True):
        comparison.check(name, evaluator.at(frame), (float(energy), force), DOUBLE)


def _check_model(case: Case, comparison: Comparison, model: ForceField, frames: NDArray[np.float64]) -> None:
    """Forces are derivatives of the energy, and turning and moving the molecule changes nothing."""
    rng = case.random(5)
    (energy, *_), (force, *_) = model.predict(frames)
    along, step = directions(rng, force.shape), 3e-4
    points = frames[0] + step * np.array([-2.0, -1.0, 1.0, 2.0])[:, None, None] * along
    slope = float(model.predict(points)[0] @ [1.0, -8.0, 8.0, -1.0]) / (12.0 * step)
    comparison.numbers("finite differences", slope, -float((along * force).sum()), _size(force) * DIFFERENCES)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    turned, pulls = model.predict(frames[0] @ turn + rng.normal(scale=5.0, size=3))
    comparison.check("turned molecule", (float(turned), pulls), (float(energy), force @ turn), DOUBLE)


def _size(forces: NDArray[np.float64]) -> float:
    """Scale of a tolerance for derivatives: large forces bend more."""
    return max(1.0, float(np.abs(forces).max()))


def _check_files(comparison: Comparison, model: ForceField, frames: NDArray[np.float64], folder: Path) -> None:
    """The same model from its file, and the same energies from the template where it can be written."""
    again = ForceField.load(model.save(folder / "forcefield.npz"))
    for name, one, two in zip(("energies", "forces"), again.predict(frames), model.predict(frames), strict=True):
        comparison.numbers(f"file: {name}", float(np.abs(one - two).max()), 0.0, EXACT)
    if again.parameters.names != model.parameters.names or again.tables.types != model.tables.types:
        raise Difference("names of the file differ")


def _replace(
    case: Case, comparison: Comparison, molecule: Molecule, vacuum: openmm.System, forcefield: ForceField
) -> None:
    placed = place.place(case, molecule)
    system = place.base_system(case, placed, vacuum)
    before = [system.getParticleMass(k)._value for k in range(system.getNumParticles())]
    oh.replace(
        system,
        placed.topology,
        forcefield,
        atoms=placed.atoms if len(placed.atoms) > 1 else placed.atoms[0],
        backend=case.backend,
        fitted_nonbonded_outside=case.fitted_outside,
        force_group=int(case.random(6).integers(32)),
    )
    if before != [system.getParticleMass(k)._value for k in range(system.getNumParticles())]:
        raise Difference("masses differ")
    _compare_placed(case, comparison, molecule, vacuum, forcefield, placed, system)


def _register(
    case: Case, comparison: Comparison, molecule: Molecule, vacuum: openmm.System, forcefield: ForceField
) -> None:
    placed, around = place.place(case, molecule), case.surroundings
    forcefields = app.ForceField("amber14/tip3p.xml")
    oh.register(forcefields, forcefield, backend=case.backend, fitted_nonbonded_outside=case.fitted_outside)
    system = forcefields.createSystem(
        placed.topology,
        nonbondedMethod=getattr(app, around.method),
        nonbondedCutoff=place.CUTOFF * NM_PER_ANGSTROM * unit.nanometer,
        switchDistance=0.9 * place.CUTOFF * NM_PER_ANGSTROM * unit.nanometer if around.switch else None,
        constraints=None if around.constraints == "none" else getattr(app, around.constraints),
        hydrogenMass=around.hydrogen_mass or None,
        removeCMMotion=False,
    )
    _compare_placed(case, comparison, molecule, vacuum, forcefield, placed, system)


def _compare_placed(
    case: Case,
    comparison: Comparison,
    molecule: Molecule,
    vacuum: openmm.System,
    forcefield: ForceField,
    placed: place.Placed,
    system: openmm.System,
) -> None:
    """Energies of the finished System and of its parts, on whole and wrapped molecules, on two platforms."""
    reference = Evaluator(system)  # contexts are costly: OpenMM differentiates long expressions for each
    whole = reference.constrained(placed.whole) if system.getNumConstraints() else placed.whole
    flexible = without_constant_terms(forcefield, place.rigid_bonds(case, molecule))
    inside = flexible if forcefield.outer is not None else bonded_part(flexible)
    environment = place.expected_environment(case, placed, vacuum, forcefield)
    expected = _sum(Evaluator(environment).at(whole), placed, inside, whole)
    tables = _table_errors(forcefield, len(placed.atoms))
    found = reference.at(whole)
    comparison.check(f"{case.how}", found, expected, DOUBLE, tables)
    wrapped = placed.wrapped(whole, case.random(7))
    comparison.check(f"{case.how}, wrapped", reference.at(wrapped), found, DOUBLE)
    again = _from_xml(system)
    # OpenMM's CPU platform may leave out a pair in a small triclinic box, so we compare it with itself.
    expected = _sum(Evaluator(environment, "CPU").at(whole), placed, inside, whole)
    comparison.check(f"{case.how}, XML, CPU", Evaluator(again, "CPU").at(wrapped), expected, SINGLE, tables)


def _from_xml(system: openmm.System) -> openmm.System:
    """The System after a round trip through XML, which must give the same text again.

    A TorchForce packs its module anew, so that its text differs; the energies of the copy are compared in any case.
    """
    text = openmm.XmlSerializer.serialize(system)
    again: openmm.System = read_xml(text, Path("system.xml"), openmm.System, hint="")
    if "TorchForce" not in text and openmm.XmlSerializer.serialize(again) != text:
        raise Difference("the System and its copy from XML differ")
    return again


def _sum(
    around: Evaluated, placed: place.Placed, inside: ForceField | None, whole: NDArray[np.float64], scale: float = 1.0
) -> Evaluated:
    """Energy and forces of the surroundings and of the force field inside all copies."""
    if inside is None:
        return around
    energies, pulls = inside.predict(whole[placed.atoms])
    forces = around[1].copy()
    np.add.at(forces, placed.atoms, scale * pulls)
    return around[0] + scale * float(energies.sum()), forces


def _table_errors(forcefield: ForceField, copies: int) -> tuple[float, float]:
    """Errors of the energy of all copies, kcal/mol, and of a force, kcal/mol/Å, due to terms that become tables."""
    energy = force = 0.0
    for terms in forcefield.terms:
        form = terms.form
        if terms.slot != "pairs" and not form.plain_force and not form.expression() and can_tabulate(form):
            table = tabulate(form, forcefield.parameters.values[np.unique(terms.assignment, axis=0)], terms.group)
            energy += BETWEEN * copies * len(terms) * table.energy_error
            force += BETWEEN * len(terms) * table.slope_error
    return energy, force


def _attach(
    case: Case, comparison: Comparison, molecule: Molecule, vacuum: openmm.System, forcefield: ForceField
) -> None:
    inside = forcefield if forcefield.outer is not None else bonded_part(forcefield)
    if inside is None:
        return
    placed = place.place(case, molecule)
    system = place.expected_environment(case, placed, vacuum, forcefield)
    environment, on_cpu = (Evaluator(system, platform).at(placed.whole) for platform in ("Reference", "CPU"))
    oh.attach(
        system,
        placed.topology,
        inside,
        atoms=placed.atoms if len(placed.atoms) > 1 else placed.atoms[0],
        backend=case.backend,
        scale=LAMBDA if case.scale else None,
    )
    tables = _table_errors(forcefield, len(placed.atoms))
    reference = Evaluator(system)
    found = reference.at(placed.whole)
    full = _sum(environment, placed, inside, placed.whole)
    comparison.check("attach", found, full, DOUBLE, tables)
    if case.scale:
        part, slope = reference.scaled(placed.whole, LAMBDA, 0.37)
        comparison.check("attach, λ", part, _sum(environment, placed, inside, placed.whole, 0.37), DOUBLE, tables)
        comparison.numbers("attach, dE/dλ", slope, full[0] - environment[0], DOUBLE + tables[0])
        reference.scaled(placed.whole, LAMBDA, 1.0)
    wrapped = placed.wrapped(placed.whole, case.random(7))
    comparison.check("attach, wrapped", reference.at(wrapped), found, DOUBLE)
    again, full = Evaluator(_from_xml(system), "CPU"), _sum(on_cpu, placed, inside, placed.whole)
    comparison.check("attach, XML, CPU", again.at(wrapped), full, SINGLE, tables)


def _replicate(
    case: Case, comparison: Comparison, molecule: Molecule, vacuum: openmm.System, forcefield: ForceField
) -> None:
    """Independent copies of the molecule in vacuum."""
    topology = make_topology(molecule)
    system = openmm.XmlSerializer.clone(vacuum)
    oh.replace(system, topology, forcefield, backend=case.backend)
    number = case.surroundings.copies + 1
    copies, _ = oh.replicate(system, topology, number)
    frames = distorted(molecule, case.shake, number, case.random(8))
    energies, forces = forcefield.predict(frames)
    expected = float(energies.sum()), forces.reshape(-1, 3)
    tables = _table_errors(forcefield, number)
    for platform, tolerance in (("Reference", DOUBLE), ("CPU", SINGLE)):
        found = Evaluator(copies, platform).at(frames.reshape(-1, 3))
        comparison.check(f"replicate, {platform}", found, expected, tolerance, tables)
