"""Refinement of small molecules with GFN2-xTB: the loop, its files, resumption and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openmm import unit
from rdkit import Chem

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.refinement.member import Member
from openmm_hybrid.refinement.select import farthest

SMALL = oh.RefineSettings(n_conformers=1, n_first=60, n_fresh=20, n_more=20, rounds=2, target=0.01, hot_ps=0.0)


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> oh.Refined:
    """Methanol after two rounds, which an unreachable target makes necessary."""
    return oh.refine("CO", tmp_path_factory.mktemp("methanol") / "out", SMALL, progress=False)


def test_the_force_field_is_far_better_than_its_base_on_its_own_dynamics(refined: oh.Refined) -> None:
    assert len(refined.rounds) == 2
    assert not refined.converged
    assert "not converged" in refined.verdict
    last = refined.rounds[-1]
    assert last.own_force < 0.2 * last.base_force
    assert last.own_force <= last.own_worst
    assert [entry.n_labels for entry in refined.rounds] == [80, 120]
    assert len(refined.labels) == 120
    assert refined.rounds[1].n_train == 100 - 100 // 8


def test_errors_are_those_of_the_stored_model_and_labels(refined: oh.Refined) -> None:
    best = int(np.argmin([entry.own_force for entry in refined.rounds]))
    fresh = oh.Frames.load(refined.path / f"round-{best + 1}" / "fresh.npz")
    forces = oh.load(refined.path / "forcefield.npz").predict(fresh.positions)[1]
    expected = float(np.sqrt(np.mean((forces - fresh.labels()[1]) ** 2)))
    assert refined.rounds[best].own_force == pytest.approx(expected, rel=1e-6)


def test_the_stored_system_has_the_forces_of_the_model(refined: oh.Refined) -> None:
    import openmm

    system, _, positions = oh.load_system(refined.path / "system")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions / 10.0)
    found = context.getState(forces=True).getForces(asNumpy=True)
    plain = found.value_in_unit(unit.kilocalorie_per_mole / unit.angstrom)
    np.testing.assert_allclose(plain, refined.forcefield.predict(positions[None])[1][0], atol=1e-6)


def test_charges_towards_the_surroundings_are_those_of_the_base(refined: oh.Refined) -> None:
    charges = np.load(refined.path / "base" / "charges.npy")
    np.testing.assert_array_equal(refined.forcefield.outer.charges, charges)


def test_a_finished_refinement_computes_nothing_again(refined: oh.Refined, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("openmm_hybrid.refinement.rounds.fit", never)
    monkeypatch.setattr(type(oh.reference.engine("gfn2")), "compute", never)
    monkeypatch.setattr("openmm_hybrid.refinement.checks.minima", never)
    again = oh.refine("CO", refined.path, SMALL, progress=False)
    assert again.rounds == refined.rounds
    assert again.checks == refined.checks
    assert oh.Refined.load(refined.path).verdict == refined.verdict


def test_the_checks_are_in_the_result_and_the_report(refined: oh.Refined) -> None:
    """Methanol has one minimum and no rotor between heavy atoms."""
    checks = oh.Refined.load(refined.path).checks
    assert checks == refined.checks
    assert checks.minima is not None
    assert checks.minima.reference == (0.0,)
    assert checks.minima.force < 1.0
    assert checks.profiles == ()
    assert checks.hot_run is None
    assert checks.frequencies is not None
    assert len(checks.frequencies.reference) == 12
    assert checks.frequencies.rms < 0.5 * checks.frequencies.base_rms
    content = json.loads((refined.path / "result.json").read_text(encoding="utf-8"))
    assert content["checks"]["minima"]["force"] == checks.minima.force
    page = (refined.path / "report.html").read_text(encoding="utf-8")
    assert "1 distinct minimum" in page
    assert "Force error of each atom" in page
    assert "12 harmonic frequencies" in page
    assert "Bannwarth" in page


def test_more_rounds_continue(refined: oh.Refined, tmp_path: Path) -> None:
    """Another target ends at the first round, without other labels or fits."""
    looser = oh.refine("CO", refined.path, replace(SMALL, target=50.0, factor=50.0), progress=False)
    assert looser.converged
    assert len(looser.rounds) == 1
    content = json.loads((refined.path / "result.json").read_text(encoding="utf-8"))
    assert content["converged"]
    assert "converged after 1 round and" in (refined.path / "report.html").read_text(encoding="utf-8")
    oh.refine("CO", refined.path, SMALL, progress=False)


@pytest.mark.parametrize(
    ("molecule", "settings", "words"),
    [("CC", SMALL, "smiles"), ("CO", replace(SMALL, temperature=400.0), "temperature")],
)
def test_another_molecule_or_other_settings_are_refused(
    refined: oh.Refined, molecule: str, settings: oh.RefineSettings, words: str
) -> None:
    with pytest.raises(MismatchError, match=f"another refinement.*{words}"):
        oh.refine(molecule, refined.path, settings, progress=False)


def test_kept_charges_are_not_those_of_another_order_of_atoms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run ends after the charges. A file of the same molecule may have another order of atoms."""
    given = oh.Molecule.from_smiles("CO")
    order = [1, 0, *range(2, 6)]
    turned = oh.Molecule(Chem.RenumberAtoms(given.to_rdkit(), order), given.conformers[:, order], given.name)
    assert turned.smiles == given.smiles
    settings, job = replace(SMALL, n_scan=0), tmp_path / "job.json"

    def stop(member: Member, *arguments: object) -> None:
        raise RuntimeError(" ".join(atom.name for atom in member.built.topology.atoms()))

    monkeypatch.setattr(Member, "dynamics", stop)
    with pytest.raises(RuntimeError, match=r"^C1 O1"):
        oh.refine(given, tmp_path, settings, progress=False)
    assert (tmp_path / "base" / "charges.npy").is_file()
    noted = job.read_text(encoding="utf-8")
    with pytest.raises(MismatchError, match="another refinement: the order of its atoms differs; choose"):
        oh.refine(turned, tmp_path, settings, progress=False)
    # An earlier version did not note the order. Its folder resumes, and the order is noted.
    older = json.loads(noted)
    del older["atoms"]
    job.write_text(json.dumps(older), encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"^C1 O1"):
        oh.refine(given, tmp_path, settings, progress=False)
    assert job.read_text(encoding="utf-8") == noted


