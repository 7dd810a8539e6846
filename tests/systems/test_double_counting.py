"""Complete force fields and models of the whole energy on molecules that have bonded terms."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import openmm
import pytest

import openmm_hybrid as oh
from openmm_hybrid import Molecule, gaff
from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.correction import train
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.systems.double_counting import is_complete
from tests.helpers.gaff_molecules import gasteiger


def built() -> gaff.BuiltSystem:
    ethanol = Molecule.from_smiles("C(C)O")
    return gaff.build(ethanol, charges=gasteiger(ethanol))


def bare(system: gaff.BuiltSystem) -> openmm.System:
    """The particles without a force."""
    found = openmm.System()
    for index in range(system.system.getNumParticles()):
        found.addParticle(system.system.getParticleMass(index))
    return found


@pytest.mark.parametrize("summed", [False, True])
def test_a_complete_force_field_is_refused_beside_bonds(summed: bool) -> None:
    system, forcefield = built(), oh.ForceField.load("ethanol-cross")
    model = Sum([forcefield]) if summed else forcefield
    count = system.system.getNumForces()
    with pytest.raises(MismatchError, match=r"would act twice; put it in place of the System's terms with oh.replace"):
        oh.attach(system.system, system.topology, model)
    assert system.system.getNumForces() == count
    oh.attach(system.system, system.topology, model, repeat=True)
    oh.attach(bare(system), system.topology, model)


def test_parts_of_a_force_field_and_corrections_are_added() -> None:
    system, forcefield = built(), oh.ForceField.load("ethanol-cross")
    assert is_complete(forcefield)
    part = forcefield.only("cross.angle")
    assert not is_complete(part)
    oh.attach(system.system, system.topology, part)
    oh.attach(system.system, system.topology, oh.load("ethanol-rotors"))


@pytest.mark.torchforce
def test_a_complete_sgdml_model_warns_beside_bonds_only(reference_data: Callable[[str], Path]) -> None:
    """The sGDML authors' model names no level of theory: its forces on hydrogen atoms tell."""
    system, model = built(), oh.sgdml.load(reference_data("sgdml_model_2018_ethanol.npz"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        oh.attach(bare(system), system.topology, model)
    with pytest.warns(UserWarning, match="the sGDML model holds a molecule together by itself"):
        oh.attach(system.system, system.topology, model)


@pytest.mark.torchforce
def test_a_correction_of_residuals_does_not_warn(reference_data: Callable[[str], Path]) -> None:
    system = built()
    frames = oh.Frames.load(reference_data("ethanol_ccsd_t-train.npz"))
    correction = train(system.model(), frames, n_train=40, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        oh.attach(system.system, system.topology, correction)
