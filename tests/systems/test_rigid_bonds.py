"""replace() of a force field in a System with constraints inside the molecule.

Expected numbers: energies and forces of the flexible molecule in the same positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import openmm
import pytest
from openmm import app, unit

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.forcefield.bond_lengths import mean_bond_lengths
from tests.helpers.boxes import BONDS, NUMBERS, RECTANGULAR, TRICLINIC, Case
from tests.helpers.classical_ethanol import box, forcefield, molecule, predict

pytestmark = pytest.mark.filterwarnings("error")

HBONDS = tuple(bond for bond in BONDS if 1 in (NUMBERS[bond[0]], NUMBERS[bond[1]]))
KINDS = {"HBonds": HBONDS, "AllBonds": BONDS}
FORMS: dict[str, dict[str, Any]] = {
    "harmonic": {},
    "cross": {"bonds": "morse", "cross": ["angle"]},
    "anharmonic": {"bonds": "spline", "cross": True},
    "neural": {"bonds": "neural", "angles": "spline"},
}


def harmonic(system: openmm.System) -> openmm.HarmonicBondForce:
    (found,) = (force for force in system.getForces() if isinstance(force, openmm.HarmonicBondForce))
    return found


def constrain(system: openmm.System, copies: Iterable[Iterable[int]], bonds: Iterable[tuple[int, int]]) -> None:
    """Constraints in place of bonds, as ForceField.createSystem makes them."""
    pairs = {(atoms[i], atoms[j]) for atoms in map(list, copies) for i, j in bonds}
    old, new = harmonic(system), openmm.HarmonicBondForce()
    for k in range(old.getNumBonds()):
        i, j, length, stiffness = old.getBondParameters(k)
        if (i, j) in pairs:
            system.addConstraint(int(i), int(j), length)
        else:
            new.addBond(i, j, length, stiffness)
    system.removeForce([type(force) for force in system.getForces()].index(openmm.HarmonicBondForce))
    system.addForce(new)


def rigid(kind: str, shape: np.ndarray = RECTANGULAR, n_copies: int = 2) -> Case:
    """Ethanols in water with constraints inside them."""
    case = box(shape, n_copies=n_copies, n_waters=20)
    constrain(case.system, case.atoms.tolist(), KINDS[kind])
    return case


def inner_lengths(system: openmm.System, case: Case) -> list[dict[tuple[int, int], float]]:
    """Lengths (Å) of the constraints of each copy by the force field's atoms."""
    index = {int(atom): (copy, k) for copy, atoms in enumerate(case.atoms) for k, atom in enumerate(atoms)}
    found: list[dict[tuple[int, int], float]] = [{} for _ in case.atoms]
    for number in range(system.getNumConstraints()):
        i, j, length = system.getConstraintParameters(number)
        if i in index:
            copy, first = index[i]
            found[copy][min(first, index[j][1]), max(first, index[j][1])] = length.value_in_unit(unit.angstrom)
    return found


def on_constraints(system: openmm.System, positions: np.ndarray) -> np.ndarray:
    """Positions (n_frames, n_particles, 3), Å, moved onto the System's constraints."""
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    moved = []
    for frame in positions:
        context.setPositions(frame / 10)
        context.applyConstraints(1e-12)
        moved.append(context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom))
    return np.array(moved)


