"""Labelling: failed frames kept, killed runs continued, other jobs refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from importlib.metadata import version

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from openmm import unit
from tblite.ase import TBLite

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.reference import label
from openmm_hybrid.reference.ase import AseEngine
from openmm_hybrid.reference.label import _look_at_charge
from openmm_hybrid.reference.tblite import TbliteEngine
from tests.helpers import ROOT
from tests.helpers.gaff_molecules import DRUGS
from tests.helpers.spring_engine import POSITIONS, Spring


def test_labels_and_failures(tmp_path):
    path = tmp_path / "new" / "labels.npz"
    positions = POSITIONS.copy()
    positions[4, 1] = positions[4, 0]
    result = label(Spring(failing=(6,)), [1, 1], positions, output=path, progress=False, name="H2")
    assert result.indices.tolist() == [0, 2, 3]
    assert result.failed[1] == "no convergence."
    assert "overlap" in result.failed[4]
    np.testing.assert_array_equal(result.frames.positions, positions[[0, 2, 3]])
    np.testing.assert_array_equal(result.frames.energies, [27.0] * 3)
    stored = oh.Frames.load(path)
    np.testing.assert_array_equal(stored.forces, result.frames.forces)
    assert (stored.theory, stored.name) == ("spring", "H2")


def test_an_interrupted_run_goes_on(tmp_path):
    path = tmp_path / "labels.h5"
    with pytest.raises(KeyboardInterrupt):
        label(Spring(stop_at=3), [1, 1], POSITIONS, output=path, progress=False)
    assert not path.exists()
    rest = Spring()
    result = label(rest, [1, 1], POSITIONS * unit.angstrom, output=path, progress=False)
    assert rest.calls == 2
    again = Spring()
    np.testing.assert_array_equal(label(again, [1, 1], POSITIONS, output=path).frames.forces, result.frames.forces)
    assert again.calls == 0
    assert len(oh.Frames.load(path)) == 5


def test_a_killed_run_goes_on_exactly(tmp_path):
    """SIGKILL at some moment; what is continued equals what runs through, to the last bit."""
    code = f"""
