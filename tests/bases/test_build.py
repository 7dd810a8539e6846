"""gaff.build: drug-like molecules, several in one system, options, and what it refuses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import openmm
import pytest
from openmm import app, unit

from openmm_hybrid import Molecule, gaff
from openmm_hybrid.bases.template import atom_names
from openmm_hybrid.core.errors import InputError, MismatchError
from tests.helpers.gaff_molecules import DRUGS, gasteiger


def net_charge(system: openmm.System) -> float:
    force = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    charges = [force.getParticleParameters(i)[0] for i in range(force.getNumParticles())]
    return sum(charge.value_in_unit(unit.elementary_charge) for charge in charges)


def build(smiles: str, version: str = "1.81") -> gaff.BuiltSystem:
    molecule = Molecule.from_smiles(smiles)
    return gaff.build(molecule, version=version, charges=gasteiger(molecule))


@pytest.mark.filterwarnings("ignore:.*has no Lennard-Jones term in GAFF 1:UserWarning")
@pytest.mark.parametrize("name", DRUGS)
def test_drug_like_molecules(name: str) -> None:
    """Every term is there, the net charge is exact, minimisation goes down and keeps the bonds."""
    molecule = Molecule.from_smiles(DRUGS[name], name=name)
    built = gaff.build(molecule, charges=gasteiger(molecule))
    assert net_charge(built.system) == pytest.approx(molecule.charge, abs=1e-12)
    assert len(built.atom_types) == molecule.n_atoms == built.topology.getNumAtoms()
    counts = {type(force).__name__: force for force in built.system.getForces()}
    degrees = np.bincount(molecule.bonds.ravel(), minlength=molecule.n_atoms)
    assert counts["HarmonicBondForce"].getNumBonds() == len(molecule.bonds)
    assert counts["HarmonicAngleForce"].getNumAngles() == (degrees * (degrees - 1) // 2).sum()

    context = openmm.Context(built.system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions(built.positions)
    before = context.getState(getEnergy=True).getPotentialEnergy()
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=200)
    state = context.getState(getEnergy=True, getPositions=True)
    after = state.getPotentialEnergy()
    assert np.isfinite(after.value_in_unit(unit.kilojoule_per_mole))
    assert after < before
    moved = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    lengths = np.linalg.norm(moved[molecule.bonds[:, 0]] - moved[molecule.bonds[:, 1]], axis=1)
    original = np.linalg.norm(
        molecule.positions[molecule.bonds[:, 0]] - molecule.positions[molecule.bonds[:, 1]], axis=1
    )
    np.testing.assert_allclose(lengths, original, atol=0.12)


#: kcal/mol. Three of these have pairs (cc and cd) that may be exchanged, for which GAFF 1.81 is not quite symmetric;
#: for halothane parmchk2 estimates br-c3-cl otherwise than cl-c3-br.
ASYMMETRIC = {"halothane": 0.03, "celecoxib": 0.03, "sildenafil": 0.005, "caffeine": 5e-4}


@pytest.mark.filterwarnings("ignore:.*has no Lennard-Jones term in GAFF 1:UserWarning")
@pytest.mark.parametrize("name", DRUGS)
def test_order_of_atoms_does_not_matter(name: str) -> None:
    """antechamber alone types metronidazole wrongly in some orders. Impropers depend on the order, as in LEaP."""
    molecule = Molecule.from_smiles(DRUGS[name])
    charges = gasteiger(molecule)
    expected = gaff.build(molecule, charges=charges).model().energy_terms(molecule.positions)
    order = np.random.default_rng(1).permutation(molecule.n_atoms)
    shuffled = molecule.reordered(order)
    found = gaff.build(shuffled, charges=charges[order]).model().energy_terms(shuffled.positions)
    for term in ("bonds", "angles", "propers", "nonbonded"):
        bound = ASYMMETRIC.get(name, 1e-8)
        assert found.get(term, 0.0) == pytest.approx(expected.get(term, 0.0), abs=bound), term
    assert found.get("impropers", 0.0) == pytest.approx(expected.get("impropers", 0.0), abs=0.05)


@pytest.mark.parametrize("version", ["2.11", "2.2.20"])
def test_gaff2_types(version: str) -> None:
    """c5 is a type of GAFF 2.2; earlier versions call such an atom c3."""
    types = build("C1CCNC1", version).atom_types
    assert set(types[:3]) == ({"c5"} if version == "2.2.20" else {"c3"})


def test_several_molecules_share_templates() -> None:
    ethanol, ion = Molecule.from_smiles("CCO"), Molecule.from_smiles("CC(=O)[O-]")
    charges = [gasteiger(ethanol), gasteiger(ion), gasteiger(ethanol)]
    built = gaff.build([ethanol, ion, ethanol], charges=charges)
    assert built.templates[0] is built.templates[2]
    assert [residue.name for residue in built.topology.residues()] == ["MOL", "M02", "MOL"]
    assert net_charge(built.system) == pytest.approx(-1.0, abs=1e-12)
    names = [[atom.name for atom in residue.atoms()] for residue in built.topology.residues()]
    assert all(len(set(group)) == len(group) for group in names)
    positions = built.positions.value_in_unit(unit.angstrom)
    groups = np.split(positions, [9, 16])
    assert min(np.linalg.norm(a[:, None] - b[None], axis=2).min() for a, b in pairwise(groups)) > 2
    far = np.concatenate([group + np.array([1e4 * n, 0, 0]) for n, group in enumerate(groups)])
    single = [gaff.build(m, charges=q) for m, q in zip(built.molecules, charges, strict=True)]
    alone = [one.model().predict(group)[0] for one, group in zip(single, groups, strict=True)]
    assert built.model().predict(far)[0] == pytest.approx(sum(alone), abs=1e-2)


def _from_geometry(smiles: str, seed: int = 0) -> Molecule:
    molecule = Molecule.from_smiles(smiles, seed=seed)
    return Molecule.from_geometry(molecule.atomic_numbers, molecule.positions)


def test_isomers_from_geometries_do_not_share_charges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their drawings have no stereochemistry. Mirror images and conformers of one isomer share charges."""
    asked = []

    def charges(molecule: Molecule, entry: str, *, progress: bool) -> np.ndarray:
        asked.append(molecule)
        return np.array(gasteiger(molecule))

    monkeypatch.setattr("openmm_hybrid.bases.build.assign_charges", charges)
    z, e, again = _from_geometry(r"F/C=C\F"), _from_geometry("F/C=C/F"), _from_geometry("F/C=C/F", seed=1)
    built = gaff.build([z, e, again], charges="resp")
    assert built.templates[1] is built.templates[2]
    assert asked == [z, e]
    with pytest.raises(MismatchError, match="cannot tell their residues apart"):
        gaff.template_generator([z, e], "2.2.20", "resp")
    hands = [_from_geometry("C[C@H](F)Cl"), _from_geometry("C[C@@H](F)Cl")]
    assert len(set(gaff.build(hands, charges="resp").templates)) == 1


