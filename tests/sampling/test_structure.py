"""Faults of geometries: which atoms are fused, which bond is broken, which angle is straight."""

from __future__ import annotations

import numpy as np
import openmm
import pytest

from openmm_hybrid.sampling.structure import Structure
from openmm_hybrid.systems.replicas import replicate
from tests.faults.simulations import acid, argon, chain
from tests.faults.systems import built
from tests.helpers.oscillators import water


def test_names_and_bonds_come_from_topology_or_system() -> None:
    system, topology, _ = water()
    assert Structure.of(system).names == ("0 (O)", "1 (H)", "2 (H)")
    assert Structure.of(system, topology).names[1] == "H1 (atom 1)"
    np.testing.assert_array_equal(Structure.of(system).bonds, [[0, 1], [0, 2]])
    system.setParticleMass(1, 3.024)  # a repartitioned mass
    assert Structure.of(system).names[1] == "1 (H)"
    ethanol = built("CCO")
    bare = openmm.System()
    for _ in range(9):
        bare.addParticle(1.0)
    np.testing.assert_array_equal(Structure.of(bare, ethanol.topology).bonds, Structure.of(ethanol.system).bonds)


def test_long_lists_are_shortened() -> None:
    structure = Structure.of(argon(2, 5.0, 4.0)[0])
    assert structure.named(range(8)) == "0 (Ar), 1 (Ar), 2 (Ar), 3 (Ar), 4 (Ar), 5 (Ar) and 2 more"


@pytest.mark.parametrize(("distance", "expected"), [(0.49, True), (0.51, False)])
def test_limit_of_fused_atoms(distance: float, expected: bool) -> None:
    system, topology, positions = argon(2, 5.0, 4.0)
    structure = Structure.of(system, topology)
    positions[7] = positions[2] + [0.0, distance, 0.0]
    assert (structure.fused(positions) == (2, 7, pytest.approx(distance))) is expected


def test_bonded_atoms_may_be_near() -> None:
    system, topology, positions = water()
    structure = Structure.of(system, topology)
    assert structure.fused(positions, apart=1.2) is None
    assert structure.fused(positions * 0.5, apart=1.2) == (0, 1, pytest.approx(0.48))  # a bond of half its length
    text, _ = structure.fused_text((1, 2, 0.3))
    assert text == "atoms H1 (atom 1) and H2 (atom 2), which are not bonded, have fused: they are 0.3 Å apart"


def test_copies_that_do_not_interact_may_overlap() -> None:
    """Replicas are at the same place at the start; so are atoms whose interaction is excluded."""
    ethanol = built("CCO")
    system, topology = replicate(ethanol.system, ethanol.topology, 2)
    positions = np.tile(ethanol.molecules[0].positions, (2, 1))
    assert Structure.of(system, topology).fused(positions) is None
    system, topology, positions = argon(2, 5.0, 4.0)
    positions[7] = positions[2]
    assert Structure.of(system, topology).fused(positions) == (2, 7, 0.0)
    system.getForce(0).addException(2, 7, 0.0, 0.3, 0.0)
    assert Structure.of(system, topology).fused(positions) is None


def test_images_count_in_a_periodic_box() -> None:
    system, topology, positions = argon(2, 5.0, 4.0)
    structure = Structure.of(system, topology)
    positions[0], positions[4] = [0.1, 2.5, -1e-18], [19.8, 2.5, 10.0]
    assert structure.fused(positions) is None
    assert structure.fused(positions, np.diag([10.0, 10.0, 10.0])) == (0, 4, pytest.approx(0.3))


def test_hydrogen_without_a_lennard_jones_term_is_named() -> None:
    text, hint = Structure.of(acid("CP(=O)(O)O").system).fused_text((2, 8, 0.1))
    assert "8 (H) has a charge but no Lennard-Jones repulsion" in text
    assert "gaff-2.2.20" in hint
    assert "no Lennard-Jones" not in Structure.of(acid("CP(=O)(O)O").system).fused_text((0, 2, 0.1))[0]


def test_broken_bond() -> None:
    system, topology, start = water()
    structure = Structure.of(system, topology)
    after = start.copy()
    after[1] *= 1.5
    assert structure.broken(start, after) is None
    after[1] = start[1] * 1.6
    assert structure.broken(start, after) == (0, 1, pytest.approx(0.96), pytest.approx(1.536))
    after[2] = np.nan
    assert structure.broken(start, after) is None


@pytest.mark.parametrize("torsion", ["periodic", "custom", "compound"])
def test_straight_angle(torsion: str) -> None:
    system, topology, positions = chain(torsion)
    structure = Structure.of(system, topology)
    assert structure.straight(positions, [0]) == (0, 1, 2)
    assert structure.straight(positions, []) is None
    positions[2, 1] = 0.01
    assert structure.straight(positions, [0]) is None