import numpy as np
from openmm_hybrid.reference import label
from tests.helpers.spring_engine import Spring
positions = np.random.default_rng(0).normal(size=(40, 2, 3)) * 3
label(Spring(delay=0.02), [1, 1], positions, output={str(tmp_path / "a.npz")!r}, progress=False)
"""
    journal = tmp_path / "a.npz.journal"
    run = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 3):
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    done = journal.read_bytes().count(b"\n") - 1
    assert 3 <= done < 40
    positions = np.random.default_rng(0).normal(size=(40, 2, 3)) * 3
    rest = Spring()
    continued = label(rest, [1, 1], positions, output=tmp_path / "a.npz", progress=False).frames
    whole = label(Spring(), [1, 1], positions, output=tmp_path / "b.npz", progress=False).frames
    assert rest.calls <= 40 - done
    np.testing.assert_array_equal(continued.energies, whole.energies)
    np.testing.assert_array_equal(continued.forces, whole.forces)


@pytest.mark.parametrize("keep", [5, 60, 200, 205, 300])
def test_a_line_cut_at_any_place_is_done_again(tmp_path, keep):
    path = tmp_path / "a.npz"
    whole = label(Spring(), [1, 1], POSITIONS, output=path, progress=False).frames
    journal = tmp_path / "a.npz.journal"
    journal.write_bytes(journal.read_bytes()[:keep])
    continued = label(Spring(), [1, 1], POSITIONS, output=path, progress=False).frames
    np.testing.assert_array_equal(continued.forces, whole.forces)
    assert journal.read_bytes().count(b"\n") == 6


def test_another_job_is_refused_and_nothing_is_changed(tmp_path):
    path = tmp_path / "a.npz"
    label(Spring(), [1, 1], POSITIONS, output=path, progress=False)
    before = (tmp_path / "a.npz.journal").read_bytes()
    for engine, numbers, positions, what in (
        (Spring(), [1, 1], POSITIONS + 1e-9, "positions"),
        (Spring(), [1, 1], POSITIONS[:4], "n_frames"),
        (Spring(), [1, 2], POSITIONS, "atomic_numbers"),
        (Spring(theory="other"), [1, 1], POSITIONS, "theory"),
    ):
        with pytest.raises(MismatchError, match=f"another labelling job: .*{what}"):
            label(engine, numbers, positions, output=path, progress=False)
    assert (tmp_path / "a.npz.journal").read_bytes() == before


def test_a_file_that_the_labelling_has_not_written_is_kept(tmp_path):
    """Frames of another theory, other frames of this theory, and a file that is no frames at all."""
    path, rest = tmp_path / "a.npz", Spring()
    label(Spring(), [1, 1], POSITIONS + 1.0, output=path, progress=False)
    (tmp_path / "a.npz.journal").unlink()
    other = path.read_bytes()
    oh.Frames([1, 1], POSITIONS, np.zeros(5), np.zeros((5, 2, 3)), theory="CCSD(T)/CBS").save(path)
    for content in (path.read_bytes(), other, b"notes"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.npz exists and is not of this labelling.*give another path"):
            label(rest, [1, 1], POSITIONS, output=path, progress=False)
        assert path.read_bytes() == content
        assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]
    assert rest.calls == 0


@pytest.mark.parametrize("ending", [".npz", ".xyz", ".h5"])
def test_labels_are_computed_anew_without_the_journal(tmp_path, ending):
    path, again = tmp_path / f"a{ending}", Spring()
    label(Spring(failing=(6,)), [1, 1], POSITIONS, output=path, progress=False)
    (tmp_path / f"{path.name}.journal").unlink()
    assert len(label(again, [1, 1], POSITIONS, output=path, progress=False).frames) == again.calls == 5


def test_failures_are_tried_again_with_another_effort(tmp_path):
    path = tmp_path / "a.npz"

    def run(**settings):
        engine = Spring(**settings)
        return label(engine, [1, 1], POSITIONS, output=path, progress=False), engine.calls

    run(failing=(6, 12))
    assert run()[1] == 0
    found, calls = run(failing=(12,), effort="500 steps")
    assert (calls, list(found.failed)) == (2, [2])
    assert run(effort="500 steps")[1] == 0
    found, calls = run(effort="900 steps")
    assert (calls, len(found.frames)) == (1, 5)
    assert run()[1] == 0


@pytest.mark.parametrize(
    "error", [MemoryError(), NumericalError("RuntimeError: CUDA out of memory. Tried to allocate")]
)
def test_a_lack_of_memory_is_no_failure_of_the_frame(tmp_path, error):
    path = tmp_path / "a.npz"
    with pytest.raises(oh.HybridError, match="spring ran out of memory"):
        label(Spring(failing=(6,), error=error), [1, 1], POSITIONS, output=path, progress=False)
    rest = Spring()
    assert len(label(rest, [1, 1], POSITIONS, output=path, progress=False).frames) == 5
    assert rest.calls == 4
    journal = path.with_name("a.npz.journal")
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:-1], '{"frame": 4, "failed": "CUDA out of memory"}']) + "\n")  # an old one
    assert len(label(rest, [1, 1], POSITIONS, output=path, progress=False).frames) == 5


def test_one_process_at_a_time_writes_a_journal(tmp_path):
    """Another process holds the journal; it is killed, and its lock is gone."""
    path = tmp_path / "a.npz"
    code = f"""
import time
from openmm_hybrid.reference import label
from tests.helpers.spring_engine import POSITIONS, Spring
class Slow(Spring):
    def compute(self, atomic_numbers, positions):
        if self.calls == 2:
            print("waits", flush=True)
            time.sleep(600)
        return super().compute(atomic_numbers, positions)
label(Slow(), [1, 1], POSITIONS, output={str(path)!r}, progress=False)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"waits\n"
        before = (tmp_path / "a.npz.journal").read_bytes()
        try:
            with pytest.raises(InputError, match=r"another process is writing to .*a\.npz\.journal; wait for it"):
                label(Spring(), [1, 1], POSITIONS, output=path, progress=False)
        finally:
            process.kill()
    assert (tmp_path / "a.npz.journal").read_bytes() == before
    rest = Spring()
    assert len(label(rest, [1, 1], POSITIONS, output=path, progress=False).frames) == 5
    assert rest.calls == 3


