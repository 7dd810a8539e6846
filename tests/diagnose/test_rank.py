"""The ranking of coordinates, for residuals that are known exactly, and for aspirin's published frames."""

from __future__ import annotations

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError
from tests.helpers import few_atoms


@pytest.fixture(scope="module")
def planted() -> oh.Frames:
    return few_atoms.labelled(few_atoms.attraction(), 150)


@pytest.mark.parametrize(
    ("model", "kind", "atoms"), [("attraction", "distance", few_atoms.PAIR), ("twist", "dihedral", (1, 2, 3, 4))]
)
def test_ranking_finds_the_planted_coordinate_first(model, kind, atoms):
    ranking = oh.correction.rank(few_atoms.base(), few_atoms.labelled(getattr(few_atoms, model)(), 200))
    best = ranking.rows[0]
    assert (best.kind, best.atoms) == (kind, atoms)
    assert best.torsional_share > 0.95
    assert max(row.torsional_share for row in ranking.rows[1:]) < best.torsional_share
    assert f"{'-'.join(f'{s}{k}' for s, k in zip('OCCCNF', range(6), strict=True) if k in atoms)}" in ranking.table()
    assert len(ranking.as_dict()["rows"]) == len(ranking.rows)


def test_ranking_of_atoms_is_the_residual_of_each(planted):
    ranking = oh.correction.rank(few_atoms.base(), planted)
    _, forces = few_atoms.attraction().predict(planted.positions)
    np.testing.assert_allclose(ranking.atom_rmse, np.sqrt((forces**2).mean(axis=(0, 2))), atol=1e-9)


def test_ranking_refuses_what_has_no_residual(planted):
    with pytest.raises(InputError, match="no residual"):
        oh.correction.rank(few_atoms.base(), planted, reference=few_atoms.base())
    with pytest.raises(InputError, match="order = 0"):
        oh.correction.rank(few_atoms.base(), planted, order=0)


#: RESP (HF/6-31G*) of the molecule in the frames' atom order, rounded.
RESP = (
    *(-0.180, -0.170, -0.156, -0.121, -0.397, -0.043, 0.207, -0.554, -0.547, -0.612, 0.690),
    *(0.785, -0.396, 0.438, 0.190, 0.163, 0.154, 0.154, 0.131, 0.131, 0.131),
)


def test_aspirins_contact_of_ester_and_acid_is_found_without_being_told(reference_data):
    """GAFF 1.81 against CCSD (Chmiela et al. 2018): an O···C contact of the two groups, as arXiv:2008.04198 says."""
    frames = oh.Frames.load(reference_data("aspirin_ccsd-train.npz"))
    molecule = _perceived(frames)
    field = oh.gaff.build(molecule, version="1.81", charges=np.array(RESP) - sum(RESP) / 21).model()
    first = oh.correction.rank(field, frames, molecule).rows[0]
    assert (first.kind, first.atoms) == ("distance", (8, 10))  # the ester's carbonyl O and the acid's C
    assert first.torsional_share > 0.2  # measured: 0.29


def _perceived(frames: oh.Frames) -> oh.Molecule:
    """The molecule of the frame with the lowest energy, in the frames' atom order."""
    from ase.data import chemical_symbols
    from rdkit import Chem
    from rdkit.Chem import rdDetermineBonds

    lowest = frames.positions[int(np.argmin(frames.energies))]
    lines = [
        f"{chemical_symbols[z]} {x:.6f} {y:.6f} {w:.6f}"
        for z, (x, y, w) in zip(frames.atomic_numbers, lowest, strict=True)
    ]
    found = Chem.MolFromXYZBlock("\n".join([str(len(lines)), "", *lines]))
    rdDetermineBonds.DetermineBonds(found, charge=0)
    return oh.Molecule.from_rdkit(found, name="aspirin")
