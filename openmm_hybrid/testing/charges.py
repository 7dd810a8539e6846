"""The conformance suite of charge methods: inherit it in a test module and name the method.

class TestMyCharges(ChargesSuite):
    method = "my-charges"
"""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid.charges import METHODS
from openmm_hybrid.charges.assign import assign_charges
from openmm_hybrid.data.molecule import Molecule


class ChargesSuite:
    """Conformance tests of a charge method, on methanol, acetate and methylammonium.

    The method is found by its name, so that its registration is tested too.
    """

    method: str

    @pytest.fixture(params=["CO", "CC(=O)[O-]", "C[NH3+]"])
    def molecule(self, request: pytest.FixtureRequest) -> Molecule:
        return Molecule.from_smiles(request.param)

    def test_registered(self) -> None:
        assert self.method in METHODS.names()

    def test_charges_sum_to_the_net_charge(self, molecule: Molecule) -> None:
        charges = assign_charges(molecule, self.method, progress=False)
        assert charges.shape == (molecule.n_atoms,)
        assert np.isfinite(charges).all()
        assert charges.sum() == pytest.approx(molecule.charge, abs=1e-9)

    def test_equivalent_atoms_have_one_charge(self, molecule: Molecule) -> None:
        charges = assign_charges(molecule, self.method, progress=False)
        for label in set(molecule.symmetry_classes.tolist()):
            assert np.ptp(charges[molecule.symmetry_classes == label]) < 1e-9

    def test_charges_follow_the_order_of_the_atoms(self) -> None:
        molecule = Molecule.from_smiles("CO")
        order = np.random.default_rng(0).permutation(molecule.n_atoms)
        charges = assign_charges(molecule, self.method, progress=False)
        reordered = assign_charges(molecule.reordered(order.tolist()), self.method, progress=False)
        np.testing.assert_allclose(reordered, charges[order], rtol=0, atol=2e-3)

    def test_quiet(self, capfd: pytest.CaptureFixture[str]) -> None:
        assign_charges(Molecule.from_smiles("CO"), self.method, progress=False)
        assert capfd.readouterr().out == ""