def test_given_positions_and_units() -> None:
    ethanol = Molecule.from_smiles("CCO")
    charges = gasteiger(ethanol)
    shifted = ethanol.positions + 5.0
    built = gaff.build(ethanol, charges=charges * unit.elementary_charge, positions=shifted * unit.angstrom)
    np.testing.assert_allclose(built.positions.value_in_unit(unit.angstrom), shifted)
    with pytest.raises(MismatchError, match=r"\(2, 3\)"):
        gaff.build(ethanol, charges=charges, positions=shifted[:2])


@pytest.mark.parametrize(("constraints", "number"), [(None, 0), ("HBonds", 6), (app.AllBonds, 8)])
def test_constraints(constraints: object, number: int) -> None:
    ethanol = Molecule.from_smiles("CCO")
    built = gaff.build(ethanol, charges=gasteiger(ethanol), constraints=constraints)
    assert built.system.getNumConstraints() == number


def masses(system: openmm.System) -> np.ndarray:
    return np.array([system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles())])


@pytest.mark.parametrize("mass", [3.0, 3.0 * unit.dalton])
def test_heavy_hydrogens(mass: object) -> None:
    """Their mass is taken from the atoms that they are bonded to; water keeps its own."""
    ethanol = Molecule.from_smiles("CCO")
    usual = gaff.build(ethanol, charges=gasteiger(ethanol))
    built = gaff.build(ethanol, charges=gasteiger(ethanol), constraints="HBonds", hydrogen_mass=mass)
    is_hydrogen = ethanol.atomic_numbers == 1
    np.testing.assert_allclose(masses(built.system)[is_hydrogen], 3.0)
    before, after = masses(usual.system), masses(built.system)
    assert after.sum() == pytest.approx(before.sum())
    for heavy in np.flatnonzero(~is_hydrogen):
        n_hydrogens = sum(is_hydrogen[other] for other in ethanol.neighbours[heavy])
        assert after[heavy] == pytest.approx(before[heavy] - n_hydrogens * (3.0 - before[is_hydrogen][0]))
    box = built.solvate(padding=8.0, cutoff=7.0)
    assert (usual.hydrogen_mass, built.hydrogen_mass, box.hydrogen_mass) == (None, 3.0, 3.0)
    np.testing.assert_allclose(masses(box.system)[: len(after)], after)
    assert set(masses(box.system)[len(after) :].round(2)) == {1.01, 16.0}


