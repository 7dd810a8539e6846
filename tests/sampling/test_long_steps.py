"""Steps of 4 fs for a fitted molecule in water: no warning, and bonds of the right length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from openmm import unit

import openmm_hybrid as oh
from openmm_hybrid.forcefield.bond_lengths import mean_bond_lengths
from tests.helpers.gaff_molecules import gasteiger


@pytest.mark.filterwarnings("error")
def test_rigid_bonds_and_heavy_hydrogens_take_4_fs(tmp_path: Path) -> None:
    ethanol = oh.Molecule.from_smiles("CCO", name="ethanol")
    charges = gasteiger(ethanol)
    flexible = oh.build(ethanol, charges=charges)
    model = oh.ForceField.from_system(flexible.system, flexible.topology, name="ethanol").edit(
        bonds="morse", pairs="inner", cross=["angle"]
    )
    box = oh.build(ethanol, charges=charges, constraints="HBonds", hydrogen_mass=3).solvate(padding=8.0, cutoff=7.0)
    oh.replace(box.system, box.topology, model, atoms=range(9))
    run = oh.sample(
        box.system,
        box.topology,
        box.positions,
        output=tmp_path / "run",
        timestep=4 * unit.femtosecond,
        temperature=300,
        friction=20,
        n_steps=200,
        interval=20,
        equilibration=50,
        platform="CPU",
        progress=False,
    )
    bonds = [(i, j) for i, j in model.bonds.tolist() if 1 in ethanol.atomic_numbers[[i, j]]]
    lengths = mean_bond_lengths(model, bonds, 300.0)
    i, j = np.array(bonds).T
    found = np.linalg.norm(run.positions[:, i] - run.positions[:, j], axis=-1)
    np.testing.assert_allclose(found, np.tile([lengths[bond] for bond in bonds], (len(found), 1)), atol=1e-3)
    assert run.log["temperature"][-5:].mean() == pytest.approx(300.0, abs=40.0)
