"""The sampling study in small: ethanol for a picosecond. Source: CCSD(T) frames of Chmiela et al. (2018)."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.studies.potentials import ensemble, potential
from openmm_hybrid.studies.sampling import SamplingStudy
from openmm_hybrid.studies.torsion_pair import torsion_pair
from openmm_hybrid.studies.workspace import SamplingSettings, open_workspace

NAMES = ("cross", "global", "local-forces", "local", "distilled")
QUICK = SamplingSettings(
    Path("frames.npz"),
    molecule="ethanol",
    potentials=NAMES,
    n_train=120,
    n_fit=60,
    starts=4,
    duration=0.1,
    training_duration=0.1,
    equilibration=0.02,
    interval=5,
    searches=6,
    charges="am1-bcc",
)


@pytest.fixture(scope="module")
def settings(reference_data):
    return replace(QUICK, frames=reference_data("ethanol_ccsd_t-train.npz"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sampling")


@pytest.fixture(scope="module")
def result(settings, folder):
    return SamplingStudy().run(settings, folder, progress=False)


def test_every_potential_is_compared_with_the_reference(result):
    assert [each.name for each in result.ensembles] == ["reference", "gaff", *NAMES]
    reference, plain, *rest = result.ensembles
    assert reference.divergence is None
    assert plain.errors.force_mae > 5 * reference.errors.force_mae
    by_name = {each.name: each for each in rest}
    assert by_name["global"].errors.force_mae < 0.5 * plain.errors.force_mae
    assert by_name["cross"].errors.force_mae < 0.5 * plain.errors.force_mae
    assert result.ratio(plain) == (1.0, 0.0)
    for each in result.ensembles:
        assert each.minima[0] == 0.0
        assert np.isfinite(each.minima).all()
        assert all(sum(share.value for share in one.values()) == pytest.approx(1.0) for one in each.populations)
        assert all(0.0 < found.p <= 1.0 for found in each.dependence)
    assert not reference.contrast
    for each in (plain, *rest):
        assert 0 < len(each.contrast) <= 10
        assert each.contrast[0].divergence == max(row.divergence for row in each.contrast)


def test_the_minima_are_those_of_ethanol(result):
    """C–C–O–H is trans (180°) or gauche (60°), the methyl group staggered."""
    assert result.minima
    for each in result.minima:
        assert min(abs(each.features[0] + 1.0), abs(each.features[0] - 0.5)) < 0.15
        assert each.features[1] == pytest.approx(-1.0, abs=0.05)


def test_the_document_is_json_and_names_its_figures(result):
    content = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    for name in ("gaff", *NAMES):
        assert {f"js_ratio.{name}", f"js_excess_error.{name}", f"free_energy.{name}", f"minimum_a.{name}"} <= set(
            content["figures"]
        )
    assert "js_ratio.reference" not in content["figures"]
    assert all(name in result.table() for name in NAMES)


def test_the_result_is_saved(result, tmp_path):
    assert [path.name for path in result.save(tmp_path)] == [
        f"sampling_ethanol.{kind}" for kind in ("json", "csv", "png", "svg")
    ]
    assert json.loads((tmp_path / "sampling_ethanol.json").read_text())["job"]["molecule"] == "ethanol"


def test_what_is_there_is_not_made_again(settings, folder, result, monkeypatch):
    monkeypatch.setattr("openmm_hybrid.correction.train", None)
    monkeypatch.setattr("openmm_hybrid.studies.potentials.fit", None)
    again = SamplingStudy().run(settings, folder, progress=False)
    assert [each.minima.tolist() for each in again.ensembles] == [each.minima.tolist() for each in result.ensembles]


def test_the_pairs_name_atoms_of_their_molecules(reference_data, tmp_path):
    for name, file in (("aspirin", "aspirin_ccsd-train.npz"), ("malonaldehyde", "malonaldehyde_ccsd_t-train.npz")):
        settings = replace(QUICK, frames=reference_data(file), molecule=name)
        workspace = open_workspace(settings, tmp_path / name, progress=False)
        for atoms in workspace.pair.dihedral_atoms(workspace.molecule):
            bonded = {tuple(sorted(bond)) for bond in workspace.molecule.bonds.tolist()}
            assert all(tuple(sorted(pair)) in bonded for pair in pairwise(atoms))
        chosen = set(workspace.pair.local_atoms(workspace.molecule))
        assert len(chosen) <= 10
        assert chosen >= set(chain(*workspace.pair.dihedral_atoms(workspace.molecule)))


def test_any_molecule_has_dihedrals_of_its_own(settings, tmp_path):
    """The known pair of ethanol, as the rotors and as given atoms of frames without a known name."""
    known = open_workspace(settings, tmp_path / "known", progress=False)
    atoms = known.pair.dihedral_atoms(known.molecule)
    settings = replace(settings, molecule="my alcohol", potentials=(), n_train=60, searches=3)
    by_rotors = open_workspace(settings, tmp_path / "rotors", progress=False)
    assert [one[1:3] for one in by_rotors.pair.dihedral_atoms(known.molecule)] == [(0, 2), (0, 1)]
    given = tuple("-".join(map(str, one)) for one in atoms)
    settings = replace(settings, dihedral=given, local=(0, 1, 2, 8), template="CCO")
    workspace = open_workspace(settings, tmp_path / "given", progress=False)
    assert workspace.pair.dihedral_atoms(workspace.molecule) == atoms
    assert workspace.pair.folds == known.pair.folds
    assert workspace.pair.mirrored
    assert workspace.pair.local_atoms(workspace.molecule) == [0, 1, 2, 8]
    result = SamplingStudy().run(settings, tmp_path / "given", progress=False)
    assert [each.name for each in result.ensembles] == ["reference", "gaff"]
    files = result.save(tmp_path)
    assert [path.name for path in files] == [f"sampling_my_alcohol.{kind}" for kind in ("json", "csv", "png", "svg")]
    job = json.loads(files[0].read_text())["job"]
    assert (job["dihedral"], job["local"], job["template"]) == (list(given), [0, 1, 2, 8], "CCO")
    with pytest.raises(MismatchError, match="another sampling study: local"):
        SamplingStudy().run(replace(settings, local=(0, 1)), tmp_path / "given", progress=False)


def test_settings_of_known_molecules_have_the_keys_of_earlier_studies(settings):
    """Source: the committed results of the study."""
    path = Path(__file__).parents[2] / "benchmarks" / "results" / "sampling_ethanol.json"
    earlier = json.loads(path.read_text())["job"]
    assert set(settings.job) - {"potentials"} == set(earlier)


def test_other_settings_are_refused_before_anything_is_made(settings, folder, result):
    with pytest.raises(InputError, match="starts = 3; expected 4 or more"):
        replace(QUICK, starts=3)
    with pytest.raises(InputError, match="timestep = 0"):
        replace(QUICK, timestep=0)
    with pytest.raises(InputError, match=r"the ladder is \(600.0, 550.0\); expected rising numbers above 500 K"):
        replace(QUICK, ladder=(600.0, 550.0))
    with pytest.raises(MismatchError, match=r"another sampling study: n_train \d+ there, \d+ now"):
        SamplingStudy().run(replace(settings, n_train=40), folder, progress=False)
    open_workspace(replace(settings, duration=0.2), folder, progress=False)


def test_two_processes_do_not_write_one_folder(settings, tmp_path):
    with lock_folder(tmp_path / "study"), pytest.raises(InputError, match="another process is writing"):
        SamplingStudy().run(settings, tmp_path / "study", progress=False)
    assert {file.name for file in (tmp_path / "study").iterdir()} == {".lock", "settings.json"}


def test_other_labels_of_the_same_geometries_are_refused(settings, tmp_path):
    frames = oh.Frames.load(settings.frames)
    open_workspace(settings, tmp_path / "study", progress=False)
    other = replace(frames, energies=frames.energies + 0.1 * np.arange(len(frames))).save(tmp_path / "frames.npz")
    with pytest.raises(MismatchError, match="another sampling study: frames differs"):
        open_workspace(replace(settings, frames=other), tmp_path / "study", progress=False)


def test_of_replicas_that_exchange_temperatures_the_coldest_are_compared(settings, folder, result, tmp_path):
    settings = replace(settings, ladder=(650.0,))
    run = ensemble(open_workspace(settings, tmp_path, progress=False), "gaff")
    assert [start.temperature for start in run.starts] == 4 * [500.0]
    whole = oh.SampleResult.open(run.path)
    assert [start.temperature for start in whole.starts] == 4 * [500.0, 650.0]
    assert np.isfinite(whole.exchange_rate[::2]).all()
    again = ensemble(open_workspace(settings, tmp_path, progress=False), "gaff")
    assert len(again.positions) == len(run.positions) == 4 * 20


def test_unknown_names_are_refused(settings, folder, result):
    with pytest.raises(InputError, match="no dihedrals are known for the molecule 'benzene'"):
        torsion_pair("benzene")
    with pytest.raises(InputError, match="expected a name"):
        replace(QUICK, molecule="/")
    with pytest.raises(InputError, match="unknown potential 'globl'"):
        potential(open_workspace(settings, folder, progress=False), "globl")
