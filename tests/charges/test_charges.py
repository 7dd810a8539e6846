"""RESP against the published RESP-A1 charges of ethanol and against rotation; AM1-BCC; charges that are given."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from openmm import unit
from scipy.spatial.transform import Rotation

import openmm_hybrid as oh
from openmm_hybrid.charges import am1bcc, resp
from openmm_hybrid.charges.assign import assign_charges
from openmm_hybrid.core.errors import (
    HybridError,
    InputError,
    MismatchError,
    MissingDependencyError,
    NumericalError,
)
from openmm_hybrid.testing import ChargesSuite


class TestAM1BCC(ChargesSuite):
    method = "am1-bcc"


#: Trans and gauche ethanol at their RHF/6-31G* minima, the geometries of RESP-A1 (relaxed with PySCF for this test; Å).
ETHANOL = [
    [
        [0.8879, -0.0656, 0.0174], [-0.5941, -0.3794, 0.059], [-1.2845, 0.8129, 0.3291], [1.213, 0.3429, 0.9677],
        [1.0963, 0.6657, -0.7557], [1.463, -0.9628, -0.1896], [-0.7966, -1.122, 0.8286], [-0.9133, -0.7996, -0.893],
        [-2.2153, 0.642, 0.3612],
    ],
    [
        [0.9195, -0.0777, 0.0132], [-0.5787, -0.3396, 0.0453], [-1.3193, 0.814, 0.3457], [1.2517, 0.3341, 0.9598],
        [1.1746, 0.6307, -0.7715], [1.4682, -0.9952, -0.1776], [-0.817, -1.0528, 0.8233], [-0.9061, -0.77, -0.8993],
        [-1.1946, 1.4557, -0.3401],
    ],
]  # fmt: skip


def test_resp_of_ethanol_is_the_published_resp_a1():
    molecule = oh.Molecule.from_smiles("CCO").with_conformers(ETHANOL)
    published = [-0.103, 0.341, -0.645, 0.026, 0.026, 0.026, -0.027, -0.027, 0.382]
    charges = assign_charges(molecule, "resp")
    np.testing.assert_allclose(charges, published, rtol=0, atol=0.03)
    assert abs(charges.sum()) < 1e-14


TETRAHEDRON = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)


@pytest.mark.parametrize(
    ("smiles", "positions"),
    [
        ("CO", None),
        ("CC(=O)[O-]", None),
        ("FC(F)(F)F", 1.32 * TETRAHEDRON[[1, 0, 2, 3, 4]]),  # three equal moments: no principal axes of its own
        ("C#N", [[0, 0, 0], [0, 0, 1.15], [0, 0, -1.07]]),  # linear: two axes are arbitrary
    ],
)
def test_resp_does_not_depend_on_the_frame(smiles, positions):
    molecule = oh.Molecule.from_smiles(smiles)
    molecule = molecule if positions is None else molecule.with_conformers(positions)
    turns = Rotation.random(3, rng=np.random.default_rng(5)).as_matrix()
    charges = [assign_charges(molecule, "resp")]
    charges += [assign_charges(molecule.with_conformers(molecule.positions @ turn + 2.0), "resp") for turn in turns]
    assert np.ptp(charges, axis=0).max() < 0.01
    for row in charges:
        assert abs(row.sum() - molecule.charge) < 1e-12
        for kind in molecule.symmetry_classes:
            assert np.ptp(row[molecule.symmetry_classes == kind]) < 1e-12


def test_the_same_conformer_twice_gives_the_same_charges():
    molecule = oh.Molecule.from_smiles("CO")
    twice = molecule.with_conformers([molecule.positions, molecule.positions])
    np.testing.assert_allclose(assign_charges(twice, "resp"), assign_charges(molecule, "resp"), rtol=0, atol=1e-9)


def test_iodine_has_a_basis_and_a_radius():
    charges = assign_charges(oh.Molecule.from_smiles("CI"), "resp")
    assert abs(charges.sum()) < 1e-12
    assert -0.4 < charges[1] < 0.1


def test_fit_returns_the_point_charges_that_made_the_potential(monkeypatch):
    """Exactly so without restraint, nearer to zero on the heavy atom with it."""
    molecule = oh.Molecule.from_smiles("[NH4+]")
    points = resp.surface_points(molecule.atomic_numbers, molecule.positions)
    charges = np.array([-0.8, 0.45, 0.45, 0.45, 0.45])
    inverse = 0.529177210903 / np.linalg.norm(points[:, None] - molecule.positions, axis=-1)
    made = [(molecule.positions, points, inverse @ charges)]
    restrained = resp.fit(molecule, made)
    assert -0.8 < restrained[0] < -0.6
    monkeypatch.setattr(resp, "_STAGE_1", 0.0)
    np.testing.assert_allclose(resp.fit(molecule, made), charges, atol=1e-9)


def test_surface_points_lie_on_the_shells():
    molecule = oh.Molecule.from_smiles("[NH4+]")
    points = resp.surface_points(molecule.atomic_numbers, molecule.positions)
    distances = np.linalg.norm(points[:, None] - molecule.positions, axis=-1)
    ratio = (distances / np.array([1.5, 1.2, 1.2, 1.2, 1.2])).min(axis=1)
    np.testing.assert_allclose(np.unique(ratio.round(9)), resp.SHELLS, atol=1e-9)
    alone = resp.surface_points(np.array([6]), np.zeros((1, 3)))
    area = sum(4 * np.pi * (1.5 * shell) ** 2 for shell in resp.SHELLS)
    assert len(alone) / area == pytest.approx(6.0, rel=0.02)


def test_alkyl_atoms_are_sp3_ch2_ch3_ch4():
    molecule = oh.Molecule.from_smiles("CCC(C)C=C")  # CH3 CH2 CH (CH3) CH= =CH2
    heavy = resp.alkyl_atoms(molecule)[:6]
    assert heavy.tolist() == [True, True, False, True, False, False]
    assert resp.alkyl_atoms(molecule)[6:].sum() == 8
    assert resp.alkyl_atoms(oh.Molecule.from_smiles("C")).all()


def test_a_field_that_does_not_converge_is_named(monkeypatch):
    from pyscf import scf

    monkeypatch.setattr(scf.hf.SCF, "max_cycle", 1)
    monkeypatch.setattr(scf.hf.RHF, "newton", lambda self: self)
    with pytest.raises(NumericalError, match=r"RHF/6-31G\* of CO does not converge"):
        assign_charges(oh.Molecule.from_smiles("CO"), "resp")


def test_missing_pyscf_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.partition(".")[0] == "pyscf":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"pip install .*\[gaff\]"):
        assign_charges(oh.Molecule.from_smiles("CO"), "resp")


def test_am1bcc_of_ethanol():
    """What openff-toolkit gets from AmberTools for ethanol, as other projects' tests quote it, to four decimals."""
    charges = assign_charges(oh.Molecule.from_smiles("CCO"), "am1-bcc")
    published = [-0.1361, 0.1264, -0.5998, 0.0424, 0.0424, 0.0424, 0.0432, 0.0432, 0.3960]
    np.testing.assert_allclose(charges, published, rtol=0, atol=0.001)
    assert abs(charges.sum()) < 1e-14


