"""Systems read from AMBER's files, and files that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import unit

from openmm_hybrid import Molecule, gaff
from openmm_hybrid.core.errors import InputError, MismatchError
from tests.helpers.gaff_molecules import LEAP

PRMTOP = Path(__file__).parent / "gaff" / "leap" / "aspirin.prmtop"


@pytest.fixture(scope="module")
def molecule() -> Molecule:
    return Molecule.from_smiles(LEAP["aspirin"][0])


def inpcrd(path: Path, positions: np.ndarray) -> Path:
    """AMBER's coordinate format: six numbers of twelve columns a line."""
    numbers = [f"{x:12.7f}" for x in positions.ravel()]
    lines = ["".join(numbers[i : i + 6]) for i in range(0, len(numbers), 6)]
    path.write_text("\n".join(["title", f"{len(positions):5d}", *lines]) + "\n")
    return path


def test_array_quantity_and_file_give_the_same(molecule: Molecule, tmp_path: Path) -> None:
    path = inpcrd(tmp_path / "a.inpcrd", molecule.positions)
    systems = [
        gaff.from_prmtop(PRMTOP, source) for source in (molecule.positions, molecule.positions * unit.angstrom, path)
    ]
    for read in systems:
        np.testing.assert_allclose(read.positions.value_in_unit(unit.angstrom), molecule.positions, atol=1e-6)
        assert read.molecules == ()
        assert read.atom_types[:4] == ("c3", "c", "o", "os")
        assert read.charges.sum() == pytest.approx(0.0, abs=1e-6)
        np.testing.assert_array_equal(read.model().atomic_numbers, molecule.atomic_numbers)


def test_constraints(molecule: Molecule) -> None:
    assert gaff.from_prmtop(PRMTOP, molecule.positions, constraints="HBonds").system.getNumConstraints() == 8
    force = next(
        force
        for force in gaff.from_prmtop(PRMTOP, molecule.positions).system.getForces()
        if isinstance(force, openmm.NonbondedForce)
    )
    assert force.getNonbondedMethod() == openmm.NonbondedForce.NoCutoff


def test_heavy_hydrogens(molecule: Molecule) -> None:
    built = gaff.from_prmtop(PRMTOP, molecule.positions, hydrogen_mass=3)
    masses = np.array([built.system.getParticleMass(i)._value for i in range(molecule.n_atoms)])
    np.testing.assert_allclose(masses[molecule.atomic_numbers == 1], 3.0)
    assert built.hydrogen_mass == 3.0
    with pytest.raises(InputError, match=r"leaves .* Da to the atom"):
        gaff.from_prmtop(PRMTOP, molecule.positions, hydrogen_mass=6)


def test_refusals(molecule: Molecule, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        gaff.from_prmtop(tmp_path / "none.prmtop", molecule.positions)
    with pytest.raises(InputError, match="does not exist"):
        gaff.from_prmtop(PRMTOP, tmp_path / "none.inpcrd")
    with pytest.raises(MismatchError, match=r"\(20, 3\).*\(21, 3\)"):
        gaff.from_prmtop(PRMTOP, molecule.positions[:-1])
    with pytest.raises(InputError, match="unknown constraints"):
        gaff.from_prmtop(PRMTOP, molecule.positions, constraints="all")
    for number, text in enumerate(["", "hello\n", PRMTOP.read_text()[:3000]]):
        (tmp_path / f"{number}.prmtop").write_text(text)
        with pytest.raises(InputError, match="cannot be read as a prmtop"):
            gaff.from_prmtop(tmp_path / f"{number}.prmtop", molecule.positions)
    (tmp_path / "bad.inpcrd").write_text("title\n  21\nxx\n")
    with pytest.raises(InputError, match="cannot be read as AMBER coordinates"):
        gaff.from_prmtop(PRMTOP, tmp_path / "bad.inpcrd")
