"""Minima of models, matched by structure: analytic force fields, ethanol's conformers, and permutations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.models.held_dihedrals import HeldDihedral, turned
from openmm_hybrid.models.minima import Minimum, relax
from openmm_hybrid.studies import compared_model
from openmm_hybrid.studies.matching import Conformations
from openmm_hybrid.studies.minima import MinimaSettings, MinimaStudy
from openmm_hybrid.studies.minima_result import ConformationEnergies, Minima
from openmm_hybrid.testing import StudySuite
from tests.helpers.twisted_chain import DIHEDRALS, cosine_forcefield, trioxidane


@pytest.fixture
def settings(tmp_path: Path) -> MinimaSettings:
    """Trioxidane with two wells of each dihedral (the reference), and with one at 180°."""
    truth = cosine_forcefield().save(tmp_path / "truth.npz")
    single = cosine_forcefield(heights=(0.0, 0.0)).save(tmp_path / "single.npz")
    return MinimaSettings("OOO", models=(str(single), str(truth)), n_conformers=4)


class TestMinima(StudySuite):
    @pytest.fixture
    def study(self) -> MinimaStudy:
        return MinimaStudy()

    @pytest.fixture
    def other_settings(self, settings: MinimaSettings) -> MinimaSettings:
        return replace(settings, seed=1)


def run(settings: MinimaSettings, folder: Path) -> Minima:
    return MinimaStudy().run(settings, folder, progress=False)


def test_minima_that_one_model_lacks(settings: MinimaSettings, tmp_path: Path) -> None:
    """Source: the truth has minima at ±94° and ±99°, equally high and in two mirror pairs; the other one at 180°."""
    result = run(settings, tmp_path / "study")
    assert result.models == ("truth", "single")
    first, second, last = result.conformations
    assert first.energies["truth"] == 0.0
    assert second.energies["truth"] == pytest.approx(0.0, abs=1e-5)
    assert (last.energies, last.ends.keys()) == ({"single": 0.0}, {"truth"})
    assert (first.ends, second.ends) == ({"single": 2}, {"single": 2})
    figures = {name: figure["value"] for name, figure in result.as_dict()["figures"].items()}
    assert figures == {
        "minima.truth": 2, "minima.single": 1, "missing.single": 2, "extra.single": 1, "misordered.single": 0,
    }  # fmt: skip
    lines = [line.split() for line in result.table().splitlines()]
    assert lines[1] == ["a", "0.00", "(1)", "→", "c"]
    assert lines[3][-2:] == ["0.00", "(1)"]


def test_heights_of_wells_and_their_order(tmp_path: Path) -> None:
    """Source: free minimisation of gauche and trans ethanol in two shipped force fields."""
    result = run(MinimaSettings("C(C)O", models=("ethanol-gaff", "ethanol-cross"), n_conformers=4), tmp_path)
    molecule = oh.Molecule.from_smiles("C(C)O", n_conformers=4)
    for name in ("ethanol-gaff", "ethanol-cross"):
        model = oh.ForceField.load(name)
        energies = [relax(model, start, max_force=1e-3)[1] for start in molecule.conformers]
        expected = sorted({0.0, max(energies) - min(energies)})
        assert [one.energies[name] for one in result.conformations] == pytest.approx(expected, abs=1e-4)
    difference = abs(
        result.conformations[1].energies["ethanol-gaff"] - result.conformations[1].energies["ethanol-cross"]
    )
    assert result.as_dict()["figures"]["rms.ethanol-gaff"]["value"] == pytest.approx(0.5 * difference)


def test_conformations_are_compared_up_to_symmetry() -> None:
    """Source: the symmetry of the molecules."""
    molecule = trioxidane()
    shapes = Conformations(molecule, molecule.conformers)
    held = [HeldDihedral.of(atoms, molecule.bonds) for atoms in DIHEDRALS]
    start = molecule.conformers[:1]

    def at(first: float, second: float) -> np.ndarray:
        return turned(start, held, np.radians([[first, second]]))[0]

    assert shapes.difference(at(60, 100), at(60, 120)) == pytest.approx(20.0)
    assert shapes.difference(at(60, 100), at(100, 60)) == pytest.approx(0.0, abs=1e-6)
    assert shapes.difference(at(60, 100), at(-60, -100)) == pytest.approx(0.0, abs=1e-6)
    assert shapes.difference(at(60, 100), at(60, -100)) == pytest.approx(120.0, abs=1e-6)  # from (−60, 100)
    chiral = oh.Molecule.from_smiles("O[C@H](F)CO")
    both = Conformations(chiral, chiral.conformers)
    assert both.difference(chiral.conformers[0], -chiral.conformers[0]) > 45.0


def test_the_closest_pairs_are_matched() -> None:
    molecule = trioxidane()
    shapes = Conformations(molecule, molecule.conformers)
    held = [HeldDihedral.of(atoms, molecule.bonds) for atoms in DIHEDRALS]

    def minima(*angles: tuple[float, float]) -> list[Minimum]:
        frames = turned(np.repeat(molecule.conformers[:1], len(angles), axis=0), held, np.radians(angles))
        return [Minimum(positions, 0.0, np.zeros(0)) for positions in frames]

    found = shapes.matched({"a": minima((60, 60), (90, 90)), "b": minima((85, 85), (70, 70), (180, 180))})
    assert [conformation.minima for conformation in found] == [{"a": 0, "b": 1}, {"a": 1, "b": 0}, {"b": 2}]


def test_a_stopped_study_resumes(settings: MinimaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(settings, tmp_path / "whole")
    real, calls = compared_model.relax_held, []
    monkeypatch.setattr(compared_model, "_BATCH", 2)

    def stopping(*arguments, **options):
        calls.append(1)
        if len(calls) % 3 == 0:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(compared_model, "relax_held", stopping)
    for _ in range(30):
        try:
            result = run(settings, tmp_path / "stopped")
            break
        except KeyboardInterrupt:
            continue
    assert len(calls) > 6
    figures = [one.as_dict()["figures"] for one in (whole, result)]
    assert figures[0] == figures[1]


def test_orders_and_letters() -> None:
    positions = np.zeros((2, 3))
    energies = [(0.0, 0.5), (0.3, 0.0), (0.3005, 0.1), (1.0, 2.0)]
    rows = [ConformationEnergies(positions, {"x": first, "y": second}, {}) for first, second in energies]
    rows += [ConformationEnergies(positions, {"y": 3.0}, {"x": 0})] * 24
    result = Minima("m", "C", ("H", "H"), ((0, 1),), ("x", "y"), tuple(rows))
    figures = result.as_dict()["figures"]
    assert figures["misordered.y"]["value"] == 2  # a with b and c; b and c are equal in x
    assert figures["extra.y"]["value"] == 24
    assert result.labels[-3:] == ("z", "a1", "b1")
    assert result.table().splitlines()[5].split() == ["e", "→", "a", "3.00", "(5)"]