def test_am1bcc_of_an_anion_is_symmetric():
    molecule = oh.Molecule.from_smiles("CC(=O)[O-]")
    charges = assign_charges(molecule, "am1-bcc")
    assert charges[2] == charges[3]
    assert abs(charges.sum() + 1) < 1e-12


def test_am1bcc_keeps_a_proton_that_moves():
    """AM1 in vacuum has no minimum near this geometry of β-alanine's zwitterion: a proton moves from N to O.

    RESP charges (RHF/6-31G*) of N and its hydrogens sum to 0.57 e in Gly-Gly; after the move AM1-BCC has 0.06 e there.
    """
    molecule = oh.Molecule.from_smiles("[NH3+]CCC(=O)[O-]", name="β-alanine")
    with pytest.warns(UserWarning, match=r"broke the bond between atoms 0 \(N\) and 6 \(H\) of β-alanine.*before"):
        charges = assign_charges(molecule, "am1-bcc")
    group = [0, *(atom for atom in molecule.neighbours[0] if molecule.elements[atom] == "H")]
    assert 0.4 < charges[group].sum() < 0.7
    assert abs(charges.sum()) < 1e-12
    assert abs(assign_charges(oh.Molecule.from_smiles("[NH3+]CC(=O)[O-]"), "am1-bcc").sum()) < 1e-12


def test_am1bcc_names_a_missing_library(monkeypatch):
    def fails(*_):
        raise MissingDependencyError("the AmberTools of sqm lack the shared library libarpack.so.2")

    monkeypatch.setattr(am1bcc, "run_program", fails)
    with pytest.raises(MissingDependencyError, match="libarpack"):
        assign_charges(oh.Molecule.from_smiles("CO"), "am1-bcc")


def test_am1bcc_failure_names_the_molecule(monkeypatch):
    def fails(*_):
        raise HybridError("antechamber failed")

    monkeypatch.setattr(am1bcc, "run_program", fails)
    with pytest.raises(NumericalError, match="AM1-BCC charges of methanol failed"):
        assign_charges(oh.Molecule.from_smiles("CO", name="methanol"), "am1-bcc")


@pytest.mark.parametrize("method", ["resp", "am1-bcc"])
def test_an_element_without_gaff_is_named(method):
    with pytest.raises(InputError, match=r"Si"):
        assign_charges(oh.Molecule.from_smiles("[SiH4]"), method)


class TestGiven:
    def test_used_as_they_are(self):
        molecule = oh.Molecule.from_smiles("[OH-]")
        given = [-1.2991, 0.3]
        assert assign_charges(molecule, given).tolist() == given
        assert assign_charges(molecule, np.array(given) * unit.elementary_charge).tolist() == given

    def test_wrong_sum_number_and_values_are_refused(self):
        molecule = oh.Molecule.from_smiles("O")
        with pytest.raises(MismatchError, match=r"sum to 0.1000 e; expected the net charge of O, \+0 e"):
            assign_charges(molecule, [-0.7, 0.4, 0.4])
        with pytest.raises(MismatchError, match=r"shape \(2,\)"):
            assign_charges(molecule, [-0.4, 0.4])
        with pytest.raises(InputError, match="atom 1 is not finite"):
            assign_charges(molecule, [0, np.nan, 0])

    def test_unknown_method_is_hinted(self):
        with pytest.raises(InputError, match="did you mean resp"):
            assign_charges(oh.Molecule.from_smiles("O"), "respp")
