"""No energy depends on a dihedral through a straight angle, and forces are continuous at 180°."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray
from openmm import unit

import openmm_hybrid as oh
from openmm_hybrid.core.units import BOLTZMANN, NM_PER_ANGSTROM
from openmm_hybrid.fitting.fit import free_parameters
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.paths import chains
from openmm_hybrid.forcefield.straight_angles import straight_angles, straight_dihedrals
from openmm_hybrid.forms.fourier import Fourier
from openmm_hybrid.models.langevin import Langevin
from openmm_hybrid.reference import engine, label
from tests.helpers.straight_molecules import (
    EDITS,
    SMILES,
    bent,
    built,
    exactly_straight,
    line,
    openmm_forces,
    read,
    straight,
    straightened,
)

CONTINUOUS = 1e-3  # kcal/mol/Å, largest difference of forces across 180°


@pytest.mark.parametrize("name", SMILES)
def test_straight_angles_are_those_of_the_geometry(name: str) -> None:
    assert straight_angles(read(name).tables) == straight(name)
    assert straight(name)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("name", SMILES)
def test_no_dihedral_goes_through_a_straight_angle(name: str, edit: str) -> None:
    edited = read(name).edit(**EDITS[edit])
    wide = straight(name)
    for terms in edited.terms:
        for coordinate in terms.form.coordinates:
            for atoms in terms.atoms[:, coordinate.indices].tolist() if coordinate.kind == "dihedral" else ():
                angles = {min(part, part[::-1]) for part in (tuple(atoms[:3]), tuple(atoms[1:]))}
                assert not angles & wide, (terms.group, atoms)
    assert not list(straight_dihedrals(edited.tables))


@pytest.mark.parametrize("edit", ["cross", "neural", "spline", "fourier"])
@pytest.mark.parametrize("name", SMILES)
def test_forces_are_continuous_at_180_degrees(name: str, edit: str) -> None:
    """The force at 180° is the mean of both sides at 179.999°, and what each side has at 179.9999°.

    Within 0.005° of 180° OpenMM's Reference platform makes the force of an angle smaller than it is, by 0.01 kcal/mol/Å
    at most, so that we compare with it at 179.9°.
    """
    model = straightened(read(name).edit(**EDITS[edit]))
    system, topology = openmm.XmlSerializer.clone(built(name).system), built(name).topology
    oh.replace(system, topology, model)
    frames = np.concatenate(
        [exactly_straight(name)[None], bent(name, 179.999), bent(name, 179.9999), bent(name, 179.9)]
    )
    found = [model.predict(frames)[1], openmm_forces(system, frames)]
    for forces in found:
        assert np.isfinite(forces).all()
        np.testing.assert_allclose(forces[1:3].mean(0), forces[0], rtol=0, atol=CONTINUOUS)
        np.testing.assert_allclose(forces[3:5], [forces[0]] * 2, rtol=0, atol=CONTINUOUS)
    for frame in (0, 5, 6):
        np.testing.assert_allclose(found[0][frame], found[1][frame], rtol=1e-6, atol=1e-4)


def with_straight_torsions(name: str, amplitude: float) -> ForceField:
    """The force field with a torsion on every chain of bonds."""
    builder = Builder.of(read(name).tables)
    rows = dict.fromkeys(chains(builder.bonds), (0.0, 0.0, 0.0, amplitude))
    builder.add("propers", Fourier(3), rows)
    return ForceField(builder.finish())


@pytest.mark.parametrize("name", ["acetonitrile", "propyne", "cyanogen"])
def test_dihedral_terms_of_a_file_are_named(name: str, tmp_path: Path) -> None:
    old = with_straight_torsions(name, 0.2)
    old.save(tmp_path / "old.npz")
    atoms = "-".join(map(str, old.group("propers").atoms[0]))
    with pytest.warns(UserWarning, match=rf"dihedral terms through straight angles \(propers {atoms}.*ForceField.edit"):
        again = ForceField.load(tmp_path / "old.npz")
    system, topology = openmm.XmlSerializer.clone(built(name).system), built(name).topology
    with pytest.warns(UserWarning, match="through straight angles"):
        oh.replace(system, topology, again)


def test_dihedral_terms_without_an_energy_are_harmless(tmp_path: Path) -> None:
    with_straight_torsions("propyne", 0.0).save(tmp_path / "a.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ForceField.load(tmp_path / "a.npz")


def test_dihedral_terms_that_a_system_has_stay_as_they_are() -> None:
    old = with_straight_torsions("propyne", 0.2)
    for forms in ({"propers": "neural4"}, {"propers": "spline8"}, {"cross": True}):
        edited = old.edit(**forms)
        assert len(edited.group("propers")) == len(old.group("propers"))
        assert {terms.group for terms, _ in straight_dihedrals(edited.tables)} == {"propers"}


def test_chains_without_a_dihedral_have_the_symmetry_of_the_molecule() -> None:
    """2-Butyne from its other end has the same energy, whatever the parameters are."""
    plain = read("butyne")
    edited = straightened(plain.edit(cross=["straight-chain"]))
    molecule = built("butyne").molecules[0]
    moved, carbons = np.empty(molecule.n_atoms, dtype=int), line("butyne")
    moved[carbons] = carbons[::-1]
    first, last = (sorted(set(molecule.neighbours[end]) - set(carbons)) for end in (carbons[0], carbons[-1]))
    moved[[*first, *last]] = [*last, *first]
    positions = molecule.positions + np.random.default_rng(0).normal(scale=0.08, size=(4, molecule.n_atoms, 3))
    energies = edited.predict(positions)[0]
    assert np.abs(energies - plain.predict(positions)[0]).max() > 0.1
    np.testing.assert_allclose(edited.predict(positions[:, moved])[0], energies, rtol=1e-10)


def test_every_chain_has_one_kind_of_cross_terms() -> None:
    edited = read("acrylonitrile").edit(cross=True)
    found = [edited.group(f"cross.{kind}").atoms.tolist() for kind in ("torsion", "straight-chain")]
    assert all(found)
    covered = sorted(min(tuple(atoms), tuple(atoms[::-1])) for part in found for atoms in part)
    assert covered == sorted(min(chain, chain[::-1]) for chain in chains(edited.bonds))


def test_a_fit_keeps_straight_angles_straight() -> None:
    """The equilibrium becomes π; the user can fix it, and a torsion through it keeps what the System gave it."""
    old = with_straight_torsions("propyne", 0.2)
    molecule = built("propyne").molecules[0]
    positions = molecule.positions + np.random.default_rng(1).normal(scale=0.03, size=(60, molecule.n_atoms, 3))
    energies, forces = read("propyne").predict(positions)
    frames = oh.Frames(molecule.atomic_numbers, positions, energies=energies, forces=forces)
    quick = {"n_train": 50, "n_test": 0, "md_steps": 0, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        free = oh.fit(old, frames, **quick).molecules[0].forcefield
        fixed = oh.fit(old, frames, fixed=("angles/*",), **quick).molecules[0].forcefield
    wide = [tuple(atoms) in straight("propyne") for atoms in old.group("angles").atoms.tolist()]
    for model in (free, fixed):
        np.testing.assert_array_equal(
            model.tables.values(model.group("propers")), old.tables.values(old.group("propers"))
        )
    k, theta0 = free.tables.values(free.group("angles"))[wide].T
    assert (theta0 == np.pi).all()
    assert (k != old.tables.values(old.group("angles"))[wide][:, 0]).all()
    np.testing.assert_array_equal(
        fixed.parameters.values[fixed.group("angles").assignment], old.tables.values(old.group("angles"))
    )


def test_only_bent_angles_with_a_spline_keep_their_force_constants_in_a_fit() -> None:
    shared = SharedParameters.of([read("acetonitrile").edit(angles="spline8")])
    free = free_parameters(shared, ())[0]
    (model,) = shared.forcefields
    constants = model.group("angles").assignment[:, 0]
    wide = [tuple(atoms) in straight("acetonitrile") for atoms in model.group("angles").atoms.tolist()]
    assert np.isin(constants, free).tolist() == wide


@pytest.mark.parametrize("name", ["acetonitrile", "propyne"])
def test_dynamics_conserve_the_energy(name: str, tmp_path: Path) -> None:
    """NVE at 500 K with cross terms fitted to GFN2-xTB."""
    pytest.importorskip("tblite")
    molecule = built(name).molecules[0]
    langevin = Langevin(molecule.atomic_numbers, 500.0, 0.5, 0.02, np.random.default_rng(1))
    plain = read(name)
    r = np.repeat(molecule.positions[None], 50, axis=0)
    v, f, kept = langevin.velocities(r.shape), plain.predict(r)[1], []
    for step in range(1, 1201):
        r, v, f = langevin.step(lambda r: plain.predict(r)[1], r, v, f)
        if step >= 400 and step % 100 == 0:
            kept.append(r)
    labelled = label(engine("gfn2"), molecule, np.concatenate(kept), output=tmp_path / "a.npz", progress=False).frames
    result = oh.fit(plain.edit(bonds="morse", cross=True), labelled, n_train=400, n_test=50, md_steps=0, progress=False)
    assert result.molecules[0].test.force_rmse < 2.0
    system, topology = openmm.XmlSerializer.clone(built(name).system), built(name).topology
    oh.replace(system, topology, result.molecules[0].forcefield)
    energies = total_energies(system, labelled.positions[0], steps=8000, timestep=0.5)
    assert np.ptp(energies[:, 1].reshape(8, -1).mean(axis=1)) < 0.1 * BOLTZMANN * 500.0


def total_energies(
    system: openmm.System, positions: NDArray[np.float64], steps: int, timestep: float
) -> NDArray[np.float64]:
    """Times (fs) and total energies (kcal/mol) of Verlet dynamics (n, 2) from positions (n_atoms, 3) in Å at 500 K."""
    integrator = openmm.VerletIntegrator(1e-3 * timestep)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions * NM_PER_ANGSTROM)
    context.setVelocitiesToTemperature(500.0, 1)
    rows = []
    for step in range(0, steps, 20):
        integrator.step(20)
        state = context.getState(energy=True)
        total = (state.getPotentialEnergy() + state.getKineticEnergy()).value_in_unit(unit.kilocalorie_per_mole)
        rows.append((timestep * (step + 20), total))
    return np.array(rows)