@pytest.mark.parametrize(
    "line",
    ["{", "3", '{"frame": 9, "failed": "x"}', '{"frame": 1, "energy": 1}', '{"frame": 1, "energy": 1, "forces": [1]}'],
)
def test_a_damaged_journal_is_refused(tmp_path, line):
    path = tmp_path / "a.npz"
    label(Spring(), [1, 1], POSITIONS, output=path, progress=False)
    journal = tmp_path / "a.npz.journal"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:2], line, *lines[3:]]) + "\n")
    with pytest.raises(InputError, match=r"line 3 of .* is damaged"):
        label(Spring(), [1, 1], POSITIONS, output=path, progress=False)


def test_bad_input_is_refused_before_anything_is_written(tmp_path):
    folder = tmp_path / "new"
    for numbers, positions, name in (
        ([1, 1], POSITIONS, "a.csv"),
        ([1], POSITIONS, "a.npz"),
        ([1, 1], POSITIONS * np.nan, "a.npz"),
        ([1, 1], POSITIONS[:0], "a.npz"),
    ):
        with pytest.raises(InputError):
            label(Spring(), numbers, positions, output=folder / name)
    water = oh.Molecule.from_smiles("[OH-]")
    with pytest.raises(MismatchError, match=r"charge=molecule\.charge"):
        label(TbliteEngine(), water, water.conformers, output=folder / "a.npz")
    assert not folder.exists()


def test_all_failed_is_an_error(tmp_path):
    with pytest.raises(NumericalError, match=r"all 5 frames; the first: no convergence.*remove .*journal"):
        label(Spring(failing=range(99)), [1, 1], POSITIONS, output=tmp_path / "a.npz", progress=False)
    assert not (tmp_path / "a.npz").exists()


