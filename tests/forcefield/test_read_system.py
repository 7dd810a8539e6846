"""ForceField.from_system against OpenMM's own energies and forces of the same System."""

from __future__ import annotations

import numpy as np
import openmm
import pytest
from openmm import app

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.system import SystemModel
from tests.helpers.forcefield_molecules import SMILES, built, chain, shaken

TERMS = {"coulomb": "nonbonded", "lj.pairs": "nonbonded"}


def same_as_openmm(system: openmm.System, topology: object, positions: np.ndarray) -> ForceField:
    """The force field, after a comparison of energies and forces to 1e-9 relative."""
    forcefield = ForceField.from_system(system, topology)
    energies, forces = forcefield.predict(positions)
    expected, expected_forces = SystemModel(system, topology).predict(positions)
    np.testing.assert_allclose(energies, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(forces, expected_forces, rtol=0, atol=1e-9 * np.abs(expected_forces).max())
    return forcefield


@pytest.mark.parametrize("name", SMILES)
def test_every_group_has_the_energy_that_openmm_gives(name: str) -> None:
    system, positions = built(name), shaken(built(name))
    forcefield = same_as_openmm(system.system, system.topology, positions)
    for frame in positions:
        found: dict[str, float] = {}
        for group, energy in forcefield.energies_by_group(frame[None]).items():
            term = TERMS.get(group, group)
            found[term] = found.get(term, 0.0) + float(energy[0])
        expected = system.model().energy_terms(frame)
        for term in expected.keys() | found.keys():
            assert found.get(term, 0.0) == pytest.approx(expected.get(term, 0.0), rel=1e-9, abs=1e-9), term


def test_the_molecules_have_what_they_are_here_for() -> None:
    """Impropers, a net charge, cosines with negative coefficients, atoms without a well."""
    assert any("impropers" in read(name).groups for name in SMILES)
    assert round(float(built("acetate").charges.sum())) == -1
    series = read("glycine methylamide")
    assert (series.parameters.values[series.group("propers").assignment[:, 1:]] < 0).any()
    ethanol = read("ethanol")
    assert (ethanol.parameters.values[ethanol.parameters.matching("lj/*/root_epsilon1")] == 0).any()


def read(name: str) -> ForceField:
    """The force field of a molecule, typed by GAFF."""
    system = built(name)
    return ForceField.from_system(system.system, system.topology, types=system.atom_types, name=name)


def test_equal_types_share_parameters() -> None:
    """Ethanol by GAFF types: hydrogens are hc, h1 and ho; by the graph, those of CH3, CH2 and OH."""
    by_type = read("ethanol")
    names = {name.split("/")[1] for name in by_type.parameters.names if name.startswith("bonds/")}
    assert names == {"c3-c3", "c3-hc", "c3-oh", "c3-h1", "ho-oh"}
    assert len(by_type.group("bonds")) == 8
    by_graph = ForceField.from_system(built("ethanol").system, built("ethanol").topology)
    assert len(set(by_graph.types)) == 6
    assert len(set(map(tuple, by_graph.group("bonds").assignment.tolist()))) == 5


def test_charge_of_an_atom_without_pairs_is_kept() -> None:
    """All pairs of three atoms in a row are excluded, as those of the carbon of methanol are."""
    system, topology, positions = chain(3)
    force = openmm.NonbondedForce()
    for charge in (-0.4, 0.3, -0.9):
        force.addParticle(charge, 0.3, 0.4)
    force.createExceptionsFromBonds([(0, 1), (1, 2)], 1 / 1.2, 0.5)
    system.addForce(force)
    forcefield = same_as_openmm(system, topology, positions)
    assert sorted(atom for atoms in forcefield.tables.charge_atoms().values() for atom in atoms) == [0, 1, 2]
    assert forcefield.tables.charge_sum() @ forcefield.parameters.values == pytest.approx(-1.0, abs=1e-12)


def test_scale_of_a_pair_without_a_well_is_that_of_the_others() -> None:
    """A fit may give the hydroxyl hydrogen of ethanol a well; its pairs three bonds apart are then halved too."""
    ethanol = read("ethanol")
    pairs = ethanol.group("lj.pairs")
    scales = ethanol.parameters.values[pairs.assignment[:, -1]]
    coulomb = ethanol.group("coulomb")
    charge_scales = ethanol.parameters.values[coulomb.assignment[:, -1]]
    near = set(map(tuple, coulomb.atoms[(charge_scales > 0) & (charge_scales < 0.99)].tolist()))
    assert len(near) == 12
    for pair, scale in zip(pairs.atoms.tolist(), scales, strict=True):
        if scale:
            assert scale == pytest.approx(0.5 if tuple(pair) in near else 1.0)


def test_morse_bonds_and_negative_barriers() -> None:
    """D(1 − exp(−a(r − r0)))² in kJ/mol and nm, with D as a global parameter; k (1 + cos(nφ − δ)) of any k and δ."""
    system, topology, positions = chain()
    morse = openmm.CustomBondForce("depth*(1-exp(-a*(r-r0)))^2")
    morse.addGlobalParameter("depth", 400.0)
    morse.addPerBondParameter("a")
    morse.addPerBondParameter("r0")
    for i in range(3):
        morse.addBond(i, i + 1, [18.0 + i, 0.14])
    harmonic = openmm.HarmonicBondForce()
    harmonic.addBond(3, 4, 0.15, 200000.0)
    harmonic.addBond(0, 1, 0.15, 0.0)
    torsions = openmm.PeriodicTorsionForce()
    torsions.addTorsion(0, 1, 2, 3, 2, np.pi, -3.0)
    torsions.addTorsion(3, 2, 1, 0, 3, 0.0, 1.5)
    torsions.addTorsion(1, 2, 3, 4, 1, 0.7, 2.5)
    torsions.addTorsion(0, 2, 1, 4, 2, np.pi, 4.0)
    for force in (morse, harmonic, torsions):
        system.addForce(force)
    forcefield = same_as_openmm(system, topology, positions)
    assert forcefield.groups == ("bonds", "bonds.morse", "propers", "impropers")
    assert len(forcefield.group("bonds")) == 1
    assert len(forcefield.group("propers")) == 2
    assert forcefield.group("propers").form.name == "fourier3s"


def test_constraints_are_warned_about() -> None:
    system, topology, _ = chain()
    system.addConstraint(0, 1, 0.15)
    with pytest.warns(UserWarning, match="1 constraints"):
        ForceField.from_system(system, topology)


def test_bonds_across_an_angle_are_terms_but_no_bonds() -> None:
    """Urey-Bradley terms, as OpenMM reads them from CHARMM files: harmonic bonds that the topology does not have."""
    system, topology, positions = chain()
    force = openmm.HarmonicBondForce()
    force.addBond(0, 1, 0.15, 200000.0)
    force.addBond(0, 2, 0.25, 10000.0)
    system.addForce(force)
    forcefield = same_as_openmm(system, topology, positions)
    assert forcefield.bonds.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]
    bare = app.Topology()
    residue = bare.addResidue("CHN", bare.addChain())
    for n in range(5):
        bare.addAtom(f"C{n}", app.element.carbon, residue)
    assert ForceField.from_system(system, bare).bonds.tolist() == [[0, 1], [0, 2]]


