"""Reference engines: one suite for all, and published numbers."""

from __future__ import annotations

import sys
from importlib.metadata import version

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, CalculatorSetupError, SCFError
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from openmm import unit
from tblite.ase import TBLite

import openmm_hybrid as oh
from openmm_hybrid import reference
from openmm_hybrid.core.errors import HybridError, InputError, MismatchError, MissingDependencyError, NumericalError
from openmm_hybrid.core.units import KCAL_PER_EV, KCAL_PER_HARTREE
from openmm_hybrid.reference.ase import AseEngine
from openmm_hybrid.reference.pyscf import PyscfEngine
from openmm_hybrid.reference.pyscf_methods import FUNCTIONALS
from openmm_hybrid.reference.tblite import TbliteEngine
from openmm_hybrid.testing import ReferenceEngineSuite

WATER = np.array([[0.0, 0.0, 0.117], [0.0, 0.757, -0.469], [0.0, -0.757, -0.469]])
NUMBERS = np.array([8, 1, 1])


class TestGfn2(ReferenceEngineSuite):
    def make(self, charge=0, multiplicity=1):
        return reference.engine("gfn2", charge=charge, multiplicity=multiplicity)


class TestGfn1(ReferenceEngineSuite):
    def make(self, charge=0, multiplicity=1):
        return reference.engine("gfn1", charge=charge, multiplicity=multiplicity)


class TestPyscfHartreeFock(ReferenceEngineSuite):
    def make(self, charge=0, multiplicity=1):
        return reference.engine("pyscf", method="hf", basis="sto-3g", charge=charge, multiplicity=multiplicity)


class TestPyscfFunctional(ReferenceEngineSuite):
    energy_tolerance = 0.01  # the integration grid does not turn with the molecule

    def make(self, charge=0, multiplicity=1):
        return reference.engine("pyscf", method="pbe", basis="sto-3g", charge=charge, multiplicity=multiplicity)


class TestAse(ReferenceEngineSuite):
    def make(self, charge=0, multiplicity=1):
        if (charge, multiplicity) != (0, 1):
            raise InputError("EMT knows no charge and no spin")
        return AseEngine(EMT())


def test_gfn2_of_water_is_tblite_s_own():
    """xtb's and tblite's documentation: GFN2-xTB water near its minimum, -5.070 Hartree."""
    energy, forces = reference.engine("gfn2").compute(NUMBERS, WATER)
    assert energy / KCAL_PER_HARTREE == pytest.approx(-5.0703, abs=1e-3)
    assert np.abs(forces.sum(axis=0)).max() < 1e-6


def test_charge_and_multiplicity_count_and_are_recorded():
    cation = TbliteEngine("GFN2-xTB", charge=1, multiplicity=2)
    assert cation.theory == "GFN2-xTB, charge +1, multiplicity 2"
    ionisation = cation.compute(NUMBERS, WATER)[0] - TbliteEngine().compute(NUMBERS, WATER)[0]
    assert 250 < ionisation < 450  # 12.6 eV (291 kcal/mol) by experiment; GFN2 overshoots


@pytest.mark.parametrize(
    ("charge", "multiplicity", "message"),
    [
        (1, 1, r"9 electrons \(net charge \+1 e\) cannot form a singlet .*expected an even multiplicity"),
        (0, 2, r"10 electrons .* cannot form a doublet .*expected an odd multiplicity"),
        (0, 13, r"10 electrons .* cannot form \(multiplicity 13\)"),
    ],
)
def test_electrons_and_multiplicity_must_agree(charge, multiplicity, message):
    engine = TbliteEngine(charge=charge, multiplicity=multiplicity)
    with pytest.raises(InputError, match=message):
        engine.compute(NUMBERS, WATER)


