"""Molecule: where it comes from, what it refuses, its order, symmetry and conformers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openmm import unit
from rdkit import Chem
from rdkit.Chem import AllChem

from openmm_hybrid import Frames, Molecule
from openmm_hybrid.core.errors import InputError, MismatchError

MOL2 = """@<TRIPOS>MOLECULE
methanol
 6 5 0 0 0
SMALL
NO_CHARGES

@<TRIPOS>ATOM
 1 C1 -0.360 -0.010 0.020 C.3
 2 O1  0.900  0.580 -0.230 O.3
 3 H1 -0.260 -0.900 0.640 H
 4 H2 -0.820 -0.290 -0.930 H
 5 H3 -1.000  0.710 0.530 H
 6 H4  1.450 -0.070 -0.690 H
@<TRIPOS>BOND
 1 1 2 1
 2 1 3 1
 3 1 4 1
 4 1 5 1
 5 2 6 1
"""


def written(path, smiles):
    """An RDKit molecule with coordinates, written to a file in the format that its name says."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=7)
    mol.SetProp("_Name", "titled")
    if path.suffix == ".pdb":
        Chem.MolToPDBFile(mol, str(path))
    elif path.suffix == ".sdf":
        with Chem.SDWriter(str(path)) as writer:
            writer.write(mol)
    else:
        Chem.MolToMolFile(mol, str(path))
    return mol.GetConformer().GetPositions()


class TestFromSmiles:
    def test_order_is_heavy_atoms_as_written_then_hydrogens(self):
        molecule = Molecule.from_smiles("CCO", name="ethanol")
        assert molecule.elements == ("C", "C", "O", *"HHHHHH")
        assert molecule.atomic_numbers.tolist() == [6, 6, 8] + [1] * 6
        assert molecule.bonds.tolist() == [[0, 1], [0, 3], [0, 4], [0, 5], [1, 2], [1, 6], [1, 7], [2, 8]]
        assert (molecule.name, molecule.smiles, molecule.n_atoms) == ("ethanol", "CCO", 9)
        assert Molecule.from_smiles("OCC").name == "OCC"

    def test_conformers_are_many_different_and_the_same_for_a_seed(self):
        one, two = (Molecule.from_smiles("CCCCO", n_conformers=4, seed=3) for _ in range(2))
        assert one.conformers.shape == (4, 15, 3)
        np.testing.assert_array_equal(one.conformers, two.conformers)
        np.testing.assert_array_equal(one.positions, one.conformers[0])
        assert np.linalg.norm(one.conformers[0, 0] - one.conformers[0, 1]) == pytest.approx(1.52, abs=0.03)
        other = Molecule.from_smiles("CCCCO", n_conformers=4, seed=4)
        assert np.abs(one.conformers - other.conformers).max() > 0.1

    @pytest.mark.parametrize("smiles", ["", "C1CC", "C(C)(C)(C)(C)C", "Q", "c1cccc1", "[Xx]", "not a molecule"])
    def test_broken_smiles(self, smiles, capfd):
        with pytest.raises(InputError, match="cannot read the SMILES"):
            Molecule.from_smiles(smiles)
        assert capfd.readouterr().err == ""

    @pytest.mark.parametrize("smiles", ["C[CH2]", "[O]", "CN(C)[O]", "[CH3]"])
    def test_radicals(self, smiles):
        with pytest.raises(InputError, match=r"atom \d \(\w\) is a radical; expected a closed-shell molecule"):
            Molecule.from_smiles(smiles)

    @pytest.mark.parametrize("smiles", ["O.O", "CC(=O)[O-].[Na+]"])
    def test_several_molecules(self, smiles):
        with pytest.raises(InputError, match="has 2 separate parts"):
            Molecule.from_smiles(smiles)

    @pytest.mark.parametrize(
        ("smiles", "charge", "charges"),
        [
            ("CC(=O)[O-]", -1, {3: -1}),
            ("C[NH3+]", 1, {1: 1}),
            ("[NH3+]CC(=O)[O-]", 0, {0: 1, 4: -1}),
            ("[OH-]", -1, {0: -1}),
        ],
    )
    def test_charges(self, smiles, charge, charges):
        molecule = Molecule.from_smiles(smiles)
        assert molecule.charge == charge
        assert {i: q for i, q in enumerate(molecule.formal_charges.tolist()) if q} == charges