def distorted(case: Case) -> np.ndarray:
    rng = np.random.default_rng(2)
    positions = np.repeat(case.whole[None], 3, axis=0)
    for atoms in case.atoms:
        positions[:, atoms] += rng.normal(scale=0.04, size=(3, 9, 3))
    return positions


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("forms", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_energies_and_forces_are_those_of_the_flexible_molecule(
    platform: str, forms: dict[str, Any], kind: str
) -> None:
    """On the constraints, energies differ by a constant (1e-9), and forces along the constrained bonds only."""
    model, flexible, case = forcefield(**forms), box(RECTANGULAR, n_copies=2, n_waters=20), rigid(kind)
    oh.replace(flexible.system, flexible.topology, model, atoms=flexible.atoms)
    oh.replace(case.system, case.topology, model, atoms=case.atoms)
    positions = on_constraints(case.system, distorted(case))
    energies, forces = predict(case.system, positions, platform)
    expected, wanted = predict(flexible.system, positions, platform)
    exact = platform == "Reference"
    np.testing.assert_allclose(energies - energies[0], expected - expected[0], rtol=0, atol=1e-9 if exact else 2e-3)
    assert np.abs(expected - expected[0]).max() > 1.0
    for frame, difference in zip(positions, (forces - wanted).reshape(3, -1), strict=True):
        jacobian = np.zeros((len(KINDS[kind]) * 2, *frame.shape))
        pairs = [(atoms[i], atoms[j]) for atoms in case.atoms for i, j in KINDS[kind]]
        for row, (i, j) in zip(jacobian, pairs, strict=True):
            row[i] = (frame[i] - frame[j]) / np.linalg.norm(frame[i] - frame[j])
            row[j] = -row[i]
        across = jacobian.reshape(len(pairs), -1).T
        left = difference - across @ np.linalg.lstsq(across, difference, rcond=None)[0]
        assert np.abs(left).max() < (1e-8 if exact else 1e-4) * np.abs(wanted).max()


def test_the_constant_is_the_energy_of_the_bond_terms() -> None:
    flexible, case = box(RECTANGULAR, n_waters=20), rigid("HBonds", n_copies=1)
    oh.replace(case.system, case.topology, forcefield(), atoms=case.atoms)
    positions = on_constraints(case.system, case.whole[None])
    missing = predict(flexible.system, positions)[0][0] - predict(case.system, positions)[0][0]
    (lengths,) = inner_lengths(case.system, case)
    bonds = forcefield().group("bonds")
    rows = dict(zip(map(tuple, bonds.atoms.tolist()), forcefield().tables.values(bonds).tolist(), strict=True))
    constant = sum(0.5 * rows[bond][0] * (length - rows[bond][1]) ** 2 for bond, length in lengths.items())
    assert constant > 1e-3
    assert missing == pytest.approx(constant, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_the_means_on_every_copy(kind: str) -> None:
    model, case = forcefield(bonds="morse", cross=["angle"]), rigid(kind)
    waters = [case.system.getConstraintParameters(k) for k in range(case.system.getNumConstraints())][:6]
    count = case.system.getNumConstraints()
    oh.replace(case.system, case.topology, model, atoms=case.atoms, temperature=500 * unit.kelvin)
    first, second = inner_lengths(case.system, case)
    assert first == pytest.approx(mean_bond_lengths(model, sorted(KINDS[kind]), 500.0), abs=1e-12)
    assert first == second
    assert first[0, 3] == first[0, 4] == first[0, 5]  # the methyl group
    assert case.system.getNumConstraints() == count
    assert [case.system.getConstraintParameters(k) for k in range(count)][:6] == waters


def test_no_term_stays_on_a_constrained_bond() -> None:
    """Neither old ones, which createSystem(flexibleConstraints=True) leaves there, nor new ones, nor marks."""
    case = box(RECTANGULAR, n_copies=2, n_waters=20)
    pairs = {frozenset((atoms[i], atoms[j])) for atoms in case.atoms.tolist() for i, j in HBONDS}
    for i, j in map(tuple, pairs):
        case.system.addConstraint(int(i), int(j), 0.1)
    made = oh.replace(case.system, case.topology, forcefield(bonds="morse", cross=["angle"]), atoms=case.atoms)
    bonds = harmonic(case.system)
    left = {frozenset(bonds.getBondParameters(k)[:2]) for k in range(bonds.getNumBonds())}
    assert not pairs & left
    assert len(left) == 2 * 2  # marks of the Morse bonds C-C and C-O
    (morse,) = (force for force in made if isinstance(force, openmm.CustomBondForce))
    assert morse.getNumBonds() == 2 * 2
    (cross,) = (force for force in made if isinstance(force, openmm.CustomCompoundBondForce))
    assert cross.getNumBonds() == 2 * 13  # angles, none of which has three constrained distances
    found = [set(each) for each in openmm.Context(case.system, openmm.VerletIntegrator(0.001)).getMolecules()]
    assert all(set(copy) in found for copy in case.atoms.tolist())


def test_all_bonds_constrained_leave_no_bond_force() -> None:
    system, topology = molecule()
    constrain(system, [range(9)], BONDS)
    made = oh.replace(system, topology, forcefield(bonds="morse", cross=["angle"]))
    assert sorted(type(force).__name__ for force in made) == [
        "CustomCompoundBondForce",
        "HarmonicAngleForce",
        "NonbondedForce",
        "PeriodicTorsionForce",
    ]
    assert harmonic(system).getNumBonds() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_wrapped_atoms_and_xml(kind: str) -> None:
    case, model = rigid(kind, TRICLINIC), forcefield(bonds="morse", cross=["angle", "torsion"])
    oh.replace(case.system, case.topology, model, atoms=case.atoms)
    again = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(case.system))
    assert inner_lengths(again, case) == inner_lengths(case.system, case)
    (whole, wrapped), pulls = predict(again, np.stack([case.whole, case.wrapped]))
    assert wrapped == pytest.approx(whole, rel=1e-8)
    np.testing.assert_allclose(pulls[1], pulls[0], rtol=0, atol=1e-7 * np.abs(pulls[0]).max())
    assert whole == predict(case.system, case.whole[None])[0][0]


def test_dynamics_keep_the_lengths() -> None:
    system, topology = molecule()
    constrain(system, [range(9)], HBONDS)
    oh.replace(system, topology, forcefield(bonds="morse"))
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.002)
    integrator.setConstraintTolerance(1e-8)
    simulation = app.Simulation(topology, system, integrator, openmm.Platform.getPlatformByName("Reference"))
    case = box(RECTANGULAR)
    simulation.context.setPositions(case.whole[case.atoms[0]] / 10)
    simulation.minimizeEnergy(maxIterations=50)
    simulation.context.setVelocitiesToTemperature(300.0, 1)
    simulation.step(200)
    after = simulation.context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    for k in range(system.getNumConstraints()):
        i, j, length = system.getConstraintParameters(k)
        assert np.linalg.norm(after[i] - after[j]) == pytest.approx(length.value_in_unit(unit.angstrom), rel=1e-7)