@pytest.mark.parametrize(("mass", "message"), [(0.5, "1 Da or more"), ("heavy", "1 Da or more"), (6.0, "leaves -2.9")])
def test_masses_that_cannot_work(mass: object, message: str) -> None:
    ethanol = Molecule.from_smiles("CCO")
    with pytest.raises(InputError, match=message):
        gaff.build(ethanol, charges=gasteiger(ethanol), hydrogen_mass=mass)


def test_charges_stay_with_their_atoms() -> None:
    """ForceField may exchange atoms of equal element and bonds; charges and 1-4 terms must follow the index."""
    benzene = Molecule.from_smiles("c1ccccc1")
    charges = np.linspace(-0.3, 0.3, 12)
    built = gaff.build(benzene, charges=charges)
    force = next(force for force in built.system.getForces() if isinstance(force, openmm.NonbondedForce))
    found = [force.getParticleParameters(i)[0].value_in_unit(unit.elementary_charge) for i in range(12)]
    np.testing.assert_allclose(found, charges, rtol=1e-12)
    seen = 0
    for index in range(force.getNumExceptions()):
        i, j, product, _, _ = force.getExceptionParameters(index)
        if (value := product.value_in_unit(unit.elementary_charge**2)) != 0:
            seen += 1
            assert value == pytest.approx(charges[i] * charges[j] / 1.2, rel=1e-9)
    assert seen == 3 + 12 + 6  # para C, meta H on C, ortho H


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        ("C[Si](C)(C)C", r"atom 1 \(Si\)"),
        ("CB(O)O", r"atom 1 \(B\)"),
        ("C[Hg]C", r"atom 1 \(Hg\)"),
        ("[Cl-]", "single atom"),
    ],
)
def test_what_gaff_has_no_parameters_for(smiles: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gaff.build(Molecule.from_smiles(smiles), charges="resp")


def test_terms_without_parameters_name_the_atoms() -> None:
    with pytest.raises(InputError, match=r"no parameters for c3-i-o, .*atoms 0 \(c3\), 1 \(i\), 2 \(o\), 3 \(o\)"):
        build("CI(=O)=O")


def test_bad_options() -> None:
    ethanol = Molecule.from_smiles("CCO")
    charges = gasteiger(ethanol)
    with pytest.raises(MismatchError, match=r"shape \(3,\).*\(9,\)"):
        gaff.build(ethanol, charges=charges[:3])
    with pytest.raises(MismatchError, match="sum to"):
        gaff.build(ethanol, charges=charges + 0.1)
    with pytest.raises(InputError, match="unknown charge method"):
        gaff.build(ethanol, charges="resq")
    with pytest.raises(InputError, match="unknown GAFF version"):
        gaff.build(ethanol, version="1.9", charges=charges)
    with pytest.raises(InputError, match="unknown typing"):
        gaff.build(ethanol, typing="guess", charges=charges)
    with pytest.raises(InputError, match="unknown constraints"):
        gaff.build(ethanol, constraints="HAngles", charges=charges)
    with pytest.raises(InputError, match="no molecules"):
        gaff.build([])
    with pytest.raises(InputError, match="str was given"):
        gaff.build(["CCO"])  # type: ignore[list-item]
    with pytest.raises(MismatchError, match="1 entries of charges for 2"):
        gaff.build([ethanol, ethanol], charges=[charges])


def test_atom_names_of_more_than_four_letters() -> None:
    with pytest.raises(InputError, match="1000 atoms of one element"):
        atom_names(_Huge())  # type: ignore[arg-type]


class _Huge:
    name = "huge"
    elements = ("H",) * 1000
