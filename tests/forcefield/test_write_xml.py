"""Residue templates for OpenMM: app.ForceField gives the energies of the force field that was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import app, unit

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.system import SystemModel
from tests.helpers.forcefield_molecules import SMILES, built, chain, from_file, read, refitted, shaken


@pytest.mark.parametrize("name", SMILES)
def test_file_gives_the_fitted_energies(name: str, tmp_path: Path) -> None:
    model = refitted(read(name))
    assert np.abs(model.parameters.values - read(name).parameters.values).max() > 1.0
    model.to_ffxml(tmp_path / "fitted.xml")
    positions = shaken(built(name))
    energies, forces = from_file(tmp_path / "fitted.xml", name).predict(positions)
    expected, expected_forces = model.predict(positions)
    np.testing.assert_allclose(energies, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(forces, expected_forces, rtol=0, atol=1e-9 * np.abs(expected_forces).max())


def test_morse_bonds_and_long_series(tmp_path: Path) -> None:
    model = refitted(read("ethanol").edit(bonds="morse", propers="fourier6"))
    model.to_ffxml(tmp_path / "morse.xml")
    positions = shaken(built("ethanol"))
    found = from_file(tmp_path / "morse.xml", "ethanol")
    np.testing.assert_allclose(found.predict(positions)[0], model.predict(positions)[0], rtol=1e-9)
    again = ForceField.from_system(found.system, found.topology)
    np.testing.assert_allclose(again.predict(positions)[0], model.predict(positions)[0], rtol=1e-9)
    constrained = app.ForceField(str(tmp_path / "morse.xml")).createSystem(found.topology, constraints=app.HBonds)
    assert constrained.getNumConstraints() == 6


def test_beside_water_and_protein_files(tmp_path: Path) -> None:
    """AMBER's scale factors, to the last bit: OpenMM refuses files that differ in them. Bonded energies stay."""
    model, system = refitted(read("ethanol")), built("ethanol")
    model.to_ffxml(tmp_path / "ethanol.xml")
    forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml", str(tmp_path / "ethanol.xml"))
    modeller = app.Modeller(system.topology, system.positions)
    modeller.addSolvent(forcefield, padding=0.3 * unit.nanometer)
    box = forcefield.createSystem(modeller.topology, rigidWater=True)
    positions = modeller.positions.value_in_unit(unit.angstrom)
    found = SystemModel(box, modeller.topology).energy_terms(positions)
    expected = model.energies_by_group(np.array(positions)[:9])
    for term in ("bonds", "angles", "propers"):
        assert found[term] == pytest.approx(float(expected[term]), rel=1e-9), term


@pytest.mark.parametrize("edits", [{"bonds": "neural"}, {"angles": "spline"}, {"cross": True}], ids=str)
def test_other_forms_are_refused_with_a_mend(edits: dict[str, object], tmp_path: Path) -> None:
    model = read("ethanol").edit(**edits)
    with pytest.raises(MismatchError, match=r"the terms '.*' are .*oh\.replace.*save\(\)"):
        model.to_ffxml(tmp_path / "no.xml")
    assert not list(tmp_path.iterdir())


def test_terms_without_a_place_are_named(tmp_path: Path) -> None:
    cases = []
    torsion = "'impropers' of atoms 0-2-1-4 cannot be written: it is no chain of bonds"
    for atoms, message in (((0, 2), "'bonds' of atoms 0-2 cannot be written: it is no bond"), ((0, 2, 1, 4), torsion)):
        system, topology, _ = chain()
        if len(atoms) == 2:
            force = openmm.HarmonicBondForce()
            force.addBond(*atoms, 0.15, 1000.0)
        else:
            force = openmm.PeriodicTorsionForce()
            force.addTorsion(*atoms, 2, np.pi, 4.0)
        system.addForce(force)
        cases.append((system, topology, message))
    system, topology, _ = chain()
    force = openmm.NonbondedForce()
    for charge in (0.1, 0.2, -0.2, 0.3, -0.4):
        force.addParticle(charge, 0.3, 0.4)
    force.createExceptionsFromBonds([(0, 1), (1, 2), (2, 3), (3, 4)], 0.5, 0.5)
    force.setExceptionParameters(
        next(n for n in range(10) if force.getExceptionParameters(n)[2]._value), 0, 3, 0.01, 0.3, 0.2
    )
    system.addForce(force)
    cases.append((system, topology, "'coulomb' cannot be written: pairs three bonds apart have different scales"))
    for system, topology, message in cases:
        with pytest.raises(MismatchError, match=message):
            ForceField.from_system(system, topology).to_ffxml(tmp_path / "no.xml")
