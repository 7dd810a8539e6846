"""Labels by tasks equal those computed here; finished chunks are found again, and failures keep their reasons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import HybridError, InputError, MismatchError
from openmm_hybrid.reference import LabelResult, engine, label
from openmm_hybrid.reference.mechanics import RdkitEngine
from openmm_hybrid.reference.tblite import TbliteEngine
from openmm_hybrid.tasks import Runner, SerialRunner, Store
from tests.helpers.spring_engine import POSITIONS, Spring

WATER = oh.Molecule.from_smiles("O", name="water")
ACETATE = oh.Molecule.from_smiles("CC(=O)[O-]", name="acetate")


def _shaken(molecule: oh.Molecule, n_frames: int = 11) -> np.ndarray:
    """Geometries of a molecule; the atoms of frame 4 overlap."""
    noise = np.random.default_rng(0).normal(scale=0.02, size=(n_frames, molecule.n_atoms, 3))
    found = molecule.positions + noise
    found[4, 1] = found[4, 0]
    return found


def _same(found: LabelResult, expected: LabelResult) -> None:
    """To the last bit, with the same failures."""
    np.testing.assert_array_equal(found.frames.energies, expected.frames.energies)
    np.testing.assert_array_equal(found.frames.forces, expected.frames.forces)
    np.testing.assert_array_equal(found.frames.positions, expected.frames.positions)
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert (found.failed, found.frames.theory) == (expected.failed, expected.frames.theory)


@pytest.mark.parametrize(("name", "molecule"), [("gfn2", WATER), ("mmff94", ACETATE)])
def test_labels_are_those_without_tasks(runner: Runner, name: str, molecule: oh.Molecule, tmp_path: Path) -> None:
    positions, made = _shaken(molecule), engine(name, charge=molecule.charge)
    alone = label(made, molecule, positions, output=tmp_path / "alone.npz", progress=False)
    assert list(alone.failed) == [4]
    found = label(made, molecule, positions, output=tmp_path / "a.npz", runner=runner, chunk=3, progress=False)
    _same(found, alone)
    store = tmp_path / "a.npz.tasks"
    assert len(list(Store(store).outcomes())) == 4
    assert len(list((store / "frames").iterdir())) == 1


@pytest.mark.parametrize(
    "smiles", ["C[N+](=O)[O-]", "c1ccoc1S(=O)(=O)N", "F/C=C/Cl", "C[NH2+]CC(=O)[O-]", "CN=[N+]=[N-]"]
)
@pytest.mark.parametrize("name", ["mmff94", "uff"])
def test_bonds_reach_the_workers(name: str, smiles: str, tmp_path: Path) -> None:
    """Conjugation, charges and aromatic rings decide the atom types of a force field."""
    molecule = oh.Molecule.from_smiles(smiles)
    made, positions = engine(name, charge=molecule.charge), _shaken(molecule, 5)
    alone = label(made, molecule, positions, output=tmp_path / "alone.npz", progress=False)
    _same(label(made, molecule, positions, output=tmp_path / "a.npz", runner=SerialRunner(), progress=False), alone)


def test_finished_chunks_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call has the store alone, and an engine that computes nothing; the third call adds frames."""
    made, positions, store = engine("mmff94", charge=-1), _shaken(ACETATE), Store(tmp_path / "store")
    first = label(made, ACETATE, positions, output=tmp_path / "a.npz", store=store, chunk=4, progress=False)
    calls = []

    def evaluate(self: RdkitEngine, atomic_numbers: np.ndarray, positions: np.ndarray) -> tuple[float, np.ndarray]:
        calls.append(positions)
        return 0.0, np.zeros(positions.shape)

    monkeypatch.setattr(RdkitEngine, "evaluate", evaluate)
    _same(label(made, ACETATE, positions, output=tmp_path / "b.npz", store=store, chunk=4, progress=False), first)
    assert not calls
    label(made, ACETATE, positions + 0.1, output=tmp_path / "c.npz", store=store, chunk=4, progress=False)
    assert len(calls) == 10


def test_a_stopped_run_computes_the_missing_chunks_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, positions = engine("mmff94", charge=-1), _shaken(ACETATE)
    alone = label(made, ACETATE, positions, output=tmp_path / "alone.npz", progress=False)
    compute, seen = RdkitEngine.evaluate, []

    def stopped(self: RdkitEngine, atomic_numbers: np.ndarray, positions: np.ndarray) -> tuple[float, np.ndarray]:
        if len(seen) == 4:  # within the second chunk
            raise KeyboardInterrupt
        seen.append(positions)
        return compute(self, atomic_numbers, positions)

    monkeypatch.setattr(RdkitEngine, "evaluate", stopped)
    with pytest.raises(KeyboardInterrupt):
        label(made, ACETATE, positions, output=tmp_path / "a.npz", runner=SerialRunner(), chunk=3, progress=False)
    seen.clear()
    monkeypatch.setattr(RdkitEngine, "evaluate", lambda *given: seen.append(given) or compute(*given))
    found = label(made, ACETATE, positions, output=tmp_path / "a.npz", runner=SerialRunner(), chunk=3, progress=False)
    _same(found, alone)
    assert len(seen) == 7  # frames 3 and 5 of the second chunk and those after it; frame 4 is no geometry


