"""Free energy of a correction: against quadrature, on ethanol's atoms and on one bond."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest
from openmm import app

import openmm_hybrid as oh
from openmm_hybrid.analysis import mean_with_error
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.models_io.correction import Correction
from tests.helpers.boxes import NUMBERS
from tests.helpers.morse import PairMorse
from tests.helpers.oscillators import topology_of

SETTINGS: dict[str, Any] = {"lambdas": (0.0, 0.5, 1.0), "friction": 20.0, "platform": "Reference", "progress": False}


def diatomic() -> tuple[openmm.System, app.Topology]:
    """Two carbons on a spring of 60 kcal/mol/Å² at 2 Å."""
    system = openmm.System()
    system.addParticle(12.0)
    system.addParticle(12.0)
    bond = openmm.HarmonicBondForce()
    bond.addBond(0, 1, 0.2, 60.0 * 418.4)
    system.addForce(bond)
    return system, topology_of(["C", "C"])


def test_a_diatomic_molecule_agrees_with_quadrature(tmp_path: Path) -> None:
    """A = −kT ln ∫ r² exp(−E(r)/kT) dr, with E by the model's own predict."""
    model = PairMorse((6, 6), 10.0)
    r = np.linspace(1.2, 2.8, 2001)
    pair = np.zeros((len(r), 2, 3))
    pair[:, 1, 0] = r
    added = model.predict(pair)[0]
    kt = BOLTZMANN * 300.0
    weights = [r**2 * np.exp(-(30.0 * (r - 2.0) ** 2 + scale * added) / kt) for scale in (0.0, 1.0)]
    exact = -kt * np.log(weights[1].sum() / weights[0].sum())
    system, topology = diatomic()
    found = oh.correction_free_energy(
        system, topology, [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]], model, output=tmp_path, duration=12.0, timestep=1.0,
        interval=25, **SETTINGS,
    )  # fmt: skip
    assert abs(exact) > 0.1
    assert abs(found.difference - exact) < 4 * found.error
    assert 0 < found.error < 0.05
    assert system.getNumForces() == 1


def test_ethanol_with_a_small_correction_goes_on_and_agrees_with_perturbation(tmp_path: Path) -> None:
    """Small E_model: A is between ⟨E⟩ at λ = 1 and ⟨E⟩ at λ = 0 (Gibbs-Bogoliubov), and the runs are kept."""
    model = PairMorse(NUMBERS, 0.02)
    charges = np.array([-0.10, 0.13, -0.60, 0.03, 0.03, 0.03, 0.04, 0.04, 0.40])
    built = oh.gaff.build(oh.Molecule.from_smiles("CCO"), charges=charges)
    where = (built.system, built.topology, built.positions, model)
    arguments = {"output": tmp_path, "duration": 4.0, "interval": 10, "temperature": 300.0, **SETTINGS}
    found = oh.correction_free_energy(*where, **arguments)
    ends = [oh.SampleResult.open(tmp_path / f"lambda_{k}").positions for k in (0, 2)]
    first, last = (mean_with_error(model.predict(frames)[0]) for frames in ends)
    assert last.value - 4 * np.hypot(last.error, found.error) < found.difference
    assert found.difference < first.value + 4 * np.hypot(first.error, found.error)
    assert 0 < found.error < 0.02
    times = [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("lambda_*/trajectory_0.dcd"))]
    again = oh.correction_free_energy(*where, **arguments)
    assert again.difference == found.difference
    assert times == [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("lambda_*/trajectory_0.dcd"))]


def test_a_correction_of_some_atoms_counts_as_its_model_on_them(tmp_path: Path) -> None:
    system, topology = diatomic()
    system.addParticle(12.0)
    topology = topology_of(["C", "C", "C"])
    model = PairMorse((6, 6), 10.0)
    correction = Correction(model, atoms=[1, 0], atomic_numbers=[6, 6, 6])
    where = (system, topology, [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    arguments = {"duration": 0.5, "interval": 10, **SETTINGS}
    found = oh.correction_free_energy(*where, correction, output=tmp_path / "correction", **arguments)
    plain = oh.correction_free_energy(*where, model, output=tmp_path / "model", atoms=[1, 0], **arguments)
    assert found.difference == plain.difference


@pytest.mark.filterwarnings("ignore:these states have fewer than 8 independent frames")
def test_atoms_in_another_order_count_in_the_order_of_the_model(tmp_path: Path) -> None:
    """Ethanol as CCO, a correction for C(C)O: the bounds of Gibbs and Bogoliubov, with atoms put in order by hand."""
    charges = np.array([-0.10, 0.13, -0.60, 0.03, 0.03, 0.03, 0.04, 0.04, 0.40])
    built = oh.gaff.build(oh.Molecule.from_smiles("CCO"), charges=charges)
    model, order = oh.load("ethanol-rotors"), [1, 0, 2, 6, 7, 3, 4, 5, 8]
    settings = SETTINGS | {"lambdas": (0.0, 0.5, 1.0)}
    where = (built.system, built.topology, built.positions, model)
    with pytest.warns(UserWarning, match="not in the model's order"):
        found = oh.correction_free_energy(*where, output=tmp_path, duration=3.0, interval=10, **settings)
    ends = [oh.SampleResult.open(tmp_path / f"lambda_{k}").positions[:, order] for k in (0, 2)]
    first, last = (mean_with_error(model.predict(frames)[0]) for frames in ends)
    assert last.value - 4 * np.hypot(last.error, found.error) < found.difference
    assert found.difference < first.value + 4 * np.hypot(first.error, found.error)
    assert first.value < 0.5


def test_a_molecule_that_is_split_across_the_box_counts_as_whole(tmp_path: Path) -> None:
    system, topology = diatomic()
    system.setDefaultPeriodicBoxVectors([2, 0, 0], [0, 2, 0], [0, 0, 2])
    system.getForce(0).setUsesPeriodicBoundaryConditions(True)
    topology.addBond(*topology.atoms())
    found = [
        oh.correction_free_energy(
            system, topology, [[0.5, 0.0, 0.0], [end, 0.0, 0.0]], PairMorse((6, 6), 10.0), output=tmp_path / name,
            duration=0.5, interval=10, **SETTINGS,
        )
        for name, end in (("whole", 2.5), ("split", -17.5))
    ]  # fmt: skip
    assert found[1].difference == pytest.approx(found[0].difference, abs=0.02)


def test_lambdas_must_rise(tmp_path: Path) -> None:
    system, topology = diatomic()
    with pytest.raises(InputError, match="at least two, rising"):
        oh.correction_free_energy(
            system, topology, np.eye(3)[:2], PairMorse((6, 6)), output=tmp_path, lambdas=(0.0, 0.0)
        )
