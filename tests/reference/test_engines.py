"""Reference engines: one suite for all, and published numbers."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, CalculatorSetupError, SCFError
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from openmm import unit
from scipy.spatial.transform import Rotation

from openmm_hybrid import reference
from openmm_hybrid.core.errors import HybridError, InputError, MissingDependencyError, NumericalError
from openmm_hybrid.core.units import KCAL_PER_EV, KCAL_PER_HARTREE
from openmm_hybrid.reference.ase import AseEngine
from openmm_hybrid.reference.tblite import TbliteEngine

WATER = np.array([[0.0, 0.0, 0.117], [0.0, 0.757, -0.469], [0.0, -0.757, -0.469]])
NUMBERS = np.array([8, 1, 1])


class ReferenceEngineSuite:
    """What every engine owes its users; `engine` is the fixture to give."""

    tolerance = 0.02

    def test_forces_are_minus_the_gradient(self, engine):
        positions = WATER + 0.03 * np.arange(9).reshape(3, 3) % 0.07
        _, forces = engine.compute(NUMBERS, positions)
        assert forces.shape == (3, 3)
        step = 1e-3
        for atom, axis in ((0, 2), (1, 1)):
            shift = np.zeros((3, 3))
            shift[atom, axis] = step
            up, down = (engine.compute(NUMBERS, positions + sign * shift)[0] for sign in (1, -1))
            assert forces[atom, axis] == pytest.approx((down - up) / (2 * step), abs=self.tolerance)

    def test_turns_with_the_molecule(self, engine):
        turn = Rotation.random(rng=np.random.default_rng(1)).as_matrix()
        energy, forces = engine.compute(NUMBERS, WATER)
        turned_energy, turned_forces = engine.compute(NUMBERS, WATER @ turn.T + 3.0)
        assert turned_energy == pytest.approx(energy, abs=1e-4)
        np.testing.assert_allclose(turned_forces, forces @ turn.T, atol=self.tolerance)

    def test_refuses_overlap_and_bad_input(self, engine):
        with pytest.raises(NumericalError, match=r"atoms 0 and 1 overlap: they are 0\.050 Å apart"):
            engine.compute(NUMBERS, [[0, 0, 0], [0, 0, 0.05], [0, 0, 1]])
        with pytest.raises(InputError, match=r"shape \(2, 3\)"):
            engine.compute(NUMBERS, WATER[:2])
        with pytest.raises(InputError, match="not finite"):
            engine.compute(NUMBERS, WATER * np.nan)

    def test_names_its_level(self, engine):
        assert engine.theory


class TestGfn2(ReferenceEngineSuite):
    @pytest.fixture
    def engine(self):
        return reference.engine("gfn2")


class TestGfn1(ReferenceEngineSuite):
    @pytest.fixture
    def engine(self):
        return reference.engine("gfn1")


class TestAse(ReferenceEngineSuite):
    @pytest.fixture
    def engine(self):
        return AseEngine(EMT())


def test_gfn2_of_water_is_tblite_s_own():
    """xtb's and tblite's documentation: GFN2-xTB water near its minimum, -5.070 Hartree."""
    energy, forces = reference.engine("gfn2").compute(NUMBERS, WATER)
    assert energy / KCAL_PER_HARTREE == pytest.approx(-5.0703, abs=1e-3)
    assert np.abs(forces.sum(axis=0)).max() < 1e-6


def test_charge_and_unpaired_electrons_count_and_are_recorded():
    cation = TbliteEngine("GFN2-xTB", charge=1, unpaired=1)
    assert cation.theory == "GFN2-xTB, charge +1, 1 unpaired"
    ionisation = cation.compute(NUMBERS, WATER)[0] - TbliteEngine().compute(NUMBERS, WATER)[0]
    assert 250 < ionisation < 450  # 12.6 eV (291 kcal/mol) by experiment; GFN2 overshoots


def test_positions_may_be_a_quantity():
    engine = AseEngine(EMT())
    in_nm = engine.compute(NUMBERS, WATER * 0.1 * unit.nanometer)
    assert in_nm[0] == pytest.approx(engine.compute(NUMBERS, WATER)[0], rel=1e-9)


def test_engine_does_not_write(capfd):
    reference.engine("gfn2").compute(NUMBERS, WATER)
    assert capfd.readouterr() == ("", "")


def test_what_tblite_cannot_do_is_a_numerical_error():
    with pytest.raises(NumericalError, match="GFN2-xTB: SCF not converged"):
        TbliteEngine().compute(NUMBERS, 5 * WATER)
    with pytest.raises(NumericalError, match="GFN2-xTB"):
        TbliteEngine().compute([1, 110], WATER[:2])


def test_ase_engine_converts_from_ev():
    calculator = LennardJones(sigma=1.0, epsilon=0.2, rc=50.0)
    distance = 1.3
    energy, forces = AseEngine(calculator, level="LJ").compute([18, 18], [[0, 0, 0], [distance, 0, 0]])
    power = distance**-6
    assert energy == pytest.approx(4 * 0.2 * KCAL_PER_EV * (power**2 - power), abs=1e-4)
    assert forces[0, 0] == pytest.approx(-4 * 0.2 * KCAL_PER_EV * (12 * power**2 - 6 * power) / distance, abs=1e-9)


class _Broken(Calculator):
    implemented_properties = ("energy", "forces")

    def __init__(self, error):
        super().__init__()
        self.error = error

    def calculate(self, *_):
        raise self.error


def test_ase_failures_of_a_frame_and_of_the_program_are_told_apart():
    with pytest.raises(NumericalError, match="SCFError: no convergence"):
        AseEngine(_Broken(SCFError("no convergence"))).compute(NUMBERS, WATER)
    for error in (CalculatorSetupError("no such functional"), FileNotFoundError("dftb+")):
        with pytest.raises(HybridError, match="cannot be run") as caught:
            AseEngine(_Broken(error)).compute(NUMBERS, WATER)
        assert not isinstance(caught.value, NumericalError)


def test_what_cannot_be_an_engine_is_refused(monkeypatch):
    with pytest.raises(InputError, match="an ASE calculator"):
        AseEngine("EMT")
    with pytest.raises(InputError, match="GFN2-xTB or GFN1-xTB"):
        TbliteEngine("GFN0-xTB")
    with pytest.raises(InputError, match="zero or more"):
        TbliteEngine(unpaired=-1)
    with pytest.raises(InputError, match="did you mean gfn2"):
        reference.engine("gnf2")
    monkeypatch.setitem(sys.modules, "tblite.interface", None)
    with pytest.raises(MissingDependencyError, match=r"pip install .*\[labels\]"):
        reference.engine("gfn2")