class TestFromFile:
    @pytest.mark.parametrize("ending", [".sdf", ".mol", ".SDF"])
    def test_sdf_keeps_order_bonds_charges_and_coordinates(self, tmp_path, ending):
        path = tmp_path / f"in{ending}"
        positions = written(path.with_suffix(ending.lower()), "C[NH2+]CC(=O)[O-]")
        path.with_suffix(ending.lower()).rename(path)
        molecule = Molecule.from_file(path)
        np.testing.assert_allclose(molecule.positions, positions, atol=1e-4)
        assert molecule.elements[:6] == ("C", "N", "C", "C", "O", "O")
        assert molecule.formal_charges[:6].tolist() == [0, 1, 0, 0, 0, -1]
        assert molecule.name == "titled"
        assert Molecule.from_file(path, name="mine").name == "mine"

    def test_several_molecules_are_refused(self, tmp_path):
        written(tmp_path / "a.sdf", "CO")
        written(tmp_path / "b.sdf", "CCO")
        (tmp_path / "c.sdf").write_text((tmp_path / "a.sdf").read_text() + (tmp_path / "b.sdf").read_text())
        with pytest.raises(MismatchError, match=r"2 records of different molecules: record 0 is CO, record 1 CCO"):
            Molecule.from_file(tmp_path / "c.sdf")
        assert Molecule.from_file(tmp_path / "c.sdf", record=0).smiles == "CO"
        assert Molecule.from_file(tmp_path / "c.sdf", record=1).smiles == "CCO"
        with pytest.raises(InputError, match="has no record 2; expected 0 to 1"):
            Molecule.from_file(tmp_path / "c.sdf", record=2)

    def test_mol2(self, tmp_path):
        (tmp_path / "a.mol2").write_text(MOL2)
        molecule = Molecule.from_file(tmp_path / "a.mol2")
        assert molecule.smiles == "CO"
        assert molecule.positions[5].tolist() == [1.450, -0.070, -0.690]
        assert molecule.name == "methanol"

    def test_pdb(self, tmp_path):
        positions = written(tmp_path / "a.pdb", "CCO")
        molecule = Molecule.from_file(tmp_path / "a.pdb")
        assert molecule.smiles == "CCO"
        np.testing.assert_allclose(molecule.positions, positions, atol=1e-3)

    @pytest.mark.parametrize("ending", [".sdf", ".mol", ".mol2", ".pdb"])
    @pytest.mark.parametrize("content", [b"", b"nonsense\n" * 5, b"\xff\xfe\x00" * 50])
    def test_damaged_files(self, tmp_path, ending, content, capfd):
        path = tmp_path / f"bad{ending}"
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"bad{ending}"):
            Molecule.from_file(path)
        assert capfd.readouterr().err == ""

    def test_truncated_sdf(self, tmp_path):
        path = tmp_path / "a.sdf"
        written(path, "CCO")
        path.write_text("\n".join(path.read_text().splitlines()[:8]))
        with pytest.raises(InputError, match=r"a\.sdf holds no molecule"):
            Molecule.from_file(path)

    def test_missing_file_wrong_format_missing_hydrogens(self, tmp_path):
        with pytest.raises(InputError, match="does not exist"):
            Molecule.from_file(tmp_path / "a.sdf")
        with pytest.raises(InputError, match=r"a name that ends in \.sdf, \.mol, \.mol2, \.pdb"):
            Molecule.from_file(tmp_path / "a.xyz")
        mol = Chem.MolFromSmiles("CCO")
        AllChem.EmbedMolecule(Chem.AddHs(mol), randomSeed=1)
        Chem.MolToMolFile(mol, str(tmp_path / "bare.mol"))
        with pytest.raises(InputError, match=r"atom 0 \(C\) lacks hydrogens"):
            Molecule.from_file(tmp_path / "bare.mol")