def test_a_second_call_replaces_the_first() -> None:
    case = rigid("HBonds")
    before = openmm.XmlSerializer.clone(case.system)
    oh.replace(case.system, case.topology, forcefield(), atoms=case.atoms)
    oh.replace(case.system, case.topology, forcefield(bonds="morse"), atoms=case.atoms)
    oh.replace(before, case.topology, forcefield(bonds="morse"), atoms=case.atoms)
    assert inner_lengths(case.system, case) == inner_lengths(before, case)
    positions = on_constraints(before, case.whole[None])
    assert predict(case.system, positions)[0] == pytest.approx(predict(before, positions)[0], abs=1e-9)


def _angle(case: Case) -> None:
    case.system.addConstraint(int(case.atoms[0, 3]), int(case.atoms[0, 4]), 0.178)


def _one_copy(case: Case) -> None:
    case.system.addConstraint(int(case.atoms[1, 0]), int(case.atoms[1, 1]), 0.15)


def _outside(case: Case) -> None:
    other = next(k for k in range(case.system.getNumParticles()) if k not in case.atoms)
    case.system.addConstraint(int(case.atoms[1, 0]), other, 0.15)


REFUSALS: list[tuple[Callable[[Case], None], str]] = [
    (_angle, "have a constraint, and they are not bonded in the force field"),
    (_one_copy, "the bond 0-1 of the molecule is constrained in only one of its copies 0 and 1"),
    (_outside, "the constraint .* joins the molecule with other atoms"),
]


@pytest.mark.parametrize(("spoil", "message"), REFUSALS, ids=[spoil.__name__ for spoil, _ in REFUSALS])
def test_refusals_leave_the_system_as_it_was(spoil: Callable[[Case], None], message: str) -> None:
    case = rigid("HBonds")
    spoil(case)
    before = openmm.XmlSerializer.serialize(case.system)
    with pytest.raises(MismatchError, match=message):
        oh.replace(case.system, case.topology, forcefield(), atoms=case.atoms)
    assert openmm.XmlSerializer.serialize(case.system) == before


@pytest.mark.parametrize("temperature", [0, -300.0, np.nan, np.inf, "warm", None, True, [300.0, 310.0]])
def test_temperatures_are_positive_numbers(temperature: Any) -> None:
    case = rigid("HBonds")
    with pytest.raises(InputError, match="temperature"):
        oh.replace(case.system, case.topology, forcefield(), atoms=case.atoms, temperature=temperature)


def test_water_as_the_molecule() -> None:
    """Two constraints of bonds are supported; rigid water has a third one across its angle."""
    topology, system = app.Topology(), openmm.System()
    residue = topology.addResidue("MOL", topology.addChain())
    atoms = [topology.addAtom(f"A{k}", app.Element.getBySymbol(s), residue) for k, s in enumerate("OHH")]
    bonds, bends, pairs = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.NonbondedForce()
    for atom, charge in zip(atoms, (-0.8, 0.4, 0.4), strict=True):
        system.addParticle(atom.element.mass)
        pairs.addParticle(charge, 0.3, 0.0)
    for k in (1, 2):
        topology.addBond(atoms[0], atoms[k])
        bonds.addBond(0, k, 0.096, 4e5)
    bends.addAngle(1, 0, 2, 1.82, 400.0)
    pairs.createExceptionsFromBonds([(0, 1), (0, 2)], 1.0, 1.0)
    for force in (bonds, bends, pairs):
        system.addForce(force)
    model = oh.ForceField.from_system(system, topology)
    constrain(system, [range(3)], [(0, 1), (0, 2)])
    oh.replace(system, topology, model)
    lengths = [system.getConstraintParameters(k)[2].value_in_unit(unit.angstrom) for k in (0, 1)]
    assert lengths[0] == lengths[1] == pytest.approx(0.96 + 2 * 0.001987 * 300 / (0.96 * 4e5 / 418.4), abs=1e-4)
    system.addConstraint(1, 2, 0.15)
    with pytest.raises(MismatchError, match="atoms 1 and 2 have a constraint"):
        oh.replace(system, topology, model)
