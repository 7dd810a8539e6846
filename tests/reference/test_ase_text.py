"""ASE calculators named by a text."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ase.calculators.lj import LennardJones

import openmm_hybrid as oh
from openmm_hybrid import reference
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.reference.tblite import TbliteEngine

ACETATE = oh.Molecule.from_smiles("CC(=O)[O-]", name="acetate")


class Recorder(LennardJones):
    """Keeps the keywords of its constructor."""

    def __init__(self, model="small", total_charge=0, spin_multiplicity=1):
        super().__init__()
        self.given = (model, total_charge, spin_multiplicity)
        self.parameters = {}


def loaded(model="small"):
    """A function that returns a calculator, as those of MACE are."""
    return Recorder(model)


@pytest.fixture(autouse=True)
def _module(monkeypatch):
    """This module under a name that a text can have."""
    monkeypatch.setitem(sys.modules, "our_calculators", sys.modules[__name__])


@pytest.mark.parametrize(
    ("options", "charge"), [("", -1), ("&charge=-1", 0), ("&charge=-1", -1), ("&multiplicity=1", -1)]
)
def test_a_text_is_tblite_itself(options, charge):
    engine = reference.engine(f"ase:tblite.ase:TBLite?method=GFN1-xTB&verbosity=0{options}", charge=charge)
    assert engine.theory == "TBLite method=GFN1-xTB, charge -1"
    found = engine.compute(ACETATE.atomic_numbers, ACETATE.positions)[0]
    expected = TbliteEngine("GFN1-xTB", charge=-1).compute(ACETATE.atomic_numbers, ACETATE.positions)[0]
    assert found == pytest.approx(expected, abs=0.01)


def test_a_label_does_not_depend_on_those_before():
    """TBLite starts from its last result if it keeps one."""
    used, fresh = (reference.engine("ase:tblite.ase:TBLite?verbosity=0", charge=-1) for _ in range(2))
    used.compute(ACETATE.atomic_numbers, ACETATE.positions * 1.1)
    computed = (engine.compute(ACETATE.atomic_numbers, ACETATE.positions) for engine in (used, fresh))
    for found, expected in zip(*computed, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


def test_charge_and_spin_are_keywords_where_the_constructor_takes_them():
    assert reference.engine("ase:our_calculators:Recorder").calculator.given == ("small", 0, 1)
    engine = reference.engine("ase:our_calculators:Recorder?model=large", charge=-1, multiplicity=2)
    assert engine.calculator.given == ("large", -1, 2)
    assert engine.theory == "our_calculators:Recorder model=large, charge -1, multiplicity 2"
    assert reference.engine("ase:our_calculators:loaded", charge=-1).calculator.given == ("small", 0, 1)
    assert reference.engine("ase:our_calculators:loaded?model=large").theory == "our_calculators:loaded model=large"


def test_an_ion_needs_a_calculator_that_reads_the_charge(tmp_path):
    engine = reference.engine("ase:ase.calculators.lj:LennardJones", charge=-1)
    with pytest.raises(InputError, match="does not read the charge of the Atoms"):
        reference.label(engine, ACETATE, ACETATE.conformers, output=tmp_path / "a.npz", progress=False)
    assert not (tmp_path / "a.npz").exists()


def test_a_journal_belongs_to_the_options(tmp_path):
    positions = np.array([[[0.0, 0.0, 0.0], [1.2, 0.0, 0.0]]])
    text = "ase:ase.calculators.lj:LennardJones?epsilon=0."
    reference.label(reference.engine(text + "1"), [18, 18], positions, output=tmp_path / "a.npz", progress=False)
    with pytest.raises(MismatchError, match=r"epsilon=0\.2"):
        reference.label(reference.engine(text + "2"), [18, 18], positions, output=tmp_path / "a.npz", progress=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ase", "the engine ase needs a class; expected ase:MODULE:CLASS"),
        ("ase:math", "'math' is no ASE calculator"),
        ("ase:no_such_module:X", "no module 'no_such_module'"),
        ("ase:ase.no_such:X", "no module 'ase.no_such'"),
        ("ase:tblite.ase:TBLit", "no class 'TBLit'; did you mean TBLite"),
        ("ase:tblite.ase:TBLite?metod=GFN1-xTB", "no argument 'metod'.*did you mean method"),
        ("ase:our_calculators:Recorder?modl=x", "no argument 'modl'; expected one of model.*did you mean model"),
        ("ase:math:sin", "sin cannot be made|takes no argument"),
        ("ase:our_calculators:_none", "our_calculators:_none|an ASE calculator"),
    ],
)
def test_the_wrong_part_is_named(text, message):
    with pytest.raises(InputError, match=message):
        reference.engine(text)


def _none():
    return 3


def test_two_charges_or_a_basis_are_refused():
    with pytest.raises(MismatchError, match="has charge=1, and the engine was given charge=-1"):
        reference.engine("ase:tblite.ase:TBLite?charge=1", charge=-1)
    with pytest.raises(InputError, match="basis 'sto-3g' was given for an ASE calculator"):
        reference.engine("ase:tblite.ase:TBLite", basis="sto-3g")