class TestFromRdkit:
    def test_keeps_every_conformer(self):
        mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
        AllChem.EmbedMultipleConfs(mol, 3, randomSeed=1)
        molecule = Molecule.from_rdkit(mol)
        assert molecule.conformers.shape == (3, 9, 3)
        np.testing.assert_array_equal(molecule.conformers[2], mol.GetConformer(2).GetPositions())
        back = molecule.to_rdkit()
        np.testing.assert_array_equal(back.GetConformer(1).GetPositions(), molecule.conformers[1])
        assert mol.GetNumConformers() == 3

    def test_what_is_no_molecule(self):
        for given in (None, "CCO", 5):
            with pytest.raises(InputError, match=r"was given; expected an rdkit\.Chem\.Mol"):
                Molecule.from_rdkit(given)
        whole = Chem.MolFromSmiles("[H]C([H])([H])[H]", sanitize=False)
        assert Molecule.from_rdkit(whole).n_atoms == 5
        with pytest.raises(InputError, match="RDKit cannot sanitise the molecule"):
            Molecule.from_rdkit(Chem.MolFromSmiles("CN(C)(C)C", sanitize=False))

    def test_flat_drawings_are_embedded(self):
        mol = Chem.AddHs(Chem.MolFromSmiles("CC"))
        AllChem.Compute2DCoords(mol)
        assert np.abs(Molecule.from_rdkit(mol).positions[:, 2]).max() > 0.1


class TestSymmetryClasses:
    @pytest.mark.parametrize(
        ("smiles", "sizes"),
        [
            ("C", [1, 4]),
            ("CCO", [1, 1, 1, 1, 2, 3]),
            ("c1ccccc1", [6, 6]),
            ("Cc1ccccc1", [1, 1, 1, 1, 2, 2, 2, 2, 3]),
            ("CC(=O)[O-]", [1, 1, 2, 3]),
            ("C[N+](=O)[O-]", [1, 1, 2, 3]),
            ("CS(=O)(=O)[O-]", [1, 1, 3, 3]),
            ("NC(N)=[NH2+]", [1, 3, 6]),
            ("C[C@H](O)[C@@H](O)C", [2, 2, 2, 2, 2, 6]),
        ],
    )
    def test_resonance_and_stereo_do_not_count(self, smiles, sizes):
        classes = Molecule.from_smiles(smiles).symmetry_classes
        assert sorted(np.unique(classes, return_counts=True)[1].tolist()) == sizes

    def test_aspirin_has_equal_methyl_hydrogens_only(self):
        classes = Molecule.from_smiles("CC(=O)Oc1ccccc1C(=O)O").symmetry_classes
        assert sorted(np.unique(classes, return_counts=True)[1].tolist())[-2:] == [1, 3]


class TestFind:
    def test_atoms_in_the_pattern_s_order(self):
        assert Molecule.from_smiles("CCO").find("[OX2][CX4]") == [(2, 1)]
        assert len(Molecule.from_smiles("CCO").find("[H]O")) == 1

    def test_bad_pattern_and_no_match(self):
        with pytest.raises(InputError, match="cannot read the SMARTS"):
            Molecule.from_smiles("CCO").find("[C")
        with pytest.raises(InputError, match="no match for 'N'"):
            Molecule.from_smiles("CCO").find("N")


class TestReordered:
    def test_everything_moves_along(self):
        molecule = Molecule.from_smiles("CC(=O)[O-]")
        order = [3, 6, 0, 5, 2, 1, 4]
        moved = molecule.reordered(order)
        assert moved.elements == tuple(molecule.elements[i] for i in order)
        np.testing.assert_array_equal(moved.conformers, molecule.conformers[:, order])
        np.testing.assert_array_equal(moved.formal_charges, molecule.formal_charges[order])
        bonds = {frozenset(order[i] for i in pair) for pair in moved.bonds.tolist()}
        assert bonds == {frozenset(pair) for pair in molecule.bonds.tolist()}
        assert moved.smiles == molecule.smiles
        back = moved.reordered(np.argsort(order).tolist())
        np.testing.assert_array_equal(back.positions, molecule.positions)

    @pytest.mark.parametrize("order", [[0, 1], [0, 0, 1], [1, 2, 3]])
    def test_no_permutation(self, order):
        with pytest.raises(InputError, match="not a permutation of the 3 atoms"):
            Molecule.from_smiles("O").reordered(order)