def test_another_file_of_the_engine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine has the same name, level of theory and program."""
    teacher = tmp_path / "teacher.npz"
    settings, ethanol = replace(SMALL, engine=f"model:{teacher}"), oh.Molecule.from_smiles("C(C)O")

    def stop(member: Member, *arguments: object) -> None:
        raise RuntimeError("stopped")

    monkeypatch.setattr(Member, "dynamics", stop)
    oh.ForceField.load("ethanol-gaff").save(teacher)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="stopped"):
            oh.refine(ethanol, tmp_path / "out", settings, progress=False)
    oh.ForceField.load("ethanol-cross").save(teacher)
    with pytest.raises(MismatchError, match="another refinement"):
        oh.refine(ethanol, tmp_path / "out", settings, progress=False)


def test_bad_input_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="n_first = 5"):
        oh.RefineSettings(n_first=5)
    with pytest.raises(InputError, match="n_profile = 3"):
        oh.RefineSettings(n_profile=3)
    with pytest.raises(InputError, match="hot_ps = -1"):
        oh.RefineSettings(hot_ps=-1.0)
    with pytest.raises(InputError, match="temperature"):
        oh.RefineSettings(temperature=0.0)
    with pytest.raises(InputError, match="nonsense"):
        oh.refine("CO", tmp_path / "out", replace(SMALL, engine="nonsense"), progress=False)
    with pytest.raises(InputError, match="no finished refinement"):
        oh.Refined.load(tmp_path)
    assert not (tmp_path / "out" / "job.json").exists()


def test_fresh_frames_are_not_those_that_are_added(refined: oh.Refined) -> None:
    fresh = oh.Frames.load(refined.path / "round-1" / "fresh.npz").positions
    more = oh.Frames.load(refined.path / "round-1" / "more.npz").positions
    assert len(fresh) == len(more) == 20
    assert not (np.abs(fresh[:, None] - more[None]).max(axis=(2, 3)) < 1e-6).any()
    assert len(farthest(more, fresh, 5)) == 5
