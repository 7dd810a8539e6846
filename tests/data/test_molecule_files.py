"""Molecule files: several records, drawings, other units, templates, and MOL2 of Open Babel and antechamber.

Expected values are the SMILES and coordinates that the files were made from.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from openmm_hybrid import Molecule
from openmm_hybrid.bases import gaff
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR
from tests.helpers.gaff_molecules import DRUGS
from tests.helpers.molecule_files import (
    GAFF_ACETATE,
    GAFF_NITROANILINE,
    OPEN_BABEL_ACETATE,
    SYBYL_NITROANILINE,
    bare_mol2,
    sdf,
)


def save(path, text):
    path.write_text(text)
    return path


class TestRecords:
    def test_conformers_of_one_molecule_are_all_kept(self, tmp_path):
        molecule = Molecule.from_smiles("CCCO", n_conformers=3)
        found = Molecule.from_file(save(tmp_path / "a.sdf", sdf(molecule)))
        np.testing.assert_allclose(found.conformers, molecule.conformers, atol=1e-4)
        np.testing.assert_allclose(
            Molecule.from_file(tmp_path / "a.sdf", record=2).positions, molecule.conformers[2], atol=1e-4
        )

    def test_records_in_another_order_of_atoms(self, tmp_path):
        molecule = Molecule.from_smiles("C[C@H](O)F", n_conformers=2)
        order = np.random.default_rng(1).permutation(molecule.n_atoms)
        text = sdf(molecule, slice(0, 1)) + sdf(molecule.reordered(order.tolist()), slice(1, 2))
        found = Molecule.from_file(save(tmp_path / "a.sdf", text))
        distances = [np.linalg.norm(each[:4, None] - each[:4], axis=-1) for each in found.conformers]
        expected = np.linalg.norm(molecule.conformers[1, :4, None] - molecule.conformers[1, :4], axis=-1)
        np.testing.assert_allclose(distances[1], expected, atol=1e-3)

    @pytest.mark.parametrize(
        ("first", "second"),
        [("C[C@H](O)F", "C[C@@H](O)F"), ("F/C=C/F", "F/C=C\\F"), ("CC(=O)O", "CC(=O)[O-]"), ("CC(C)=O", "CC(O)=C")],
        ids=["enantiomers", "E and Z", "acid and base", "tautomers"],
    )
    def test_similar_molecules_are_different(self, tmp_path, first, second):
        text = sdf(Molecule.from_smiles(first)) + sdf(Molecule.from_smiles(second))
        with pytest.raises(MismatchError, match="2 records of different molecules"):
            Molecule.from_file(save(tmp_path / "a.sdf", text))

    def test_a_bad_record_is_named(self, tmp_path):
        good = sdf(Molecule.from_smiles("CO"))
        with pytest.raises(InputError, match=r"a\.sdf, record 1 holds no molecule"):
            Molecule.from_file(save(tmp_path / "a.sdf", f"{good}nonsense\n$$$$\n{good}"))

    def test_mol2_and_pdb(self, tmp_path):
        two = GAFF_ACETATE + GAFF_ACETATE.replace("0.8040", "0.8140")
        found = Molecule.from_file(save(tmp_path / "a.mol2", two))
        assert found.conformers[:, 1, 0].tolist() == [0.804, 0.814]
        mol = Molecule.from_smiles("CO", n_conformers=3).to_rdkit()
        Chem.MolToPDBFile(mol, str(tmp_path / "a.pdb"))
        assert Molecule.from_file(tmp_path / "a.pdb").conformers.shape == (3, 6, 3)
        chosen = Molecule.from_file(tmp_path / "a.pdb", record=1)
        np.testing.assert_allclose(chosen.conformers, [mol.GetConformer(1).GetPositions()], atol=1e-3)


class TestGeometries:
    @pytest.mark.parametrize("smiles", ["CCO", "c1ccccc1", "O", "C=O"])
    @pytest.mark.parametrize("scale", [1.0, 0.45])
    def test_a_drawing_that_claims_3d(self, tmp_path, smiles, scale):
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        AllChem.Compute2DCoords(mol)
        conformer = mol.GetConformer()
        conformer.SetPositions(conformer.GetPositions() * scale)
        conformer.Set3D(True)
        Chem.MolToMolFile(mol, str(tmp_path / "a.sdf"))
        assert "3D" in (tmp_path / "a.sdf").read_text().splitlines()[1]
        with pytest.warns(UserWarning, match="the coordinates are a flat drawing, not a geometry"):
            found = Molecule.from_file(tmp_path / "a.sdf")
        i, j = found.bonds[-1]
        assert np.linalg.norm(found.positions[i] - found.positions[j]) == pytest.approx(1.03, abs=0.09)

    @pytest.mark.parametrize(
        ("factor", "message"),
        [
            (0.1, "as in nm; expected Å; multiply by 10"),
            (1 / ANGSTROM_PER_BOHR, "as in bohr"),
            (100, "as in pm"),
            (8, "Å"),
        ],
    )
    @pytest.mark.parametrize("smiles", ["CCO", "O", "c1ccccc1", "BrBr"])
    def test_other_units(self, tmp_path, factor, message, smiles):
        molecule = Molecule.from_smiles(smiles)
        moved = replace(molecule, conformers=molecule.conformers * factor)
        with pytest.raises(InputError, match=message):
            Molecule.from_file(save(tmp_path / "a.sdf", sdf(moved)))
        with pytest.raises(InputError, match=message):
            Molecule.from_geometry(molecule.atomic_numbers, moved.positions)

    def test_overlap_and_long_bonds_are_reported(self):
        molecule = Molecule.from_smiles("CCO")
        positions = molecule.positions.copy()
        positions[8] += 3 * (positions[8] - positions[2])
        with pytest.warns(UserWarning, match=r"CCO, conformer 0: atoms 2 and 8 are bonded at 3\.8\d Å"):
            Molecule.from_rdkit(replace(molecule, conformers=positions[None]).to_rdkit())
        positions = molecule.positions.copy()
        positions[[3, 6]] = (positions[0] + positions[1]) / 2 + np.array([[0.1, 0, 0], [-0.1, 0, 0]])
        with pytest.warns(UserWarning, match="atoms 3 and 6 overlap at 0.20 Å"):
            Molecule.from_rdkit(replace(molecule, conformers=positions[None]).to_rdkit())

    @pytest.mark.parametrize("name", DRUGS)
    def test_good_geometries_pass_without_a_warning(self, name):
        """pytest turns warnings into errors."""
        molecule = Molecule.from_smiles(DRUGS[name])
        assert Molecule.from_rdkit(molecule.to_rdkit()).smiles


class TestArguments:
    @pytest.mark.parametrize("seed", [-5, 2**31, 1.5, "1", None])
    def test_seed(self, seed):
        with pytest.raises(InputError, match=r"seed is .*; expected an integer from 0"):
            Molecule.from_smiles("CCO", seed=seed)

    @pytest.mark.parametrize("count", [-1, 0, 2.0, None])
    def test_number_of_conformers(self, count):
        with pytest.raises(InputError, match=r"n_conformers is .*; expected an integer from 1"):
            Molecule.from_smiles("CCO", n_conformers=count)

    @pytest.mark.parametrize("smiles", [None, 5, b"CCO", ["CCO"]])
    def test_smiles(self, smiles):
        with pytest.raises(InputError, match="the SMILES is"):
            Molecule.from_smiles(smiles)

    def test_integers_of_numpy(self):
        assert len(Molecule.from_smiles("CCO", seed=np.int64(3), n_conformers=np.int32(2)).conformers)

    @pytest.mark.parametrize("smiles", ["[Na+]", "[Cl-]", "[K+]"])
    def test_ions(self, smiles):
        with pytest.raises(InputError, match="`solvate` adds ions"):
            gaff.build(Molecule.from_smiles(smiles))

    def test_salts(self):
        with pytest.raises(InputError, match="`solvate` adds water and ions"):
            Molecule.from_smiles("CC(=O)[O-].[Na+]")

    @pytest.mark.parametrize("numbers", [[0, 1], [1, 200], [1.5, 1], [-1, 1]])
    def test_atomic_numbers(self, numbers):
        with pytest.raises(InputError, match="not elements"):
            Molecule.from_geometry(numbers, [[0, 0, 0], [0, 0, 1]])


class TestReasons:
    @pytest.mark.parametrize(
        ("smiles", "message"),
        [
            ("C[N+](C)(C)C", r"atom 1 \(N\) with 4 neighbours .* Explicit valence for atom # 1 N, 4, is greater"),
            ("C[NH3+]", r"atom 1 \(N\) with 4 neighbours"),
            ("C[OH2+]", r"atom 1 \(O\) with 3 neighbours"),
        ],
    )
    def test_missing_charge_line(self, tmp_path, smiles, message):
        text = "".join(line for line in sdf(Molecule.from_smiles(smiles)).splitlines(True) if "CHG" not in line)
        with pytest.raises(InputError, match=message):
            Molecule.from_file(save(tmp_path / "a.sdf", text))
        assert Molecule.from_file(tmp_path / "a.sdf", template=smiles).charge == 1

    @pytest.mark.parametrize("smiles", ["CCO", "c1ccccc1", "CC(=O)N"])
    def test_mol2_without_hydrogens(self, tmp_path, smiles):
        with pytest.raises(InputError, match=r"has no hydrogens: atom 0 \(C\) lacks them"):
            Molecule.from_file(save(tmp_path / "a.mol2", bare_mol2(Molecule.from_smiles(smiles))))


class TestMol2:
    def test_open_babel_s_charges(self, tmp_path):
        found = Molecule.from_file(save(tmp_path / "a.mol2", OPEN_BABEL_ACETATE))
        assert (found.smiles, found.name) == ("CC(=O)[O-]", "a")
        assert found.formal_charges.tolist() == [0, 0, 0, -1, 0, 0, 0]
        assert found.positions[0].tolist() == [-0.6772, -0.0312, -0.0189]

    @pytest.mark.parametrize(
        ("text", "smiles"),
        [
            (GAFF_ACETATE, "CC(=O)[O-]"),
            (GAFF_NITROANILINE, "Nc1ccc([N+](=O)[O-])cc1"),
            (SYBYL_NITROANILINE, "Nc1ccc([N+](=O)[O-])cc1"),
        ],
    )
    def test_antechamber(self, tmp_path, text, smiles):
        """SYBYL's types with single N–O bonds: RDKit alone makes an anion of it, [N]([O-])[O-]."""
        assert Molecule.from_file(save(tmp_path / "a.mol2", text)).smiles == smiles

    def test_without_charges_it_is_refused(self, tmp_path):
        for text, message in ((GAFF_NITROANILINE, "has GAFF types"), (SYBYL_NITROANILINE, "delocalised groups")):
            bare = "\n".join(line[:71] if " MOL " in line and "ROOT" not in line else line for line in text.split("\n"))
            with pytest.raises(
                InputError, match=f"{message}.* and no partial charges that add up to a whole net charge"
            ):
                Molecule.from_file(save(tmp_path / "a.mol2", bare))
            assert Molecule.from_file(tmp_path / "a.mol2", template="Nc1ccc([N+](=O)[O-])cc1").charge == 0

    def test_other_types(self, tmp_path):
        with pytest.raises(InputError, match=r"atom 0 has the type 'CT'; expected SYBYL or GAFF types"):
            Molecule.from_file(save(tmp_path / "a.mol2", GAFF_ACETATE.replace(" c3 ", " CT ")))