def test_a_short_name_is_tblite_with_a_fixed_method():
    assert reference.engine("gfn1", charge=-1) == reference.engine("tblite", method="gfn1-xtb", charge=-1)
    assert reference.engine("tblite") == reference.engine("gfn2", method="GFN2-xTB") == TbliteEngine()
    with pytest.raises(InputError, match="engine gfn2, which computes GFN2-xTB only"):
        reference.engine("gfn2", method="GFN1-xTB")
    with pytest.raises(InputError, match=r"basis '6-31g\*' was given for a GFN-xTB method"):
        reference.engine("gfn2", basis="6-31g*")


def test_rhf_of_water_is_the_textbook_s():
    """Szabo and Ostlund, Modern Quantum Chemistry, table 3.13: -76.011 hartree with 6-31G* near this geometry."""
    engine = reference.engine("pyscf", method="hf", basis="6-31g*")
    assert engine.theory == "HF/6-31G*"
    assert engine.compute(NUMBERS, WATER)[0] / KCAL_PER_HARTREE == pytest.approx(-76.011, abs=2e-3)


def test_pyscf_names_method_basis_charge_and_multiplicity():
    engine = reference.engine("pyscf", method="pbe", basis="def2-svp", charge=-1, multiplicity=2)
    assert engine.theory == "PBE/def2-SVP, charge -1, multiplicity 2"
    assert PyscfEngine("b3lyp", "AUG-cc-pvdz").theory == "B3LYP/aug-cc-pVDZ"
    assert PyscfEngine("HF", "6-31g*") != PyscfEngine("HF", "sto-3g")


@pytest.mark.parametrize("method", [method for method in FUNCTIONALS if method not in ("HF", "PBE")])
def test_forces_of_each_functional_are_minus_the_gradient(method):
    engine = PyscfEngine(method, "sto-3g")
    numbers, positions, shift = [1, 9], np.array([[0.0, 0.1, 0.0], [0.0, 0.0, 0.95]]), np.zeros((2, 3))
    shift[1, 2] = 1e-3
    up, down = (engine.compute(numbers, positions + sign * shift)[0] for sign in (1, -1))
    assert engine.compute(numbers, positions)[1][1, 2] == pytest.approx((down - up) / 2e-3, abs=0.02)


def test_a_heavy_element_gets_the_effective_core_potential_of_its_basis():
    """RHF/def2-SVP of HI with 28 core electrons of iodine in the potential: an all-electron energy is near -6918."""
    energy, _ = PyscfEngine("hf", "def2-svp").compute([1, 53], [[0, 0, 0], [0, 0, 1.609]])
    assert -300 < energy / KCAL_PER_HARTREE < -290


def test_what_pyscf_cannot_do_is_refused_or_a_numerical_error():
    with pytest.raises(NumericalError, match=r"HF/STO-3G: the self-consistent field has not converged in 2 steps"):
        PyscfEngine("hf", "sto-3g", max_cycles=2).compute(NUMBERS, WATER)
    with pytest.raises(InputError, match="needs a method; expected one of HF, PBE"):
        reference.engine("pyscf", basis="sto-3g")
    with pytest.raises(InputError, match=r"no method 'b2lyp'.*did you mean .*B3LYP"):
        reference.engine("pyscf", method="b2lyp", basis="sto-3g")
    with pytest.raises(InputError, match="pyscf needs a basis"):
        reference.engine("pyscf", method="hf")
    with pytest.raises(InputError, match="no basis '6-32g'"):
        reference.engine("pyscf", method="hf", basis="6-32g")
    with pytest.raises(InputError, match=r"6-31g\* has no functions for atomic number 53"):
        reference.engine("pyscf", method="hf", basis="6-31g*").compute([1, 53], WATER[:2])


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
    energy, forces = AseEngine(calculator, theory="LJ").compute([18, 18], [[0, 0, 0], [distance, 0, 0]])
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
        AseEngine(_Broken(SCFError("no convergence")), theory="broken").compute(NUMBERS, WATER)
    for error in (CalculatorSetupError("no such functional"), FileNotFoundError("dftb+")):
        with pytest.raises(HybridError, match="cannot be run") as caught:
            AseEngine(_Broken(error), theory="broken").compute(NUMBERS, WATER)
        assert not isinstance(caught.value, NumericalError)


