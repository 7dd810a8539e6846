"""Torsion profiles: which bonds are rotors, relaxed scans against an independent minimiser, and deviations by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize

import openmm_hybrid as oh
from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.core import geometry
from openmm_hybrid.refinement.check_results import WINDOW, Rotor, RotorProfile
from openmm_hybrid.refinement.torsion_profiles import Relaxation, grid, rotors, turned


@pytest.mark.parametrize(
    ("smiles", "names"),
    [
        ("CCO", []),
        ("FCCF", ["C1–C2"]),
        ("C1CCCCC1", []),
        ("CCC=C", ["C1–C2"]),
        ("CCOCC", ["C1–O2"]),  # O2–C3 is equivalent
        ("CC(=O)Nc1ccc(O)cc1", ["N3–C4", "C1–N3"]),  # the amide too
        ("CC#CC(F)F", []),  # the bonds beside the triple bond have no dihedral
        ("c1ccccc1C#N", []),
        ("CCCCC(=O)[O-]", ["C2–C3", "C1–C2", "C3–C4"]),
    ],
)
def test_rotors_are_single_bonds_between_heavy_atoms_with_others(smiles: str, names: list[str]) -> None:
    molecule = oh.Molecule.from_smiles(smiles)
    found = rotors(molecule, np.array(molecule.conformers))
    assert sorted(rotor.name for rotor in found) == sorted(names)
    heavy = molecule.atomic_numbers > 1
    sizes = [int(heavy[list(rotor.moved)].sum()) for rotor in found]
    assert sizes == sorted(sizes, reverse=True)
    for rotor in found:
        assert heavy[list(rotor.atoms)].all()
        assert rotor.atoms[3] in rotor.moved
        assert not set(rotor.atoms[:3]) & set(rotor.moved)


@pytest.fixture(scope="module")
def built() -> BuiltSystem:
    """1,2-Difluoroethane with GAFF and small charges."""
    molecule = oh.Molecule.from_smiles("FCCF")
    return oh.build(molecule, charges=np.array([-0.2, 0.0, 0.0, -0.2, 0.1, 0.1, 0.1, 0.1]), progress=False)


@pytest.fixture(scope="module")
def rotor() -> Rotor:
    molecule = oh.Molecule.from_smiles("FCCF")
    return rotors(molecule, np.array(molecule.conformers))[0]


def test_turning_changes_the_dihedral_alone(built: BuiltSystem, rotor: Rotor) -> None:
    start = np.array(built.positions)
    moved = turned(start, rotor, 1.0)
    assert geometry.dihedral(moved[None], [rotor.atoms])[0, 0] == pytest.approx(1.0, abs=1e-9)
    bonds = oh.Molecule.from_smiles("FCCF").bonds
    np.testing.assert_allclose(geometry.distance(moved[None], bonds), geometry.distance(start[None], bonds), atol=1e-9)
    fixed = [atom for atom in range(len(start)) if atom not in rotor.moved]
    np.testing.assert_array_equal(moved[fixed], start[fixed])


def test_a_scan_agrees_with_an_independent_minimisation(built: BuiltSystem, rotor: Rotor) -> None:
    """The other one is in scipy, on the forces of the package's own model, with a penalty on the dihedral."""
    model = oh.ForceField.from_system(built.system, built.topology)
    positions, energies = Relaxation(built.system, [rotor]).scan(rotor, np.array(built.positions), 12)
    reached = geometry.dihedral(positions, [rotor.atoms])[:, 0]
    np.testing.assert_allclose(np.exp(1j * reached), np.exp(1j * grid(12)), atol=0.02)
    expected = []
    for angle, start in zip(reached, positions, strict=True):

        def penalised(x: np.ndarray, angle: float = angle) -> tuple[float, np.ndarray]:
            frame = x.reshape(1, -1, 3)
            energy, forces = model.predict(frame)
            value, gradient = geometry.dihedral_gradient(frame, [rotor.atoms])
            off = np.angle(np.exp(1j * (value[0, 0] - angle)))
            slope = -forces[0]
            slope[list(rotor.atoms)] += 1e4 * off * gradient[0, 0]
            return float(energy[0]) + 0.5e4 * off**2, slope.ravel()

        rough = start + np.random.default_rng(0).normal(0.0, 0.02, start.shape)
        found = minimize(penalised, rough.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 5000})
        expected.append(float(model.predict(found.x.reshape(1, -1, 3))[0][0]))
    np.testing.assert_allclose(energies, expected, atol=0.02)
    assert np.ptp(energies) > 1.0


def test_relaxed_energies_at_the_angles_of_a_scan_are_those_of_the_scan(built: BuiltSystem, rotor: Rotor) -> None:
    relaxation = Relaxation(built.system, [rotor])
    positions, energies = relaxation.scan(rotor, np.array(built.positions), 8)
    again = Relaxation(built.system, [rotor]).energies(rotor, positions, grid(8))
    np.testing.assert_allclose(again, energies, atol=0.02)
    free = relaxation.minimum(positions[0])
    assert float(oh.ForceField.from_system(built.system, built.topology).predict(free)[0]) <= energies[0] + 0.02


def test_deviations_by_hand() -> None:
    """Angles above the window do not count, and constant shifts vanish."""
    rotor = Rotor((0, 1, 2, 3), (3,), "C1–C2")
    reference = np.array([5.0, 6.0, 7.0, 5.0 + WINDOW + 1.0])
    profile = RotorProfile.of(
        rotor, [-180.0, -90.0, 0.0, 90.0], reference, reference + np.array([10.0, 13.0, 10.0, 99.0]), reference - 3.0
    )
    assert profile.reference == (0.0, 1.0, 2.0, WINDOW + 1.0)
    assert profile.rms == pytest.approx(np.sqrt((1 + 4 + 1) / 3))
    assert profile.largest == pytest.approx(2.0)
    assert profile.base_rms == pytest.approx(0.0)
    assert profile.base == pytest.approx(profile.reference)
    assert profile.false_minimum == 0.0
    assert RotorProfile.from_dict(json.loads(json.dumps(profile.as_dict()))) == profile


def test_a_minimum_where_the_reference_is_high_is_false() -> None:
    """The refined energy is 4 below its lowest one at the compared angles."""
    rotor = Rotor((0, 1, 2, 3), (3,), "C1–C2")
    reference = np.array([0.0, 2.0, WINDOW + 5.0])
    profile = RotorProfile.of(rotor, [-180.0, -60.0, 60.0], reference, [0.0, 2.0, -4.0], reference)
    assert profile.rms == pytest.approx(0.0)
    assert profile.false_minimum == pytest.approx(4.0)