def test_a_chunk_that_fails_is_named_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, positions = engine("gfn2"), _shaken(WATER)
    alone = label(made, WATER, positions, output=tmp_path / "alone.npz", progress=False)
    compute = TbliteEngine.evaluate

    def broken(self: TbliteEngine, atomic_numbers: np.ndarray, frame: np.ndarray) -> tuple[float, np.ndarray]:
        if np.array_equal(frame, positions[7]):
            raise HybridError("the program has crashed")
        return compute(self, atomic_numbers, frame)

    monkeypatch.setattr(TbliteEngine, "evaluate", broken)
    output = tmp_path / "a.npz"
    with pytest.raises(HybridError, match=r"1 of 4 chunks .*frames 6 to 8: the program has crashed"):
        label(made, WATER, positions, output=output, runner=SerialRunner(), chunk=3, progress=False)
    assert not output.exists()
    monkeypatch.undo()
    _same(label(made, WATER, positions, output=output, runner=SerialRunner(), chunk=3, progress=False), alone)


def test_chunks_with_failures_are_tried_again_with_another_effort(tmp_path: Path) -> None:
    stretched = WATER.positions * np.array([1.0, 1.1, 1.2, 1.3])[:, None, None]
    output, settings = tmp_path / "a.npz", {"runner": SerialRunner(), "chunk": 2, "progress": False}
    found = label(engine("pyscf:hf/sto-3g?max_cycles=6"), WATER, stretched, output=output, **settings)
    assert found.failed
    assert len(found.frames)
    found = label(engine("pyscf:hf/sto-3g"), WATER, stretched, output=output, **settings)
    assert not found.failed


def test_a_worker_with_another_engine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = engine("gfn2")
    monkeypatch.setattr(oh.reference, "engine", lambda **given: engine("gfn1"))
    with pytest.raises(HybridError, match=r"the theory of the worker's engine is GFN1-xTB"):
        label(made, WATER, _shaken(WATER), output=tmp_path / "a.npz", runner=SerialRunner(), progress=False)


def test_a_model_is_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    oh.ForceField.load("ethanol-cross").save("model.npz")
    request = engine("model:model.npz", charge=0).request
    monkeypatch.chdir("/")
    assert request is not None
    assert engine(**request).theory.startswith("model model.npz ")


def test_a_calculator_with_other_results_than_the_store_is_refused(tmp_path: Path) -> None:
    """Two potentials of ASE that the text does not tell apart, as two files of weights would not be."""
    text, store = "ase:tests.helpers.calculators:FromFile?path=", Store(tmp_path / "store")
    depth = tmp_path / "depth"
    positions = np.array([[[0.0, 0.0, 0.0], [0.0, 0.0, 1.1 + 0.1 * k]] for k in range(4)])
    depth.write_text("0.01")
    label(engine(f"{text}{depth}"), [18, 18], positions, output=tmp_path / "a.npz", store=store, progress=False)
    depth.write_text("1.0")
    with pytest.raises(MismatchError, match="the same calculator"):
        label(engine(f"{text}{depth}"), [18, 18], positions, output=tmp_path / "b.npz", store=store, progress=False)


def test_what_cannot_be_a_task_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    for made, settings, words in (
        (Spring(), {"runner": SerialRunner()}, "oh.reference.engine"),
        (Spring(), {"store": Store(folder / "store")}, "oh.reference.engine"),
        (engine("gfn2"), {"runner": SerialRunner(threads=0)}, "threads = 0"),
        (engine("gfn2"), {"chunk": 0}, "chunk = 0"),
    ):
        with pytest.raises(InputError, match=words):
            label(made, [1, 1], POSITIONS, output=folder / "a.npz", progress=False, **settings)  # type: ignore[arg-type]
    assert not folder.exists()


def test_damaged_frames_are_told(tmp_path: Path) -> None:
    made, positions = engine("gfn2"), _shaken(WATER)
    label(made, WATER, positions, output=tmp_path / "a.npz", runner=SerialRunner(), chunk=6, progress=False)
    (file,) = (tmp_path / "a.npz.tasks" / "frames").iterdir()
    name = file.name
    label(made, WATER, positions + 1e-3, output=tmp_path / "b.npz", runner=SerialRunner(), chunk=6, progress=False)
    (other,) = (tmp_path / "b.npz.tasks" / "frames").iterdir()
    other.rename(file.with_name(name))
    for path in (tmp_path / "a.npz.tasks").glob("*.npz"):
        path.unlink()
    (tmp_path / "a.npz.journal").unlink()
    with pytest.raises(HybridError, match="its content is not that of its name"):
        label(made, WATER, positions, output=tmp_path / "a.npz", runner=SerialRunner(), chunk=6, progress=False)
