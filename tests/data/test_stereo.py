"""Open stereochemistry: which isomer is made, when there is a warning, and shapes beyond MMFF94 and UFF."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from rdkit import Chem

from openmm_hybrid import Molecule
from openmm_hybrid.data.stereo import Unspecified


def unspecified(smiles: str) -> Unspecified:
    return Unspecified.of(Chem.AddHs(Chem.MolFromSmiles(smiles)))


@pytest.mark.parametrize(
    ("smiles", "centres", "bonds"),
    [
        ("FC=CF", 0, 1),
        (r"F/C=C\F", 0, 0),
        ("CC(F)Cl", 1, 0),
        ("CC1CCC(C)CC1", 2, 0),
        ("C[C@@H](O)C(N)C(=O)O", 1, 0),
        ("C[NH+]1CCCC1c1cccnc1", 1, 0),
        ("CC(=N)N", 0, 0),
        ("CN=[N+]=[N-]", 0, 0),
        ("CC=C=CC", 0, 0),
        ("OP(=O)([O-])Oc1ccccc1", 0, 0),
        ("CS(=O)c1ccccc1", 1, 0),
        ("CCO", 0, 0),
    ],
)
def test_what_is_open(smiles: str, centres: int, bonds: int) -> None:
    """Counted by hand: invertible nitrogens, shared protons and cumulated bonds do not count."""
    found = unspecified(smiles)
    assert (len(found.centres), len(found.bonds)) == (centres, bonds)
    assert found.diastereomers == (bonds > 0 or (centres > 0 and found.n_centres > 1))


def test_one_isomer_for_all_conformers() -> None:
    """E-difluoroethene has both fluorines 3.5 Å apart, the Z isomer 2.8 Å."""
    with pytest.warns(UserWarning, match=r"the bond 1-2 open; F/C=C/F was made"):
        molecule = Molecule.from_smiles("FC=CF", n_conformers=6)
    distances = np.linalg.norm(molecule.conformers[:, 0] - molecule.conformers[:, 3], axis=1)
    np.testing.assert_allclose(distances, 3.5, atol=0.1)
    assert molecule.smiles == "F/C=C/F"


def test_mirror_images_give_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        molecule = Molecule.from_smiles("CC(F)Cl", n_conformers=5)
    around = molecule.conformers[:, [0, 2, 3]] - molecule.conformers[:, [1]]
    assert len(set(np.sign(np.linalg.det(around)))) == 1


def test_the_warning_counts_specified_centres() -> None:
    with pytest.warns(UserWarning, match=r"configuration of atom 3 \(C\) open; .*@.*@.* was made"):
        Molecule.from_smiles("C[C@@H](O)C(N)C(=O)O")


def bonds_of_first(molecule: Molecule, element: str) -> NDArray[np.float64]:
    centre = molecule.elements.index(element)
    return np.array(molecule.positions[list(molecule.neighbours[centre])] - molecule.positions[centre])


def test_octahedron() -> None:
    """P-F is 1.60 Å in crystals of hexafluorophosphates; GFN2-xTB has 1.63 Å."""
    bonds = bonds_of_first(Molecule.from_smiles("F[P-](F)(F)(F)(F)F"), "P")
    lengths = np.linalg.norm(bonds, axis=1)
    np.testing.assert_allclose(lengths, 1.60, atol=0.05)
    cosines = np.sort((bonds @ bonds.T / lengths / lengths[:, None])[np.triu_indices(6, 1)])
    np.testing.assert_allclose(cosines, [-1] * 3 + [0] * 12, atol=0.01)


def test_square_pyramid() -> None:
    """IF5 in the gas phase has F(axial)-I-F(basal) angles of 81.9° (electron diffraction); a bipyramid is a saddle."""
    bonds = bonds_of_first(Molecule.from_smiles("FI(F)(F)(F)F"), "I")
    units = bonds / np.linalg.norm(bonds, axis=1)[:, None]
    angles = np.sort(np.degrees(np.arccos((units @ units.T)[np.triu_indices(5, 1)])))
    np.testing.assert_allclose(angles[:4], 81.9, atol=5)
    assert angles[-1] < 170


def test_a_shape_that_nothing_relaxes_gives_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tblite.ase", None)
    with pytest.warns(UserWarning, match="only a rough guess; install tblite"):
        molecule = Molecule.from_smiles("F[P-](F)(F)(F)(F)F")
    fluorines = molecule.positions[[0, 2, 3, 4, 5, 6]]
    distances = np.linalg.norm(fluorines[:, None] - fluorines, axis=-1)[np.triu_indices(6, 1)]
    assert distances.min() > 2.0  # 0.84 Å in RDKit's raw embedding