OWN = {
    "sigma": (0, 3, 0.008, 0.31, 0.1),
    "far": (0, 4, 0.02, 0.3, 0.3),
    "negative": (0, 3, -0.01, 0.3, 0.1),
    "well of an atom without one": (1, 4, 0.01, 0.3, 0.1),
}
"""Exceptions of five atoms in a row that are no scaled products of their atoms."""


@pytest.mark.parametrize("case", OWN)
def test_pairs_with_parameters_of_their_own_are_inner_pairs(case: str) -> None:
    system, topology, positions = chain()
    force = openmm.NonbondedForce()
    for epsilon in (0.2, 0.0, 0.2, 0.2, 0.2):
        force.addParticle(0.1, 0.3, epsilon)
    force.createExceptionsFromBonds([(i, i + 1) for i in range(4)], 1 / 1.2, 0.5)
    system.addForce(force)
    assert ForceField.from_system(system, topology).outer is None
    force.addException(*OWN[case], True)
    forcefield = same_as_openmm(system, topology, positions)
    assert forcefield.groups == ("pairs.inner",)
    assert forcefield.outer is not None
    np.testing.assert_allclose(forcefield.outer.charges, 0.1)
    np.testing.assert_allclose(forcefield.outer.sigmas, 3.0)
    np.testing.assert_allclose(forcefield.outer.epsilons, np.array([0.2, 0.0, 0.2, 0.2, 0.2]) / 4.184)


def unreadable() -> dict[str, tuple[openmm.Force, str]]:
    """What cannot be read, and what the message says."""
    cutoff = openmm.NonbondedForce()
    cutoff.setNonbondedMethod(openmm.NonbondedForce.CutoffNonPeriodic)
    offset = openmm.NonbondedForce()
    for force in (cutoff, offset):
        for _ in range(5):
            force.addParticle(0.1, 0.3, 0.2)
    offset.addGlobalParameter("lambda", 1.0)
    offset.addParticleParameterOffset("lambda", 0, 0.1, 0.0, 0.0)
    twice = openmm.HarmonicBondForce()
    twice.addBond(0, 1, 0.15, 1000.0)
    twice.addBond(1, 0, 0.15, 1000.0)
    quartic = openmm.CustomBondForce("k*r^4")
    quartic.addGlobalParameter("k", 1.0)
    named = openmm.RBTorsionForce()
    named.setName("butane")
    return {
        "cutoff": (cutoff, "NonbondedForce cannot be read: it has a cutoff"),
        "offset": (offset, "parameter offsets"),
        "twice": (twice, "HarmonicBondForce.*atoms 1-0 have two terms"),
        "quartic": (quartic, r"CustomBondForce cannot be read: its energy 'k\*r\^4'"),
        "unknown": (named, "RBTorsionForce 'butane' cannot be read"),
        "cmap": (openmm.CMAPTorsionForce(), "CMAPTorsionForce cannot be read"),
    }


@pytest.mark.parametrize("case", unreadable())
def test_refusals_name_the_force(case: str) -> None:
    force, message = unreadable()[case]
    system, topology, _ = chain()
    system.addForce(force)
    with pytest.raises(MismatchError, match=message):
        ForceField.from_system(system, topology)


def test_refuses_boxes_other_topologies_and_types() -> None:
    system, topology, _ = chain()
    with pytest.raises(MismatchError, match="4 types were given; expected 5"):
        ForceField.from_system(system, topology, types=["c3"] * 4)
    with pytest.raises(MismatchError, match="5 particles, the topology 4"):
        ForceField.from_system(system, chain(4)[1])
    force = openmm.NonbondedForce()
    force.setNonbondedMethod(openmm.NonbondedForce.PME)
    for _ in range(5):
        force.addParticle(0.1, 0.3, 0.2)
    system.addForce(force)
    with pytest.raises(MismatchError, match="the System is periodic"):
        ForceField.from_system(system, topology)


def test_forces_without_energy_are_passed_over() -> None:
    system, topology, positions = chain()
    bonds = openmm.HarmonicBondForce()
    bonds.addBond(0, 1, 0.15, 1000.0)
    for force in (openmm.CMMotionRemover(), bonds):
        system.addForce(force)
    assert same_as_openmm(system, topology, positions).groups == ("bonds",)