class TestTemplate:
    @pytest.mark.parametrize("smiles", ["Nc1ccc([N+](=O)[O-])cc1", "CC(=O)[O-]", "CS(C)(=O)=O", "C[C@H](O)C(=O)[O-]"])
    def test_geometry(self, smiles):
        molecule = Molecule.from_smiles(smiles)
        order = np.random.default_rng(5).permutation(molecule.n_atoms).tolist()
        moved = molecule.reordered(order)
        found = Molecule.from_geometry(moved.atomic_numbers, moved.positions, template=smiles)
        np.testing.assert_array_equal(found.atomic_numbers, moved.atomic_numbers)
        np.testing.assert_array_equal(found.bonds, moved.bonds)
        np.testing.assert_array_equal(found.positions, moved.positions)
        assert Chem.CanonSmiles(found.smiles) == Chem.CanonSmiles(molecule.smiles)
        assert found.charge == molecule.charge

    @pytest.mark.parametrize("smiles", ["Nc1ccc(cc1)[N+](=O)[O-]", "O=[N+]([O-])c1ccc(N)cc1", DRUGS["nifedipine"]])
    def test_nitro_groups_without_a_template(self, smiles):
        """RDKit's bond orders depend on the order of atoms, so several are tried."""
        molecule = Molecule.from_smiles(smiles)
        found = Molecule.from_geometry(molecule.atomic_numbers, molecule.positions)
        assert Chem.CanonSmiles(found.smiles, useChiral=0) == Chem.CanonSmiles(smiles, useChiral=0)

    def test_pdb_pose(self, tmp_path):
        molecule = Molecule.from_smiles(DRUGS["aspirin"])
        text = "\n".join(
            line for line in Chem.MolToPDBBlock(molecule.to_rdkit()).splitlines() if not line.startswith("CONECT")
        )
        with pytest.raises(InputError, match=r'template="SMILES"'):
            Molecule.from_file(save(tmp_path / "a.pdb", text))
        found = Molecule.from_file(tmp_path / "a.pdb", template=DRUGS["aspirin"])
        np.testing.assert_array_equal(found.bonds, molecule.bonds)
        assert found.smiles == molecule.smiles

    def test_pose_without_hydrogens(self, tmp_path):
        molecule = Molecule.from_smiles(DRUGS["imatinib"])
        Chem.MolToPDBFile(Chem.RemoveAllHs(molecule.to_rdkit()), str(tmp_path / "a.pdb"))
        with pytest.warns(UserWarning, match=r"a\.pdb has no hydrogens; RDKit added 31"):
            found = Molecule.from_file(tmp_path / "a.pdb", template=DRUGS["imatinib"])
        assert (found.smiles, found.n_atoms) == (molecule.smiles, 68)
        np.testing.assert_allclose(found.positions[:37], molecule.positions[:37], atol=1e-3)

    @pytest.mark.parametrize(
        ("template", "message"),
        [
            ("CCOC", r"has the atoms C3H6O; expected C3H8O, those of the template 'CCOC'"),
            ("CC(O)=C", "do not connect the atoms as the template"),
            ("C1CC1O", "do not connect the atoms as the template"),
            ("C1C", "cannot read the SMILES"),
            (None, "CC"),
        ],
    )
    def test_other_molecules(self, template, message):
        acetone = Molecule.from_smiles("CC(C)=O")
        if template is None:
            found = Molecule.from_geometry(acetone.atomic_numbers, acetone.positions)
            assert found.smiles == "CC(C)=O"
            return
        with pytest.raises(InputError, match=message):
            Molecule.from_geometry(acetone.atomic_numbers, acetone.positions, template=template)

    @pytest.mark.parametrize(("made", "template"), [("C[C@H](O)F", "C[C@@H](O)F"), ("F/C=C/F", "F/C=C\\F")])
    def test_other_stereoisomers(self, made, template):
        molecule = Molecule.from_smiles(made)
        with pytest.raises(MismatchError, match="is the stereoisomer"):
            Molecule.from_geometry(molecule.atomic_numbers, molecule.positions, template=template)
        unmarked = Chem.CanonSmiles(made, useChiral=0)
        found = Molecule.from_geometry(molecule.atomic_numbers, molecule.positions, template=unmarked)
        assert found.smiles == Chem.CanonSmiles(made)

    def test_charge(self):
        acetate = Molecule.from_smiles("CC(=O)[O-]")
        with pytest.raises(MismatchError, match="has charge -1; expected 1, as given"):
            Molecule.from_geometry(acetate.atomic_numbers, acetate.positions, charge=1, template="CC(=O)[O-]")
        with pytest.raises(InputError, match="give the right charge, a template"):
            Molecule.from_geometry(acetate.atomic_numbers, acetate.positions)