def test_a_full_disk_is_named_and_the_run_goes_on_later(tmp_path):
    code = f"""
import resource
import openmm_hybrid as oh
from openmm_hybrid.reference import label
from tests.helpers.spring_engine import POSITIONS, Spring
resource.setrlimit(resource.RLIMIT_FSIZE, (480, 480))
try:
    label(Spring(), [1, 1], POSITIONS, output={str(tmp_path / "a.npz")!r}, progress=False)
except oh.HybridError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "cannot write" in run.stdout
    assert "call again to continue" in run.stdout
    done = (tmp_path / "a.npz.journal").read_bytes().count(b"\n") - 1
    rest = Spring()
    assert len(label(rest, [1, 1], POSITIONS, output=tmp_path / "a.npz", progress=False).frames) == 5
    assert rest.calls == 5 - done < 5


def test_progress_lines_name_speed_and_count(tmp_path, capfd):
    label(Spring(), [1, 1], POSITIONS, output=tmp_path / "a.npz")
    assert "labelling with spring: 5/5 frames (100 %)" in capfd.readouterr().err


def test_gfn2_labels_of_a_molecule(tmp_path):
    molecule = oh.Molecule.from_smiles("O", name="water")
    stretched = molecule.positions * np.array([1.0, 1.1, 0.001])[:, None, None]
    result = label(TbliteEngine(), molecule, stretched, output=tmp_path / "a.npz", progress=False)
    assert list(result.failed) == [2]
    assert result.frames.energies[0] < result.frames.energies[1]
    assert result.frames.name == "water"
    assert json.loads((tmp_path / "a.npz.journal").read_text().splitlines()[0])["theory"] == "GFN2-xTB"


@pytest.mark.filterwarnings("ignore:.*the bonds of the first geometry look like")
def test_a_journal_is_resumed_at_its_own_level_only(tmp_path):
    """tblite 0.8.0 itself: water at this geometry has -3181.60 kcal/mol by GFN2-xTB and -3619.75 by GFN1-xTB."""
    water = oh.Molecule.from_smiles("O", name="water")

    def run(calculator, **settings):
        engine = AseEngine(calculator, **settings)
        return label(engine, water.atomic_numbers, water.conformers, output=tmp_path / "a.npz", progress=False).frames

    first = run(TBLite(method="GFN2-xTB", verbosity=0))
    assert first.energies[0] == pytest.approx(-3181.60, abs=0.01)
    assert first.theory == f"TBLite method=GFN2-xTB (tblite {version('tblite')})"
    assert run(TBLite(method="GFN2-xTB", verbosity=1)).energies[0] == first.energies[0]
    for other, settings, key in (
        (TBLite(method="GFN1-xTB"), {}, "theory TBLite method=GFN2-xTB there, TBLite method=GFN1-xTB now"),
        (TBLite(method="GFN2-xTB", charge=2), {}, r"charge \+2 now"),
        (TBLite(method="GFN2-xTB"), {"charge": 2}, r"charge \+2 now"),
        (TBLite(method="GFN2-xTB", multiplicity=3), {}, "multiplicity 3 now"),
        (TBLite(method="GFN2-xTB", electronic_temperature=5000.0), {}, "settings differs"),
        (LennardJones(), {}, "program tblite"),
    ):
        with pytest.raises(MismatchError, match=f"another labelling job: .*{key}"):
            run(other, **settings)
    second = label(
        AseEngine(TBLite(method="GFN1-xTB", verbosity=0)), water, water.conformers, output=tmp_path / "b.npz"
    ).frames
    assert second.energies[0] == pytest.approx(-3619.75, abs=0.01)
    with pytest.raises(MismatchError, match="label all frames at one level"):
        oh.Frames.concatenate([first, second])


def test_a_journal_of_pyscf_is_resumed_with_the_same_settings_only(tmp_path, monkeypatch):
    water = oh.Molecule.from_smiles("O")

    def run(text, **state):
        engine = oh.reference.engine(text, **state)
        label(engine, water.atomic_numbers, water.conformers, output=tmp_path / "a.npz", progress=False)

    run("pyscf:hf/sto-3g")
    run("pyscf:hf/sto-3g")
    for text, state, key in (
        ("pyscf:hf/sto-3g?density_fit=true", {}, "density fitting now"),
        ("pyscf:mp2/sto-3g", {}, "MP2/STO-3G now"),
        ("pyscf:hf/6-31g", {}, "HF/6-31G now"),
        ("pyscf:hf/sto-3g", {"multiplicity": 3}, "multiplicity 3 now"),
    ):
        with pytest.raises(MismatchError, match=f"another labelling job: .*{key}"):
            run(text, **state)
    monkeypatch.setattr("openmm_hybrid.reference.pyscf._CONVERGED", 1e-7)
    with pytest.raises(MismatchError, match="settings"):
        run("pyscf:hf/sto-3g")
    monkeypatch.undo()
    monkeypatch.setattr("openmm_hybrid.reference.pyscf.version", lambda package: "9.9")
    with pytest.raises(MismatchError, match=r"pyscf 9\.9 now"):
        run("pyscf:hf/sto-3g")


class _Network(LennardJones):
    """A calculator whose weights are none of its parameters."""

    def __init__(self, weight):
        super().__init__(sigma=1.0, epsilon=0.1)
        self.weight, self.calls = weight, 0

    def calculate(self, *arguments):
        super().calculate(*arguments)
        self.calls += 1
        self.results = {name: self.weight * value for name, value in self.results.items()}


def test_two_calculators_of_one_name_do_not_share_labels(tmp_path):
    def run(calculator, n):
        engine = AseEngine(calculator, theory="network")
        return label(engine, [18, 18], positions[:n], output=tmp_path / "a.npz", progress=False).frames

    positions = np.array([[[0.0, 0.0, 0.0], [distance, 0.0, 0.0]] for distance in (1.0, 1.2, 1.4)])
    path = tmp_path / "a.npz"
    first = run(_Network(1.0), 3)
    again = _Network(1.0)
    np.testing.assert_array_equal(run(again, 3).energies, first.energies)
    assert again.calls == 1
    path.unlink()
    with pytest.raises(MismatchError, match=r"network gives .* for frame 0, and .*a\.npz\.journal has"):
        run(_Network(2.0), 3)
    assert not path.exists()


class _Smeared(LennardJones):
    """A calculator with smearing: the forces are the derivative of the free energy, not of the energy."""

    def calculate(self, *arguments):
        super().calculate(*arguments)
        self.results["energy"] = self.results["free_energy"] + 5.0


def test_energies_are_those_of_the_forces():
    pair = np.array([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0]])
    found, expected = (AseEngine(kind(), theory="x").compute([18, 18], pair) for kind in (_Smeared, LennardJones))
    assert found[0] == pytest.approx(expected[0], abs=1e-9)


def test_another_version_of_the_program_is_another_job(tmp_path, monkeypatch):
    water = oh.Molecule.from_smiles("O")
    label(TbliteEngine(), water, water.conformers, output=tmp_path / "a.npz", progress=False)
    monkeypatch.setattr("openmm_hybrid.reference.tblite.version", lambda package: "9.9")
    with pytest.raises(MismatchError, match=r"program tblite .* there, tblite 9\.9 now"):
        label(TbliteEngine(), water, water.conformers, output=tmp_path / "a.npz", progress=False)


@pytest.mark.parametrize("smiles", ["CC(=O)[O-]", "C[NH3+]", "[NH3+]CC[NH3+]"])
def test_a_molecule_with_a_charge_needs_an_engine_with_it(tmp_path, smiles):
    ion = oh.Molecule.from_smiles(smiles)
    with pytest.raises(MismatchError, match=rf"\{ion.charge:+d} e for .*charge=molecule\.charge"):
        label(AseEngine(TBLite()), ion, ion.conformers, output=tmp_path / "a.npz", progress=False)
    engine = AseEngine(TBLite(verbosity=0), charge=ion.charge)
    found = label(engine, ion, ion.conformers, output=tmp_path / "a.npz", progress=False).frames
    expected = TbliteEngine(charge=ion.charge).compute(ion.atomic_numbers, ion.positions)
    assert found.energies[0] == pytest.approx(expected[0], abs=0.01)
    np.testing.assert_allclose(found.forces[0], expected[1], atol=0.05)


@pytest.mark.parametrize(
    ("smiles", "charge", "looks"),
    [("[NH3+]CC[NH3+]", 0, "+2"), ("[O-]C(=O)C(=O)[O-]", 0, "-2"), ("[O-]P(=O)([O-])OCC", 0, "-2"), ("O", 2, "+0")],
)
def test_bonds_that_fit_another_charge_are_told(tmp_path, smiles, charge, looks):
    ion = oh.Molecule.from_smiles(smiles)
    engine = AseEngine(_Charged(charge=charge), theory="none")
    with pytest.warns(UserWarning, match=rf"look like \{looks} e; if so, give the engine charge="):
        label(engine, ion.atomic_numbers, ion.conformers, output=tmp_path / "a.npz", progress=False)


@pytest.mark.parametrize("smiles", list(DRUGS.values()))
def test_bonds_that_fit_the_charge_are_no_reason_for_a_warning(tmp_path, smiles):
    molecule = oh.Molecule.from_smiles(smiles)
    engine = AseEngine(_Charged(charge=molecule.charge), theory="none")
    label(engine, molecule.atomic_numbers, molecule.conformers, output=tmp_path / "a.npz", progress=False)


class _Charged(LennardJones):
    """A calculator that has a charge of its own."""

    default_parameters = LennardJones.default_parameters | {"charge": 0}


@pytest.mark.parametrize(("factor", "name"), [(1 / 0.529177, "bohr"), (0.1, "nm")])
def test_positions_in_another_unit_are_refused(tmp_path, factor, name):
    water = oh.Molecule.from_smiles("O")
    for atoms in (water, water.atomic_numbers):
        with pytest.raises(InputError, match=f"positions are in {name}|bond 0-1 of the molecule O is 1.8"):
            label(Spring(), atoms, water.conformers * factor, output=tmp_path / "a.npz", progress=False)


def test_many_nitro_groups_do_not_stop_the_look_at_the_charge():
    """Hexanitrostilbene has millions of combinations of valences, which took 39 s for each charge."""
    nitro = "[N+](=O)[O-]"
    left = f"O=[N+]([O-])c1cc({nitro})cc({nitro})c1"
    molecule = oh.Molecule.from_smiles(f"{left}/C=C/c1c({nitro})cc({nitro})cc1{nitro}")
    frames = oh.Frames(molecule.atomic_numbers, molecule.conformers)
    start = time.process_time()
    _look_at_charge(oh.reference.engine("gfn2", charge=2), frames)
    assert time.process_time() - start < 5.0


def test_stretched_bonds_count_as_another_order_unless_it_is_known(tmp_path):
    water = oh.Molecule.from_smiles("O")
    stretched = np.repeat(water.positions[None], 3, axis=0)
    stretched[:, 1] += 0.45 * (stretched[:, 1] - stretched[:, 0])
    engine = oh.reference.engine("mmff94")
    with pytest.raises(MismatchError, match=r"the bond 0-1 .* long in the frames"):
        label(engine, water, stretched, output=tmp_path / "refused.npz", progress=False)
    found = label(engine, water, stretched, output=tmp_path / "labels.npz", order_known=True, progress=False)
    assert len(found.frames) == 3
