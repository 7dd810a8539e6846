"""Labels beside a force field. Sources: published data in known units, and shipped force fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frame_checks import broken_frames, force_fault
from openmm_hybrid.models.label_checks import check_labels, compare_labels
from openmm_hybrid.models.langevin import Langevin
from tests.helpers.gaff_molecules import DRUGS, gasteiger

Data = Callable[[str], Path]
FILES = {
    "md17_ethanol.npz": "ethanol",
    "md17_malonaldehyde.npz": "malonaldehyde",
    "md17_aspirin.npz": "aspirin",
    "ethanol_ccsd_t-train.npz": "ethanol",
    "malonaldehyde_ccsd_t-train.npz": "malonaldehyde",
    "aspirin_ccsd-train.npz": "aspirin",
}


@cache
def gaff(molecule: str = "ethanol") -> oh.ForceField:
    return oh.ForceField.load(f"{molecule}-gaff")


@pytest.fixture(scope="module")
def ethanol(reference_data: Data) -> oh.Frames:
    return oh.Frames.load(reference_data("md17_ethanol.npz"))[::40]


def check(frames: oh.Frames, **settings: object) -> None:
    check_labels(frames, gaff().predict(frames.positions), **settings)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["gaff", "nn", "cross"])
def test_nothing_is_said_of_published_data(reference_data: Data, name: str, kind: str) -> None:
    frames = oh.Frames.load(reference_data(name))[:1000]
    energies, forces = oh.ForceField.load(f"{FILES[name]}-{kind}").predict(frames.positions)
    found = compare_labels(frames, (energies, forces))
    assert found.faults == ()
    assert 0.85 < found.force_ratio < 1.2
    assert found.force_correlation > 0.9
    for first in range(0, 1000, 25):
        part = slice(first, first + 25)
        assert compare_labels(frames[part], (energies[part], forces[part])).faults == ()


@pytest.mark.parametrize("molecule", ["ethanol", "malonaldehyde", "aspirin"])
def test_nothing_is_said_of_labels_by_the_force_field_itself(reference_data: Data, molecule: str) -> None:
    frames = oh.Frames.load(reference_data(f"md17_{molecule}.npz"))[:100]
    predicted = gaff(molecule).predict(frames.positions)
    found = compare_labels(replace(frames, energies=predicted[0], forces=predicted[1]), predicted)
    assert found.faults == ()
    assert found.force_ratio == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["glycine zwitterion", "ethyl phosphate dianion", "methyl azide", "methylguanidinium"])
def test_nothing_is_said_of_ions_and_groups_that_gaff_describes_badly(name: str) -> None:
    """Frames of GAFF's own dynamics at 400 K, labelled by GFN2-xTB."""
    molecule = oh.Molecule.from_smiles(DRUGS[name], name=name)
    built = oh.build(molecule, base="gaff-1.81", charges=gasteiger(molecule), progress=False)
    model = oh.ForceField.from_system(built.system, built.topology, name=name)
    langevin = Langevin(model.atomic_numbers, 400.0, 0.5, 0.02, np.random.default_rng(0))
    r = np.repeat(molecule.positions[None], 25, axis=0)
    v, f = langevin.velocities(r.shape), model.predict(r)[1]
    for _ in range(200):
        r, v, f = langevin.step(lambda positions: model.predict(positions)[1], r, v, f)
    engine = oh.reference.engine("gfn2", charge=molecule.charge)
    energies, forces = zip(*(engine.compute(molecule.atomic_numbers, frame) for frame in r), strict=True)
    frames = oh.Frames(molecule.atomic_numbers, r, np.array(energies), np.array(forces), name=name)
    assert compare_labels(frames, model.predict(r)).faults == ()
    assert force_fault(frames) == broken_frames(frames) == ""


def test_nothing_is_said_of_gfn2_labels(ethanol: oh.Frames, tmp_path: Path) -> None:
    engine = oh.reference.engine("gfn2")
    frames = oh.reference.label(
        engine, ethanol.atomic_numbers, ethanol.positions[:40], output=tmp_path / "a.npz", progress=False
    ).frames
    assert compare_labels(frames, gaff().predict(frames.positions)).faults == ()


