"""Checks of a refined force field: against itself as reference, resumption, and a force field that breaks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray

import openmm_hybrid as oh
from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.reference import ReferenceEngine
from openmm_hybrid.refinement.check_results import Checks, HotRun, MinimaCheck, Rotor, RotorProfile
from openmm_hybrid.refinement.checks import Candidate, Checker

CHARGES = np.array([-0.2, 0.0, 0.0, -0.2, 0.1, 0.1, 0.1, 0.1])
SETTINGS = oh.RefineSettings(n_profile=8, hot_ps=1.0)


class ModelEngine(ReferenceEngine):
    """Labels of a force field; counts them, and stops before the one with this number."""

    def __init__(self, model: oh.ForceField, stop_at: int = -1) -> None:
        self.model, self.stop_at, self.calls = model, stop_at, 0

    @property
    def theory(self) -> str:
        return "model"

    def evaluate(
        self, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        self.calls += 1
        energy, forces = self.model.predict(positions)
        return float(energy), forces


def candidate(base: str, bond: float | None = None) -> tuple[oh.Molecule, BuiltSystem, Candidate]:
    """1,2-Difluoroethane with a base force field, whose C–C bond has another force constant if one is given."""
    molecule = oh.Molecule.from_smiles("FCCF", n_conformers=3)
    built = oh.build(molecule, base=base, charges=CHARGES, progress=False)
    if bond is not None:
        (force,) = (force for force in built.system.getForces() if isinstance(force, openmm.HarmonicBondForce))
        for index in range(force.getNumBonds()):
            i, j, length, _ = force.getBondParameters(index)
            if {i, j} == {1, 2}:
                force.setBondParameters(index, i, j, length, bond)
    model = oh.ForceField.from_system(built.system, built.topology, types=built.atom_types)
    return molecule, built, Candidate(model, built.system)


def checker(folder: Path, stop_at: int = -1, bond: float | None = None) -> Checker:
    """GAFF 2.2.20 as the refined force field, with its own labels, and GAFF 1.81 as the base."""
    molecule, built, refined = candidate("gaff-2.2.20", bond)
    return Checker(
        molecule, ModelEngine(refined.model, stop_at), built.topology, refined, candidate("gaff-1.81")[2],
        np.array(molecule.conformers), SETTINGS, folder, progress=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checker, Checks]:
    made = checker(tmp_path_factory.mktemp("checks"))
    return made, made.run()


def test_a_force_field_has_no_deviation_from_its_own_labels(finished: tuple[Checker, Checks]) -> None:
    _, checks = finished
    (profile,) = checks.profiles
    assert profile.name == "C1–C2"
    assert profile.angles == (-180.0, -135.0, -90.0, -45.0, 0.0, 45.0, 90.0, 135.0)
    assert profile.largest < 1e-6
    assert profile.base_rms > 0.05
    assert checks.minima is not None
    assert len(checks.minima.reference) == 2  # anti and gauche
    assert checks.minima.rms < 1e-6
    assert checks.minima.base_rms > 0.01
    assert checks.minima.force < 0.02
    assert checks.minima.n_swapped == 0
    assert checks.hot_run == HotRun(750.0, 1.0, 10, 0)
    assert not checks.failures
    assert checks.verdict("Good.").startswith("Good. Checks passed: torsion profiles within 0.00 kcal/mol")


def test_frequencies_are_compared_at_the_lowest_minimum(tmp_path: Path) -> None:
    made = checker(tmp_path)
    found = made.frequencies()
    assert len(found.reference) == 18
    assert min(found.reference) > 50.0  # a minimum
    assert max(found.reference) < 3500.0
    assert found.largest < 1e-3
    assert found.base_rms > 1.0
    assert len(oh.Frames.load(tmp_path / "frequencies.npz")) == 6 * 8
    checks = Checks(frequencies=found)
    assert Checks.from_dict(json.loads(json.dumps(checks.as_dict()))) == checks


def test_energies_are_those_of_the_stored_geometries(finished: tuple[Checker, Checks]) -> None:
    made, checks = finished
    frames = oh.Frames.load(made.folder / "profiles-8" / "rotor-1-2.npz")
    energies = made.refined.model.predict(frames.positions)[0]
    np.testing.assert_allclose(checks.profiles[0].reference, energies - energies.min(), atol=1e-6)


def test_checks_are_read_back_from_json(finished: tuple[Checker, Checks]) -> None:
    _, checks = finished
    assert Checks.from_dict(json.loads(json.dumps(checks.as_dict()))) == checks
    assert Checks.from_dict(json.loads(json.dumps(Checks().as_dict()))) == Checks()


def test_resumption_computes_no_label_twice(finished: tuple[Checker, Checks], tmp_path: Path) -> None:
    made, checks = finished
    stopped = checker(tmp_path, stop_at=5)
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    second = checker(tmp_path)
    again = second.run()
    assert isinstance(made.engine, ModelEngine)
    assert isinstance(second.engine, ModelEngine)
    assert 5 + second.engine.calls == made.engine.calls
    assert again.profiles[0].reference == pytest.approx(checks.profiles[0].reference, abs=1e-6)
    third = checker(tmp_path, stop_at=0)
    assert third.run() == again


def test_other_settings_compute_only_what_is_new(finished: tuple[Checker, Checks]) -> None:
    made, checks = finished
    assert isinstance(made.engine, ModelEngine)
    calls = made.engine.calls
    less = replace(made, settings=replace(SETTINGS, n_profile=0, hot_ps=0.0)).run()
    assert less == Checks(minima=checks.minima)
    left_out = replace(made, settings=replace(SETTINGS, n_rotors=0)).run()
    assert left_out.left_out == ("C1–C2",)
    assert made.run() == checks
    assert made.engine.calls == calls


def test_a_force_field_that_breaks_is_named_first(tmp_path: Path) -> None:
    """The C–C bond is softer by a factor of 1000."""
    checks = checker(tmp_path, bond=250.0).run()
    assert checks.hot_run is not None
    assert checks.hot_run.n_broken > 0
    verdict = checks.verdict("FCCF: force RMSE 0.5")
    assert verdict.startswith(f"Failed checks: {checks.hot_run.n_broken} of ")
    assert "frames at 750 K have a broken bond" in verdict
    assert verdict.endswith("FCCF: force RMSE 0.5")


def test_wrong_profiles_failed_runs_and_missing_checks_are_failures() -> None:
    rotor = Rotor((0, 1, 2, 3), (3,), "C1–C2")
    wrong = RotorProfile.of(rotor, [0.0, 90.0], [0.0, 5.0], [0.0, 8.0], [0.0, 5.0])
    checks = Checks(
        profiles=(wrong,), hot_run=HotRun(750.0, 100.0, 7, 0, "atoms fused."), problems=("the minima: no label",)
    )
    assert checks.failures == (
        "the minima: no label",
        "the run at 750 K failed after 7 frames (atoms fused)",
        "torsion profiles deviate by more than 1 kcal/mol from the reference (C1–C2 1.5)",
    )
    false = RotorProfile.of(rotor, [0.0, 90.0], [0.0, 20.0], [0.0, -3.0], [0.0, 20.0])
    assert Checks(profiles=(false,)).failures == (
        "torsion profiles have false minima (C1–C2 3.0 kcal/mol below the true one)",
    )
    assert Checks().verdict("Fine.") == "Fine."


def test_minima_by_hand() -> None:
    """Two of three pairs have another order in the refined force field."""
    forces = np.zeros((3, 2, 3))
    forces[1] = 2.0
    found = MinimaCheck.of(np.array([4.0, 5.0, 6.0]), np.array([2.0, 3.0, 1.0]), np.array([7.0, 8.0, 9.0]), forces)
    assert found.reference == (0.0, 1.0, 2.0)
    assert found.refined == (1.0, 2.0, 0.0)
    assert found.rms == pytest.approx(np.sqrt(2.0))
    assert found.base_rms == pytest.approx(0.0)
    assert found.n_swapped == 2
    assert found.forces == (0.0, 2.0, 0.0)
