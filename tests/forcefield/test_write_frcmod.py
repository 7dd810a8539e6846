"""AMBER frcmod files, read back with the reader of GAFF's tables and built into a System by LEaP's rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import app

from openmm_hybrid.bases.gaff.dat_parameters import load_gaff, read_frcmod
from openmm_hybrid.bases.gaff.gaff import make_template
from openmm_hybrid.bases.prmtop import from_prmtop
from openmm_hybrid.bases.system import assemble
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.classical_terms import classical
from tests.helpers.forcefield_molecules import SMILES, built, chain, read, refitted, shaken
from tests.helpers.leap import run_tleap


def energies_by_amber(path: Path, name: str, types: tuple[str, ...], model: ForceField) -> np.ndarray:
    """Energies (n_frames,) of the molecule built from GAFF 1.81 with the frcmod on top, kcal/mol."""
    (molecule,) = built(name).molecules
    tables = load_gaff("1.81").with_extra(read_frcmod(path.read_text()))
    template = make_template(molecule, types, tables, "1.81").with_charges(classical(model.tables).charges)
    return assemble([template], molecule.positions).model().predict(shaken(built(name)))[0]


@pytest.mark.parametrize("name", SMILES)
def test_amber_gives_the_fitted_energies_up_to_a_constant(name: str, tmp_path: Path) -> None:
    model = refitted(read(name))
    types = model.to_frcmod(tmp_path / "fitted.frcmod")
    assert types == built(name).atom_types
    difference = (
        energies_by_amber(tmp_path / "fitted.frcmod", name, types, model) - model.predict(shaken(built(name)))[0]
    )
    assert classical(model.tables).constant == pytest.approx(-difference[0], abs=1e-6)
    np.testing.assert_allclose(difference, difference[0], rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ["ethanol", "glycine methylamide"])
def test_types_are_split_where_parameters_differ(name: str, tmp_path: Path) -> None:
    """Fitted by classes of the graph, written with GAFF's types."""
    system = built(name)
    model = refitted(ForceField.from_system(system.system, system.topology, name=name))
    types = model.to_frcmod(tmp_path / "fitted.frcmod", types=system.atom_types)
    assert len(set(types)) > len(set(system.atom_types))
    assert all(len(kind) <= 2 for kind in types)
    assert set(system.atom_types) <= set(types)
    elements = {}
    for kind, number in zip(types, model.atomic_numbers.tolist(), strict=True):
        assert elements.setdefault(kind, number) == number
    difference = energies_by_amber(tmp_path / "fitted.frcmod", name, types, model) - model.predict(shaken(system))[0]
    np.testing.assert_allclose(difference, difference[0], rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", SMILES)
def test_leap_reads_the_fitted_energies(name: str, tmp_path: Path) -> None:
    """A peer: a prmtop file by tleap. Its π is 3.141594, and it writes eight digits."""
    model = refitted(read(name))
    types = model.to_frcmod(tmp_path / "fitted.frcmod")
    molecule, positions = built(name).molecules[0], shaken(built(name))
    charges = classical(model.tables).charges
    prmtop = run_tleap(tmp_path, molecule, types, charges, "1.81", tmp_path / "fitted.frcmod")
    difference = from_prmtop(prmtop, positions[0]).model().predict(positions)[0] - model.predict(positions)[0]
    np.testing.assert_allclose(difference, difference[0], rtol=0, atol=2e-3)


def test_impropers_with_a_series_have_a_line_a_cosine(tmp_path: Path) -> None:
    """LEaP reads them so, without the minus sign that marks a series of propers."""
    model = read("acetate").edit(impropers="fourier3")
    (place,) = [terms.assignment[0] for terms in model.terms if terms.group == "impropers"]
    values = model.parameters.values.copy()
    values[place[1:]] = 0.5, -1.5, 0.25
    model.with_values(values).to_frcmod(tmp_path / "series.frcmod")
    text = (tmp_path / "series.frcmod").read_text()
    lines = [line.split() for line in text.partition("IMPROPER\n")[2].partition("\n\n")[0].splitlines()]
    found = [[float(word) for word in line[-3:]] for line in lines]
    np.testing.assert_allclose(found, [[0.5, 0.0, 1.0], [1.5, 180.0, 2.0], [0.25, 0.0, 3.0]], atol=1e-9)


def test_an_order_of_impropers_that_leap_would_not_keep_splits_types(tmp_path: Path) -> None:
    """LEaP takes outer atoms of one type in the order of their numbers; this improper has them as 3, 1, 2."""
    system, topology = openmm.System(), app.Topology()
    residue = topology.addResidue("STR", topology.addChain())
    atoms = [topology.addAtom(f"C{n}", app.element.carbon, residue) for n in range(4)]
    bonds, angles, torsions = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.PeriodicTorsionForce()
    for _ in range(4):
        system.addParticle(12.0)
    for n in (1, 2, 3):
        topology.addBond(atoms[0], atoms[n])
        bonds.addBond(0, n, 0.15, 200000.0)
        angles.addAngle(n, 0, n % 3 + 1, 2.0, 400.0)
    torsions.addTorsion(3, 1, 0, 2, 2, np.pi, 4.0)
    for force in (bonds, angles, torsions):
        system.addForce(force)
    path = tmp_path / "star.frcmod"
    types = ForceField.from_system(system, topology).to_frcmod(path, types=["c"] * 4)
    assert len({types[1], types[2], types[3]}) == 3
    (line,) = path.read_text().partition("IMPROPER\n")[2].partition("\n\n")[0].splitlines()
    assert tuple(kind.strip() for kind in line[:11].split("-")) == (types[3], types[1], types[0], types[2])


def test_lines_have_ambers_units(tmp_path: Path) -> None:
    """GAFF 1.81's own numbers: c3-c3 300.9 kcal/mol/Å² and 1.5375 Å, Rmin/2 and well of oh 1.7210 and 0.2104."""
    read("ethanol").to_frcmod(tmp_path / "plain.frcmod")
    lines = [line.split() for line in (tmp_path / "plain.frcmod").read_text().splitlines()]
    rows = {line[0]: line[1:] for line in lines if len(line) > 2}
    bond = next(line for line in lines if line and line[0] == "c3-c3" and len(line) == 3)
    assert [float(word) for word in bond[1:]] == pytest.approx([300.9, 1.5375], abs=1e-6)
    assert [float(word) for word in rows["oh"][:2]] == pytest.approx([1.721, 0.2104], abs=1e-6)
    tables, gaff = read_frcmod((tmp_path / "plain.frcmod").read_text()), load_gaff("1.81")
    for types in (("c3", "c3", "oh"), ("hc", "c3", "hc")):
        assert tables.angle(types) == pytest.approx(gaff.angle(types), abs=1e-8)


def test_terms_without_a_barrier_hide_those_of_gaff(tmp_path: Path) -> None:
    """A chain without torsions in the force field has a line with none, or LEaP would take X-c3-c3-X."""
    system, topology, _ = chain(4)
    bonds, angles = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    for i in range(3):
        bonds.addBond(i, i + 1, 0.15, 200000.0)
    for i in range(2):
        angles.addAngle(i, i + 1, i + 2, 1.9, 400.0)
    for force in (bonds, angles):
        system.addForce(force)
    model = ForceField.from_system(system, topology)
    model.to_frcmod(tmp_path / "chain.frcmod", types=["c3"] * 4)
    tables = load_gaff("1.81").with_extra(read_frcmod((tmp_path / "chain.frcmod").read_text()))
    assert [term.k for term in tables.proper(["c3"] * 4)] == [0.0]


def test_refusals(tmp_path: Path) -> None:
    model, path = read("ethanol"), tmp_path / "no.frcmod"
    with pytest.raises(MismatchError, match="AMBER has no Morse bonds"):
        model.edit(bonds="morse").to_frcmod(path)
    with pytest.raises(MismatchError, match="cross-angle"):
        model.edit(cross=["angle"]).to_frcmod(path)
    with pytest.raises(InputError, match="3 types"):
        model.to_frcmod(path, types=["c3"] * 3)
    with pytest.raises(InputError, match=r"such as 'carbon'.*one or two characters"):
        model.to_frcmod(path, types=["carbon"] + ["c3"] * 8)
    system, topology, _ = chain(3)
    bonds = openmm.HarmonicBondForce()
    bonds.addBond(0, 1, 0.15, 200000.0)
    system.addForce(bonds)
    with pytest.raises(MismatchError, match="atoms 1-2 have no bond term"):
        ForceField.from_system(system, topology).to_frcmod(path, types=["c3"] * 3)
    assert not list(tmp_path.iterdir())