ACETATE = oh.Molecule.from_smiles("CC(=O)[O-]", name="acetate")


def _energy(engine, molecule=ACETATE):
    return engine.compute(molecule.atomic_numbers, molecule.positions)[0]


@pytest.mark.parametrize(("in_calculator", "given"), [(None, -1), (-1, None), (-1, -1)])
def test_an_ase_calculator_gets_the_charge(in_calculator, given):
    """tblite 0.8.0 itself: GFN2-xTB acetate at this geometry -8887.62 as an anion, -8699.09 kcal/mol as a radical."""
    engine = AseEngine(TBLite(method="GFN2-xTB", charge=in_calculator, verbosity=0), charge=given)
    assert _energy(engine) == pytest.approx(-8887.62, abs=0.01)
    assert _energy(engine) == pytest.approx(_energy(TbliteEngine(charge=-1)), abs=0.01)
    assert engine.net_charge == -1
    assert engine.theory == "TBLite method=GFN2-xTB, charge -1"


def test_an_ase_calculator_gets_the_multiplicity():
    engine = AseEngine(TBLite(method="GFN2-xTB", verbosity=0), charge=0, multiplicity=2)
    assert _energy(engine) == pytest.approx(-8699.09, abs=0.02)  # tblite 0.8.0, the radical
    assert engine.theory == "TBLite method=GFN2-xTB, multiplicity 2"
    triplet = AseEngine(TBLite(method="GFN2-xTB", multiplicity=3, verbosity=0))
    expected = TbliteEngine(multiplicity=3).compute(NUMBERS, WATER)[0]
    assert triplet.compute(NUMBERS, WATER)[0] == pytest.approx(expected, abs=0.01)


class _Recorder(EMT):
    """Keeps the Atoms that it computes."""

    def calculate(self, atoms=None, *rest):
        self.seen = atoms.copy()
        super().calculate(atoms, *rest)


def test_atoms_carry_charge_and_spin_in_every_form():
    calculator = _Recorder()
    AseEngine(calculator, charge=-1, multiplicity=2).compute(NUMBERS, WATER)
    assert calculator.seen.info == {"charge": -1, "spin": 2}
    assert calculator.seen.get_initial_charges().tolist() == [-1, 0, 0]
    assert calculator.seen.get_initial_magnetic_moments().tolist() == [1, 0, 0]


def test_contradicting_and_impossible_states_of_an_ase_calculator_are_refused():
    for keywords, words in (
        ({"charge": 0}, r"TBLite has charge=0, and the engine was given charge=-1.*set charge=-1 in the calculator"),
        ({"multiplicity": 3}, r"has multiplicity=3, and the engine was given multiplicity=1"),
    ):
        with pytest.raises(MismatchError, match=words):
            AseEngine(TBLite(**keywords), charge=-1, multiplicity=1)
    with pytest.raises(InputError, match=r"31 electrons .* cannot form a singlet"):
        _energy(AseEngine(TBLite(verbosity=0)))
    with pytest.raises(InputError, match="multiplicity is 0"):
        AseEngine(EMT(), multiplicity=0)
    aimnet = EMT()
    aimnet.charge, aimnet.mult = 1, 1  # some calculators keep them as attributes
    assert AseEngine(aimnet).net_charge == 1
    with pytest.raises(MismatchError, match="has charge=1"):
        AseEngine(aimnet, charge=0)