class TestWithConformers:
    def test_one_or_many(self):
        molecule = Molecule.from_smiles("O")
        assert molecule.with_conformers(molecule.positions).conformers.shape == (1, 3, 3)
        given = np.array([molecule.positions] * 2)
        made = molecule.with_conformers(given)
        given[:] = 5
        assert made.conformers.max() < 1
        with pytest.raises(ValueError, match="read-only"):
            made.conformers[0, 0, 0] = 2
        nanometers = molecule.with_conformers(molecule.positions * 0.1 * unit.nanometer)
        np.testing.assert_allclose(nanometers.positions, molecule.positions)

    @pytest.mark.parametrize("shape", [(2, 3), (1, 4, 3), (0, 3, 3), (3, 2)])
    def test_wrong_shapes(self, shape):
        with pytest.raises(MismatchError, match=r"expected \(n_conformers, 3, 3\)"):
            Molecule.from_smiles("O").with_conformers(np.zeros(shape))

    def test_not_finite(self):
        with pytest.raises(InputError, match="not finite"):
            Molecule.from_smiles("O").with_conformers(np.full((3, 3), np.nan))

    @pytest.mark.parametrize(("factor", "unit_name"), [(1 / 0.529177, "bohr"), (0.1, "nm"), (100.0, "pm")])
    def test_another_unit(self, factor, unit_name):
        molecule = Molecule.from_smiles("CCO")
        with pytest.raises(InputError, match=f"as in {unit_name}; expected Å"):
            molecule.with_conformers(molecule.positions * factor)

    def test_another_order_of_atoms(self):
        molecule = Molecule.from_smiles("CCO")
        with pytest.warns(UserWarning, match=r"CCO, conformer 0: atoms 1 and 6 are bonded at 2\.05 .* atom order"):
            molecule.with_conformers(molecule.positions[[0, 2, 1, 3, 4, 5, 6, 7, 8]])

    @pytest.mark.parametrize(
        ("smiles", "where"),
        [("C[C@H](F)Cl", r"atom 1 \(C\)"), ("F/C=C/F", "the bond 1-2"), ("C[C@@H](N)C(=O)O", r"atom 1 \(C\)")],
    )
    def test_another_stereoisomer(self, smiles, where):
        """The mirror image of a centre, or the Z isomer of a double bond."""
        molecule = Molecule.from_smiles(smiles)
        other = molecule.positions * [1, 1, -1]
        if "/" in smiles:
            other = Molecule.from_smiles("F/C=C\\F").positions
        shape = replace(molecule, conformers=other[None]).to_rdkit()
        for call in (lambda: molecule.with_conformers(other), lambda: Molecule.from_rdkit(shape)):
            with pytest.raises(MismatchError, match=f"conformer 0 has the other configuration at {where}"):
                call()
        assert molecule.with_conformers(molecule.positions).n_atoms == molecule.n_atoms

    def test_open_configurations_and_hot_frames_pass(self, reference_data):
        """pytest turns warnings into errors. The frames of 3BPA at up to 1200 K are the hottest that we have."""
        molecule = Molecule.from_smiles("CC(F)Cl")
        molecule.with_conformers(molecule.positions * [1, 1, -1])
        frames = Frames.load(reference_data("3bpa_mixedT.npz"))
        bare = Molecule.from_geometry(frames.atomic_numbers, frames.positions[0])
        for r in frames.positions[::20]:
            bare.with_conformers(r)


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        ("CCO |name|", 'expected no blank; give a name by name="…"'),
        ("*C", r"atom 0 is a dummy atom \(\*\); expected an element"),
        ("C(C", "check brackets"),
    ],
)
def test_smiles_that_are_refused(smiles, message):
    with pytest.raises(InputError, match=message):
        Molecule.from_smiles(smiles)


def test_isotopes_give_a_warning():
    with pytest.warns(UserWarning, match=r"isotopes are ignored: masses are natural; set them with .*setParticleMass"):
        assert Molecule.from_smiles("[2H]C").n_atoms == 5


def test_an_sdf_keeps_the_name(tmp_path: Path) -> None:
    Chem.MolToMolFile(Molecule.from_smiles("CO", name="methanol").to_rdkit(), str(tmp_path / "molecule.sdf"))
    assert Molecule.from_file(tmp_path / "molecule.sdf").name == "methanol"