@pytest.mark.parametrize(
    ("energy", "force", "words"),
    [
        (1 / 23.0605, 1 / 23.0605, r"energies and forces are 0\.04\d+ times .*e_unit='eV'"),
        (23.0605, 23.0605, r"energies and forces are 2\d\.\d times .*converted from eV twice"),
        (1 / 627.509, 1 / 627.509, "load the file with e_unit='hartree'"),
        (1.0, 1 / 23.0605, r"the forces are 0\.04\d+ times .*look like eV/Å"),
        (1.0, 1 / 1185.82, "look like hartree/bohr, so multiply them by 1185.8"),
        (1.0, 1 / 51.4221, "hartree/bohr converted as if eV/Å"),
        (1 / 27.2114, 1 / 27.2114, "hartree converted as if eV"),
        (1 / 627.509, 1.0, "spread of the energies is 0.00.* times .*look like hartree"),
        (1.0, -1.0, r"point against the force field's \(correlation -0\.9\d\).*multiply them by −1"),
        (1 / 23.0605, -1 / 23.0605, "point against .* and are 0.04.* times as large"),
        (-1.0, 1.0, "energies have the opposite sign"),
    ],
)
def test_labels_that_cannot_be_right_are_refused(ethanol: oh.Frames, energy: float, force: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check(replace(ethanol, energies=ethanol.energies * energy, forces=ethanol.forces * force))


@pytest.mark.parametrize(
    ("energy", "force", "words"),
    [
        (4.184, 4.184, "energies and forces are 4.* times .*look like kJ/mol"),
        (1.0, 0.529177, "the forces are 0.5.* times .*look like kcal/mol/bohr"),
        (1 / 4.184, 1.0, "spread of the energies is 0.2.* times .*converted from kJ/mol twice"),
        (1.0, 6.5, "the forces are 6.7.* times .*no unit explains"),
    ],
)
def test_labels_that_are_hardly_right_are_warned_of(
    ethanol: oh.Frames, energy: float, force: float, words: str
) -> None:
    with pytest.warns(UserWarning, match=words):
        check(replace(ethanol, energies=ethanol.energies * energy, forces=ethanol.forces * force))


@pytest.mark.parametrize("n", [60, 200])
def test_labels_of_other_frames_are_warned_of(ethanol: oh.Frames, n: int) -> None:
    frames, order = ethanol[:n], np.random.default_rng(1).permutation(n)
    with pytest.warns(UserWarning, match="energies hardly correlate .*in the same order"):
        check(replace(frames, energies=frames.energies[order]))
    for forces in (frames.forces[order], frames.forces[:, ::-1]):
        faulty = replace(frames, energies=None, forces=forces)
        (fault,) = compare_labels(faulty, gaff().predict(frames.positions)).faults
        assert "forces hardly correlate" in fault.problem
        with pytest.raises(InputError, match=r"net torque in most frames .*in the same order"):
            check(faulty)


def exchanged(forces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Forces (n_frames, 9, 3) of ethanol with those of two hydrogen atoms exchanged."""
    return forces[:, [0, 1, 2, 4, 3, 5, 6, 7, 8]]


def test_forces_of_exchanged_atoms_are_refused(ethanol: oh.Frames) -> None:
    for settings in ({}, {"indices": np.arange(200)}):
        with pytest.raises(InputError, match="net torque in most frames"):
            check(replace(ethanol, forces=exchanged(ethanol.forces)), **settings)
    some = np.where(np.arange(200)[:, None, None] % 100 == 3, exchanged(ethanol.forces), ethanol.forces)
    with pytest.warns(UserWarning, match="the forces of frames 3, 103 of .* have a net torque"):
        check(replace(ethanol, forces=some))
    with pytest.raises(InputError, match="net torque in most frames"):
        oh.correction.train(gaff(), replace(ethanol, forces=exchanged(ethanol.forces)), n_train=10, progress=False)


@pytest.mark.parametrize("n", [20, 60, 200])
@pytest.mark.parametrize("part", [2, 4])
def test_energies_of_two_levels_are_told_apart(ethanol: oh.Frames, n: int, part: int) -> None:
    other = np.arange(n) % part == 1
    frames = ethanol[:n]
    with pytest.warns(UserWarning, match=f"two groups of {n - other.sum()} and {other.sum()} frames, .* [01], "):
        check(replace(frames, energies=frames.energies + np.where(other, 50.0, 0.0)))


@pytest.mark.parametrize(("every", "size"), [(10, 20), (2, 100), (100, 2)])
@pytest.mark.parametrize(("factor", "unit"), [(4.184, "kJ/mol/Å"), (1 / 23.0605, "eV/Å")])
def test_frames_with_scaled_forces_are_named(
    ethanol: oh.Frames, every: int, size: int, factor: float, unit: str
) -> None:
    scaled = np.arange(200) % every == 1
    assert scaled.sum() == size
    frames = replace(ethanol, forces=np.where(scaled[:, None, None], factor, 1.0) * ethanol.forces)
    faults = compare_labels(frames, gaff().predict(frames.positions)).faults
    (found,) = (str(fault) for fault in faults if "times those of the other frames" in fault.problem)
    assert unit in found
    if every > 2:
        assert f"the forces of frames 1, {every + 1}" in found


def test_outliers_are_named_by_their_index(ethanol: oh.Frames) -> None:
    positions, energies, forces = ethanol.positions.copy(), ethanol.energies.copy(), ethanol.forces.copy()
    positions[7, 8] += [3.0, 0.0, 0.0]
    with pytest.warns(UserWarning, match="frame 7 does not fit the others: check its geometry"):
        check(replace(ethanol, positions=positions))
    forces[[11, 12]] *= np.array([10.0, -1.0])[:, None, None]
    energies[150] += 60.0
    faulty = replace(ethanol, energies=energies, forces=forces)
    with pytest.warns(UserWarning, match="frames 11, 12, 150 do not fit the others"):
        check(faulty)
    with pytest.warns(UserWarning, match="frames 1011, 1012, 1150 do not fit the others"):
        check(faulty, indices=np.arange(200) + 1000)
    few = np.arange(200) < 12
    forces[few] *= 100.0
    found = compare_labels(replace(ethanol, forces=forces), gaff().predict(ethanol.positions))
    assert found.outliers == tuple(range(13))
    assert "0, 1, 2, 3, 4, 5, 6, 7 and 5 more" in found.summary


@pytest.mark.parametrize(("factor", "unit"), [(0.1, "nm"), (1.8897, "bohr")])
def test_positions_in_other_units_are_refused(ethanol: oh.Frames, factor: float, unit: str) -> None:
    with pytest.raises(InputError, match=f"if the positions are in {unit}"):
        check(replace(ethanol, positions=ethanol.positions * factor))


def test_a_part_of_a_force_field_and_too_few_numbers_are_not_judged(ethanol: oh.Frames) -> None:
    energies, forces = gaff().predict(ethanol.positions)
    part = forces.copy()
    part[:, 3] = 0.0
    assert compare_labels(replace(ethanol, forces=-ethanol.forces), (energies, part)).faults == ()
    one = replace(ethanol[:1], forces=-ethanol.forces[:1])
    assert compare_labels(one, (energies[:1], forces[:1])).summary == "too few to compare"
    with pytest.raises(InputError, match="no forces"):
        compare_labels(replace(ethanol, forces=None), (energies, forces))


def test_corrections_are_checked_too(ethanol: oh.Frames) -> None:
    wrong = replace(ethanol, energies=ethanol.energies / 23.06, forces=ethanol.forces / 23.06)
    for call in (
        lambda: oh.correction.train(gaff(), wrong, n_train=10, progress=False),
        lambda: oh.correction.train_local(gaff(), wrong, [0, 2, 8], n_train=10, progress=False),
        lambda: oh.correction.distill(gaff(), wrong, [(1, 0, 2, 8)], progress=False),
    ):
        with pytest.raises(InputError, match="load the file with e_unit='eV'"):
            call()


def test_minima_of_the_force_field_are_not_taken_for_other_units(ethanol: oh.Frames) -> None:
    """Frames that the force field has relaxed: its own forces there are small, those of the reference are not."""
    model = gaff()
    energies, forces = model.predict(ethanol.positions)
    weak = np.arange(200) % 50 == 1
    small = np.where(weak[:, None, None], 0.1, 1.0) * forces
    few = replace(ethanol, forces=np.where(weak[:, None, None], 0.5 * forces, ethanol.forces))
    faults = compare_labels(few, (energies, small)).faults
    assert not [fault for fault in faults if "times those of the other frames" in fault.problem]
