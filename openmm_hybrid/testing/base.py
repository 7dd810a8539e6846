"""The conformance suite of base force fields: inherit it in a test module and name the family.

class TestMyForceField(BaseSuite):
    family = "mine"
"""

from __future__ import annotations

import numpy as np
import pytest
from openmm import app

from openmm_hybrid.bases import BASES, base_forcefield, names
from openmm_hybrid.bases.base import Base
from openmm_hybrid.bases.build import build
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.models.system import SystemModel


class BaseSuite:
    """Conformance tests of a family of base force fields, on N-methylacetamide and acetate.

    The newest recommended version is tested in full, and every version must describe ethanol.
    """

    family: str

    @pytest.fixture
    def base(self) -> Base:
        return base_forcefield(f"{self.family}-{BASES.load(self.family).versions()[0]}")

    @pytest.fixture(params=["CC(=O)NC", "CC(=O)[O-]"])
    def molecule(self, request: pytest.FixtureRequest) -> Molecule:
        return Molecule.from_smiles(request.param)

    def test_registered(self, base: Base) -> None:
        assert self.family in BASES.names()
        assert base.name in names()
        assert base_forcefield(base.name).name == base.name

    def test_unknown_version(self) -> None:
        with pytest.raises(InputError):
            base_forcefield(f"{self.family}-0.0.0")

    def test_every_version_describes_ethanol(self) -> None:
        ethanol = Molecule.from_smiles("CCO")
        for version in BASES.load(self.family).versions():
            template = BASES.load(self.family)(version).template(ethanol)
            assert len(template.bonds) == 8, version
            assert len(template.angles) == 13, version
            assert template.propers, version

    def test_a_single_atom_is_refused(self, base: Base) -> None:
        with pytest.raises(InputError):
            base.check(Molecule.from_smiles("[Cl-]"))

    def test_template_joins_bonded_atoms(self, base: Base, molecule: Molecule) -> None:
        template = base.template(molecule)
        assert len(template.types) == len(template.masses) == molecule.n_atoms
        assert not template.charges.any()
        assert sorted(tuple(sorted(term.atoms)) for term in template.bonds) == list(map(tuple, molecule.bonds.tolist()))
        neighbours = molecule.neighbours
        for term in template.angles:
            assert {term.atoms[0], term.atoms[2]} <= set(neighbours[term.atoms[1]])
        for torsion in template.propers:
            assert all(torsion.atoms[k + 1] in neighbours[torsion.atoms[k]] for k in range(3))
        for torsion in template.impropers:
            centre = next(a for a in torsion.atoms if set(torsion.atoms) - {a} <= set(neighbours[a]))
            assert torsion.atoms.index(centre) in (0, 2)

    def test_order_of_atoms_does_not_matter(self, base: Base, molecule: Molecule) -> None:
        charges = np.linspace(-0.2, 0.2, molecule.n_atoms) + molecule.charge / molecule.n_atoms
        order = np.random.default_rng(0).permutation(molecule.n_atoms).tolist()
        shuffled = molecule.reordered(order)
        expected = build(molecule, base=base, charges=charges).model().energy_terms(molecule.positions)
        found = build(shuffled, base=base, charges=charges[order]).model().energy_terms(shuffled.positions)
        for term in ("bonds", "angles", "propers", "nonbonded"):
            assert found.get(term, 0.0) == pytest.approx(expected.get(term, 0.0), abs=1e-8), term

    def test_system_force_field_and_xml_agree(self, base: Base, molecule: Molecule, tmp_path: object) -> None:
        charges = np.linspace(-0.2, 0.2, molecule.n_atoms) + molecule.charge / molecule.n_atoms
        built = build(molecule, base=base, charges=charges)
        positions = molecule.positions + np.random.default_rng(0).normal(scale=0.05, size=molecule.positions.shape)
        expected, forces = built.model().predict(positions)
        forcefield = ForceField.from_system(built.system, built.topology)
        energy, read_forces = forcefield.predict(positions[None])
        assert energy[0] == pytest.approx(expected, rel=1e-9)
        np.testing.assert_allclose(read_forces[0], forces, rtol=1e-8, atol=1e-8)
        path = f"{tmp_path}/forcefield.xml"
        built.to_ffxml(path)
        again = SystemModel(app.ForceField(path).createSystem(built.topology), built.topology)
        assert again.predict(positions)[0] == pytest.approx(expected, rel=1e-9)

    def test_water_and_constraints(self, base: Base, molecule: Molecule) -> None:
        charges = np.linspace(-0.2, 0.2, molecule.n_atoms) + molecule.charge / molecule.n_atoms
        built = build(molecule, base=base, charges=charges, constraints="HBonds", hydrogen_mass=2)
        n_hydrogens = int((molecule.atomic_numbers == 1).sum())
        assert built.system.getNumConstraints() == n_hydrogens
        masses = [built.system.getParticleMass(i)._value for i in range(molecule.n_atoms)]
        assert masses.count(2.0) == n_hydrogens
        box = built.solvate(padding=10.0, cutoff=9.0)
        assert box.system.usesPeriodicBoundaryConditions()
        assert box.topology.getNumAtoms() > molecule.n_atoms

    def test_elements_without_parameters_are_named(self, base: Base) -> None:
        with pytest.raises((InputError, MismatchError)) as caught:
            strange = Molecule.from_smiles("C[Hg]C")
            base.check(strange)
            base.template(strange)
        assert "C[Hg]C" in str(caught.value)
