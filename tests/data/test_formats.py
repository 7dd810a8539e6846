"""Files of frames: round trips, what others write (sGDML, rMD17, MD17, ASE), what is refused."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace

import ase
import ase.io
import h5py
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from openmm_hybrid import Frames
from openmm_hybrid.core.errors import HybridError, InputError, MismatchError
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR, KCAL_PER_EV, KCAL_PER_HARTREE
from openmm_hybrid.data.formats import hdf5

ENDINGS = [".npz", ".h5", ".hdf5", ".xyz", ".extxyz"]


@pytest.fixture
def frames():
    rng = np.random.default_rng(0)
    positions, forces = rng.normal(size=(2, 4, 3, 3))
    energies = -97_000 + rng.normal(size=4)
    return Frames(np.array([8, 1, 35]), positions, energies, forces, name='a "b" = c\\', theory="CCSD(T), cc-pVTZ")


def assert_same(found, frames, tolerance=1e-12):
    np.testing.assert_array_equal(found.atomic_numbers, frames.atomic_numbers)
    for field in ("positions", "energies", "forces"):
        expected = getattr(frames, field)
        if expected is None:
            assert getattr(found, field) is None
        else:
            np.testing.assert_allclose(getattr(found, field), expected, rtol=0, atol=tolerance)
    assert (found.name, found.theory) == (frames.name, frames.theory)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("missing", [(), ("energies",), ("forces",), ("energies", "forces")])
def test_round_trip(tmp_path, frames, ending, missing):
    frames = replace(frames, **dict.fromkeys(missing))
    path = frames.save(tmp_path / f"a{ending}")
    # Extended XYZ is in eV: 97 000 kcal/mol come back to the last bit of a float64 only.
    assert_same(Frames.load(path), frames, 1e-12 if ending in (".npz", ".h5", ".hdf5") else 1e-10)
    assert [file.name for file in tmp_path.iterdir()] == [f"a{ending}"]


class TestNpz:
    def test_layout_is_sgdml_s(self, tmp_path, frames):
        """sGDML 1.0, utils/io.py: the keys that it reads, and its fingerprint."""
        with np.load(frames.save(tmp_path / "a.npz"), allow_pickle=False) as data:
            content = dict(data)
        assert {"type", "code_version", "name", "theory", "z", "R", "E", "F", "r_unit", "e_unit", "md5"} <= set(content)
        assert content["type"].astype(str) == "d"
        assert content["z"].dtype == np.uint8
        assert content["F_var"] == pytest.approx(np.var(frames.forces))
        digests = [hashlib.md5(content[key].ravel()).digest() for key in ("z", "R", "E", "F")]
        assert content["md5"].item() == hashlib.md5(b"".join(digests)).hexdigest().encode()

    @pytest.mark.parametrize("name", ["ethanol_ccsd_t-train.npz", "aspirin_ccsd-train.npz"])
    def test_fingerprint_of_published_files(self, tmp_path, reference_data, name):
        data = Frames.load(reference_data(name))
        with (
            np.load(reference_data(name), allow_pickle=False) as theirs,
            np.load(data.save(tmp_path / "a.npz")) as ours,
        ):
            assert ours["md5"].item() == theirs["md5"].item()
            np.testing.assert_array_equal(data.energies, theirs["E"][:, 0])
            assert data.name == theirs["name"].item().decode()

    def test_rmd17_keys(self, tmp_path, frames):
        """The key names of the rMD17 files (Christensen and von Lilienfeld, 2020)."""
        np.savez(
            tmp_path / "rmd17.npz",
            nuclear_charges=frames.atomic_numbers,
            coords=frames.positions,
            energies=frames.energies,
            forces=frames.forces,
            old_indices=np.arange(4),
        )
        assert_same(Frames.load(tmp_path / "rmd17.npz"), replace(frames, name="rmd17", theory="unknown"))

    def test_units(self, tmp_path, frames):
        content = {"z": frames.atomic_numbers, "R": frames.positions, "E": frames.energies, "F": frames.forces}
        np.savez(tmp_path / "a.npz", r_unit="bohr", e_unit="Hartree", **content)
        with pytest.warns(UserWarning, match=r"own e_unit=Hartree is used; e_unit='eV' is ignored"):
            found = Frames.load(tmp_path / "a.npz", e_unit="eV")
        np.testing.assert_allclose(found.positions, frames.positions * ANGSTROM_PER_BOHR, rtol=1e-14)
        np.testing.assert_allclose(found.energies, frames.energies * KCAL_PER_HARTREE, rtol=1e-14)
        np.testing.assert_allclose(found.forces, frames.forces * KCAL_PER_HARTREE / ANGSTROM_PER_BOHR, rtol=1e-14)
        np.savez(tmp_path / "b.npz", **content)
        np.testing.assert_array_equal(Frames.load(tmp_path / "b.npz").energies, frames.energies)
        given = Frames.load(tmp_path / "b.npz", e_unit="eV", r_unit="nm")
        np.testing.assert_allclose(given.forces, frames.forces * KCAL_PER_EV / 10, rtol=1e-14)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"e_unit": "erg"}, "a.npz: unknown unit of energy 'erg'"),
            ({"r_unit": "mile"}, "a.npz: unknown unit of length 'mile'"),
            ({"R": None}, "a.npz: key 'R' is missing"),
            ({"z": None}, "a.npz: key 'z' is missing"),
            ({"z": np.array([8, 1])}, "a.npz: positions"),
            ({"z": np.array([8.5, 1, 1])}, "key 'z' has the type float64"),
            ({"R": np.array([["a"]])}, "key 'R' has the type"),
            ({"E": np.zeros(3)}, "a.npz: energies"),
            ({"F": np.full((4, 3, 3), np.nan)}, "a.npz: frame 0 .*forces"),
            ({"coords": np.zeros((4, 3, 3))}, "keys 'R' and 'coords' mean the same"),
            ({"type": "m"}, "a model or a task of sGDML"),
            ({"lattice": np.eye(3)}, "'lattice': the frames are periodic"),
            ({"cell": np.eye(3)}, "'cell': the frames are periodic"),
            ({"pbc": np.ones(3, dtype=bool)}, "'pbc': the frames are periodic"),
            ({"name": np.array(["a", "b"])}, "key 'name' is not a string"),
        ],
    )
    def test_refuses(self, tmp_path, frames, change, message):
        content = {"z": frames.atomic_numbers, "R": frames.positions, "E": frames.energies, "F": frames.forces}
        content |= change
        np.savez(tmp_path / "a.npz", **{key: value for key, value in content.items() if value is not None})
        with pytest.raises(InputError, match=message):
            Frames.load(tmp_path / "a.npz")

    def test_a_pickle_is_not_opened(self, tmp_path):
        marker = tmp_path / "ran"

        class Hostile:
            def __reduce__(self):
                return (open, (str(marker), "w"))

        array = np.empty(1, dtype=object)
        array[0] = Hostile()
        np.savez(tmp_path / "a.npz", z=array, R=np.zeros((1, 1, 3)))
        with pytest.raises(InputError, match=r"a\.npz: key 'z' holds pickled objects"):
            Frames.load(tmp_path / "a.npz")
        assert not marker.exists()

    def test_a_key_twice(self, tmp_path, frames):
        path = frames.save(tmp_path / "a.npz")
        with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("R.npy", archive.read("R.npy"))
        with pytest.raises(InputError, match=r"a\.npz: the key 'R' occurs twice"):
            Frames.load(path)


@pytest.mark.parametrize("ending", [".npz", ".h5"])
def test_damaged_files(tmp_path, frames, ending):
    path = frames.save(tmp_path / f"a{ending}")
    whole = path.read_bytes()
    for content in (
        b"",
        b"no such format",
        whole[: len(whole) // 2],
        whole[:-30],
        np.random.default_rng(0).bytes(5000),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged or no"):
            Frames.load(path)
    flipped = bytearray(whole)
    flipped[150] ^= 0xFF
    path.write_bytes(flipped)
    if ending == ".npz":  # HDF5 has no checksums by default
        with pytest.raises(InputError):
            Frames.load(path)


class TestHdf5:
    def test_refuses_links_groups_and_two_of_a_kind(self, tmp_path, frames):
        for number, (key, make) in enumerate(
            [
                ("E", lambda: h5py.ExternalLink("/etc/passwd", "E")),
                ("E", lambda: h5py.SoftLink("/R")),
                ("extra", lambda: h5py.ExternalLink("other.h5", "E")),
            ]
        ):
            path = frames.save(tmp_path / f"{number}.h5")
            with h5py.File(path, "a") as file:
                if key in file:
                    del file[key]
                file[key] = make()
            with pytest.raises(InputError, match=f"key '{key}' is not a dataset of this file"):
                Frames.load(path)
        path = frames.save(tmp_path / "group.h5")
        with h5py.File(path, "a") as file:
            file.create_group("sub")
        with pytest.raises(InputError, match="key 'sub'"):
            Frames.load(path)
        path = frames.save(tmp_path / "twice.h5")
        with h5py.File(path, "a") as file:
            file["theory"] = "HF"
        with pytest.raises(InputError, match="the key 'theory' occurs both as a dataset and as an attribute"):
            Frames.load(path)

    @pytest.mark.parametrize(
        ("trial", "message"),
        [("while True: pass", "no answer after 1 s"), ("import os; os.abort()", "ended by SIGABRT")],
    )
    def test_files_from_which_libhdf5_does_not_return(self, tmp_path, frames, monkeypatch, trial, message):
        """Seen with a heap of texts out of order: libhdf5 1.14 loops without end, so each file is tried first."""
        path = frames.save(tmp_path / "a.h5")
        monkeypatch.setattr(hdf5, "_TRIAL", trial)
        monkeypatch.setattr(hdf5, "_TRIAL_SECONDS", 1)
        with pytest.raises(InputError, match=message):
            Frames.load(path)

    def test_units_and_numbers(self, tmp_path, frames):
        path = frames.save(tmp_path / "a.h5")
        with h5py.File(path, "a") as file:
            file.attrs["e_unit"] = "eV"
        np.testing.assert_allclose(Frames.load(path).energies, frames.energies * KCAL_PER_EV)
        with h5py.File(path, "a") as file:
            file["R"][2, 0, 0] = np.inf
        with pytest.raises(InputError, match=r"a\.h5: frame 2 .*positions"):
            Frames.load(path)
        with h5py.File(path, "a") as file:
            file.attrs["e_unit"] = "erg"
        with pytest.raises(InputError, match=r"a\.h5: unknown unit"):
            Frames.load(path)


class TestExtendedXyz:
    def test_ase_reads_ours(self, tmp_path, frames):
        atoms = ase.io.read(frames.save(tmp_path / "a.xyz"), index=":", format="extxyz")
        assert len(atoms) == 4
        np.testing.assert_array_equal(atoms[1].numbers, frames.atomic_numbers)
        np.testing.assert_allclose(atoms[1].positions, frames.positions[1], atol=1e-12)
        np.testing.assert_allclose(atoms[1].get_forces() * KCAL_PER_EV, frames.forces[1], atol=1e-12)
        assert atoms[1].get_potential_energy() * KCAL_PER_EV == pytest.approx(frames.energies[1], abs=1e-9)
        assert not atoms[1].pbc.any()
        assert atoms[1].info["theory"] == frames.theory

    def test_we_read_ase_s_once_told_the_unit(self, tmp_path, frames):
        images = []
        for index in range(4):
            atoms = ase.Atoms(numbers=frames.atomic_numbers, positions=frames.positions[index])
            results = {"energy": frames.energies[index], "forces": frames.forces[index]}
            atoms.calc = SinglePointCalculator(atoms, **results)
            images.append(atoms)
        ase.io.write(tmp_path / "a.xyz", images, format="extxyz")
        with pytest.raises(InputError, match="no unit of energy is named; add e_unit=eV"):
            Frames.load(tmp_path / "a.xyz")
        found = Frames.load(tmp_path / "a.xyz", e_unit="eV")
        np.testing.assert_allclose(found.positions, frames.positions, atol=1e-7)
        np.testing.assert_allclose(found.forces, frames.forces * KCAL_PER_EV, atol=1e-6)
        np.testing.assert_allclose(found.energies, frames.energies * KCAL_PER_EV, rtol=1e-8)

    def test_the_older_md17_form(self, tmp_path):
        """MD17's archives of 2017: energy alone on the comment line, element, position, force; kcal/mol and Å."""
        (tmp_path / "a.xyz").write_text("2\n-62980.5\nH 0 0 0 1 2 3\nF 0 0 0.9 -1 -2 -3\n" * 2)
        found = Frames.load(tmp_path / "a.xyz")
        assert found.energies.tolist() == [-62980.5, -62980.5]
        assert found.forces[1].tolist() == [[1, 2, 3], [-1, -2, -3]]
        assert found.atomic_numbers.tolist() == [1, 9]

    def test_plain_xyz_and_columns_in_any_order(self, tmp_path):
        (tmp_path / "a.xyz").write_text("1\nwater without hydrogen\nO 1 2 3\n\n")
        assert Frames.load(tmp_path / "a.xyz").positions.tolist() == [[[1, 2, 3]]]
        (tmp_path / "b.xyz").write_text(
            '1\nEnergy=2 e_unit=kJ/mol Properties=forces:R:3:Z:I:1:tag:I:1:pos:R:3 Lattice="1 0 0 0 1 0 0 0 1" '
            'pbc="F F F"\n4.184 0 0 8 7 1 2 3\n'
        )
        found = Frames.load(tmp_path / "b.xyz")
        assert found.forces[0, 0, 0] == pytest.approx(1)
        assert found.energies[0] == pytest.approx(2 / 4.184)
        assert found.positions.tolist() == [[[1, 2, 3]]]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "holds no frames"),
            ("1\n\nH 0 0 0\n2\n\nH 0 0 0\n", "frame 1 is cut off"),
            ("1\n\nH 0 0 0\n2\n\nH 0 0 0\nH 0 0 1\n", "frame 1 has 2 atoms .* frame 0, 1 atoms"),
            ("2\n\nH 0 0 0\nF 1 0 0\n2\n\nF 0 0 0\nH 1 0 0\n", "frame 1 has the atoms in another order"),
            ("1\n\nH 0 0 0\n\n1\n\nH 0 0 0\n", "empty line 4 before frame 1"),
            ("x\n", "line 1, the start of frame 0, is 'x'"),
            ("-1\n\n", "cut off or empty"),
            ("1\n\nH 0 0\n", "frame 0, atom 0 has 3 columns; expected 4"),
            ("1\n\nXx 0 0 0\n", "frame 0, atom 0: 'Xx' is not an element"),
            ("1\n\nH 0 zero 0\n", "frame 0: the column 'pos' holds a word that is not a number"),
            ("1\n\nH 0 nan 0\n", "a.xyz: frame 0 .*positions"),
            ("1\nenergy=1 Energy=1 e_unit=eV\nH 0 0 0\n", "frame 0 has the key 'Energy' twice"),
            ("1\nenergy=x e_unit=eV\nH 0 0 0\n", "frame 0: key 'energy' is 'x'"),
            ("1\nenergy=1 e_unit=erg\nH 0 0 0\n", "a.xyz: unknown unit of energy 'erg'"),
            (
                "1\nenergy=1 e_unit=eV\nH 0 0 0\n1\ne_unit=eV\nH 0 0 0\n",
                "frame 1 differs from frame 0: only one of them has energy",
            ),
            (
                "1\nenergy=1 e_unit=eV\nH 0 0 0\n1\nenergy=1 e_unit=Ha\nH 0 0 0\n",
                "frame 1 differs from frame 0 in name, theory or units",
            ),
            ("1\nProperties=species:S:1:pos:R:3:pos:R:3\nH 0 0 0 0 0 0\n", "frame 0 has the column 'pos' twice"),
            ("1\nProperties=species:S:1\nH\n", "frame 0: key 'Properties'"),
            ("1\nProperties=species:S:1:pos:R:2\nH 0 0\n", "frame 0: key 'Properties'"),
            ("1\nProperties=species:S:one:pos:R:3\nH 0 0 0\n", "frame 0: key 'Properties'"),
            ('1\nLattice="5 0 0 0 5 0 0 0 5"\nH 0 0 0\n', "frame 0 is periodic"),
            ('1\npbc="F F T"\nH 0 0 0\n', "frame 0 is periodic"),
        ],
    )
    def test_refuses(self, tmp_path, content, message):
        (tmp_path / "a.xyz").write_text(content)
        with pytest.raises(InputError, match=message) as caught:
            Frames.load(tmp_path / "a.xyz")
        assert "a.xyz" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_other_atoms_are_a_mismatch_and_bytes_no_text(self, tmp_path):
        (tmp_path / "a.xyz").write_text("1\n\nH 0 0 0\n1\n\nO 0 0 0\n")
        with pytest.raises(MismatchError):
            Frames.load(tmp_path / "a.xyz")
        (tmp_path / "a.xyz").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(InputError, match="not a text file"):
            Frames.load(tmp_path / "a.xyz")


def test_names_that_are_no_files_of_frames(tmp_path, frames):
    with pytest.raises(InputError, match=r"does not exist"):
        Frames.load(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"\.npz, \.xyz, \.extxyz, \.h5, \.hdf5"):
        Frames.load(tmp_path / "a.csv")
    with pytest.raises(InputError, match="not the name of a file of frames"):
        frames.save(tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_leaves_the_old_file(tmp_path, ending):
    """A limit on the size of files simulates a full disk; the system reports both in the same way."""
    path = tmp_path / f"a{ending}"
    code = f"""
import resource, numpy as np
from openmm_hybrid import Frames, HybridError
small = Frames(np.array([1]), np.zeros((1, 1, 3)))
small.save({str(path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    Frames(np.array([1, 1]), np.random.default_rng(0).normal(size=(3000, 2, 3))).save({str(path)!r})
except HybridError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith(f"cannot write {path}: ")
    assert "free space" in run.stdout
    assert len(Frames.load(path)) == 1
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_errors_have_the_one_base():
    assert issubclass(MismatchError, HybridError)