def test_the_level_of_an_ase_calculator_is_known_or_must_be_given():
    assert AseEngine(TBLite()).theory == "TBLite method=GFN2-xTB"
    assert AseEngine(TBLite(accuracy=0.1)).theory == "TBLite accuracy=0.1, method=GFN2-xTB"
    assert AseEngine(EMT()).theory == "EMT asap_cutoff=false"
    assert AseEngine(TBLite()).program == f"tblite {version('tblite')}"
    with pytest.raises(InputError, match=r"a _Broken does not tell its level .*theory="):
        AseEngine(_Broken(ValueError()))
    assert AseEngine(_Broken(ValueError()), theory="MACE-OFF23 medium", charge=1).theory.endswith("medium, charge +1")
    one, other = LennardJones(epsilon=np.arange(50.0)), LennardJones(epsilon=np.arange(50.0) + 1e-9)
    assert AseEngine(one).theory != AseEngine(other).theory
    assert AseEngine(TBLite(verbosity=0)).settings == AseEngine(TBLite(verbosity=1)).settings
    assert AseEngine(TBLite(accuracy=0.1), theory="x").settings != AseEngine(TBLite(), theory="x").settings


def test_a_calculator_that_is_changed_later_is_refused():
    calculator = TBLite(method="GFN2-xTB", verbosity=0)
    engine = AseEngine(calculator)
    calculator.set(method="GFN1-xTB")
    with pytest.raises(MismatchError, match=r"method=GFN1-xTB now, and had GFN2-xTB .*make a new engine"):
        engine.compute(NUMBERS, WATER)
    for change in ({"charge": 2}, {"solvation": ("alpb", "water")}):  # None when the engine is made
        calculator = TBLite(method="GFN2-xTB", verbosity=0)
        engine = AseEngine(calculator)
        calculator.set(**change)
        with pytest.raises(MismatchError, match="now, and had None when the engine was made"):
            engine.inspect(NUMBERS, WATER)


class _ReadsInfo(EMT):
    """Reads the charge from `info` alone, which ASE does not compare when it decides whether to compute again."""

    ignored_changes = frozenset({"initial_charges", "initial_magmoms"})

    def calculate(self, atoms=None, *rest):
        super().calculate(atoms, *rest)
        self.results["energy"] += atoms.info["charge"]


def test_a_calculator_that_does_not_read_the_charge_is_refused():
    with pytest.raises(InputError, match=r"EMT gives the same energy for the charge \+2 and \+0.*fixed_state=True"):
        AseEngine(EMT(), charge=2).inspect(NUMBERS, WATER)
    AseEngine(EMT(), charge=2, fixed_state=True).inspect(NUMBERS, WATER)
    with pytest.warns(UserWarning, match="same energy for the multiplicity 3 and 1"):
        AseEngine(EMT(), multiplicity=3).inspect(NUMBERS, WATER)
    AseEngine(TBLite(verbosity=0), charge=2).inspect(NUMBERS, WATER)
    AseEngine(TBLite(verbosity=0), charge=1, multiplicity=2).inspect(NUMBERS, WATER)
    AseEngine(EMT()).inspect(NUMBERS, WATER)
    AseEngine(_ReadsInfo(), charge=2).inspect(NUMBERS, WATER)
    AseEngine(_Broken(SCFError("no")), theory="broken", charge=2).inspect(NUMBERS, WATER)


def test_what_cannot_be_an_engine_is_refused(monkeypatch):
    with pytest.raises(InputError, match="an ASE calculator"):
        AseEngine("EMT")
    with pytest.raises(InputError, match="GFN2-xTB or GFN1-xTB"):
        TbliteEngine("GFN0-xTB")
    with pytest.raises(InputError, match="1 for a singlet"):
        TbliteEngine(multiplicity=0)
    with pytest.raises(InputError, match="did you mean gfn2"):
        reference.engine("gnf2")
    monkeypatch.setitem(sys.modules, "tblite.interface", None)
    with pytest.raises(MissingDependencyError, match=r"pip install .*\[labels\]"):
        reference.engine("gfn2")
    monkeypatch.setitem(sys.modules, "pyscf", None)
    with pytest.raises(MissingDependencyError, match=r"pip install .*\[gaff\]"):
        reference.engine("pyscf", method="hf", basis="sto-3g")
