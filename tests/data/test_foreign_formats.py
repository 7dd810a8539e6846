"""Files of frames that other programs write: their energies and forces in kcal/mol, or a refusal that names the layout.

Expected values are the numbers in the files, converted by the factors of CODATA 2018 (`core.units`).
"""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from openmm_hybrid import Frames
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR, KCAL_PER_EV, KCAL_PER_HARTREE
from tests.helpers.foreign_files import CREST, DFT, GRADIENT, MACE, OPEN_BABEL, ORCA, QM9, WATER, XTB, spice

DIFFERENCE = 0.002366 * 627.5094740631
"""Difference of the two conformers of the CREST, xtb and ORCA files: 1.4847 kcal/mol."""


@pytest.fixture
def load(tmp_path):
    def load(text, **arguments):
        path = tmp_path / "a.xyz"
        path.write_text(text)
        return Frames.load(path, **arguments)

    return load


class TestXyz:
    def test_crest_needs_the_unit_and_obeys_it(self, load):
        with pytest.raises(
            InputError, match=r"no unit of energy is named; give e_unit, such as e_unit=.hartree. for CREST"
        ):
            load(CREST)
        assert np.ptp(load(CREST, e_unit="hartree").energies) == pytest.approx(DIFFERENCE, abs=1e-6)
        assert np.ptp(load(CREST, e_unit="hartree").energies) == pytest.approx(1.4847, abs=5e-5)
        assert np.ptp(load(CREST, e_unit="eV").energies) == pytest.approx(0.002366 * KCAL_PER_EV, abs=1e-6)
        assert np.ptp(load(CREST, e_unit="kcal/mol").energies) == pytest.approx(0.002366, abs=1e-9)
        lengths = load(CREST, e_unit="hartree", r_unit="bohr").positions
        assert lengths[0, 0, 2] == pytest.approx(0.12 * ANGSTROM_PER_BOHR)

    @pytest.mark.parametrize("suffix", [" !CONF2", "   0.00123", "  0.0012 !tag 7"])
    def test_crest_s_remarks(self, load, suffix):
        text = CREST.replace("-5.07054442", f"-5.07054442{suffix}").replace("-5.06817842", f"-5.06817842{suffix}")
        assert np.ptp(load(text, e_unit="hartree").energies) == pytest.approx(DIFFERENCE, abs=1e-6)

    @pytest.mark.parametrize("text", [XTB, ORCA], ids=["xtb", "ORCA"])
    def test_programs_that_write_hartree(self, load, text):
        assert np.ptp(load(text).energies) == pytest.approx(DIFFERENCE, abs=1e-6)

    @pytest.mark.parametrize(
        "line", ["Energy: -5.0 eV", "step 3 E = -5.0 eV", "SCF energy -5.0 eV", "energy=-5.0 e_unit=eV"]
    )
    def test_energies_with_their_unit(self, load, line):
        text = f"3\n{line}\n{WATER}"
        found = load(text) if "E =" not in line else load(text, e_unit="eV")
        assert found.energies.tolist() == pytest.approx([-5 * KCAL_PER_EV])

    @pytest.mark.parametrize(
        ("line", "kcal"),
        [
            ("E(RB3LYP) = -4210.18 eV", -4210.18 * KCAL_PER_EV),
            ("E(RB3LYP) = -154.7", -154.7 * KCAL_PER_HARTREE),
            ("kinetic energy 0.013 Eh potential energy -154.7 Eh", -154.7 * KCAL_PER_HARTREE),
            ("gap energy 5.23 eV energy -4210.1 eV", -4210.1 * KCAL_PER_EV),
            ("E=-97087 kcal/mol", -97087),
            ("energy=-154.7 Eh", -154.7 * KCAL_PER_HARTREE),
            ("step 3 E = -5.0 eV", -5.0 * KCAL_PER_EV),
            ("energy (eV): -5.0", -5.0 * KCAL_PER_EV),
            ("FINAL SINGLE POINT ENERGY -5.0 a.u.", -5.0 * KCAL_PER_HARTREE),
            ("conf 1 E(rel) = 3.2 kcal/mol E = -154.7 Eh", -154.7 * KCAL_PER_HARTREE),
            ("total energy -5.0 eV", -5.0 * KCAL_PER_EV),
            ("relative energy = 0.0 eV E = -5.0 eV", -5.0 * KCAL_PER_EV),
        ],
    )
    def test_the_unit_beside_the_number_counts(self, load, line, kcal):
        assert load(f"3\n{line}\n{WATER}").energies.tolist() == pytest.approx([kcal])

    @pytest.mark.parametrize(
        "line",
        [
            "conf 1 E(rel) = 3.2 kcal/mol",
            "relative energy = 3.2 kcal/mol",
            "gap energy 5.23 eV",
            "zero point energy 0.05",
            "kinetic energy 0.013 Eh total energy -154.7 Eh",
        ],
    )
    def test_other_energies_are_not_taken(self, load, line):
        with pytest.warns(UserWarning, match="look like labels but are not read"):
            assert load(f"3\n{line}\n{WATER}").energies is None

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("1.0 -154.72", "frame 0 has several numbers in its comment, '1.0 -154.72'; write .* as energy=VALUE"),
            ("energy -154.7 Eh SCF energy -154.6 Eh", "frame 0 has several energies in its comment"),
            ("energy=-154.7 Eh e_unit=eV", "frame 0 has 'energy=-154.7 Eh' and e_unit=eV"),
            ("energy -154.7 Eh e_unit=eV", "frame 0 has an energy in hartree and e_unit=eV"),
            ("energy -154.7 meV", "frame 0 has an energy in meV; expected one of kcal/mol"),
        ],
    )
    def test_unclear_energies_are_refused(self, load, line, message):
        with pytest.raises(InputError, match=message):
            load(f"3\n{line}\n{WATER}", e_unit="eV")

    def test_unknown_units_are_asked_for(self, load):
        with pytest.raises(InputError, match="no unit of energy is named"):
            load(OPEN_BABEL)
        assert load(OPEN_BABEL, e_unit="kcal/mol").energies.tolist() == [-5.0705444]

    def test_a_program_s_unit_is_the_file_s_own(self, load):
        for text in (XTB, ORCA, QM9):
            with pytest.warns(UserWarning, match="own e_unit=hartree is used; e_unit='eV' is ignored"):
                load(text, e_unit="eV")
        assert load(f"3\nE(RHF) = -76.4\n{WATER}").energies.tolist() == pytest.approx([-76.4 * KCAL_PER_HARTREE])

    @pytest.mark.parametrize(
        ("text", "message"),
        [(f"3\nSCF Done: -76.4 hartree\n{WATER}", "energy -76.4 hartree"), ("1\nH\nH 0 0 0 1 2 3\n", "columns 5 to 7")],
    )
    def test_what_may_be_a_label_is_named(self, load, text, message):
        with pytest.warns(UserWarning, match=f"{message}.* look like labels but are not read"):
            assert load(text).energies is None

    @pytest.mark.parametrize("comment", ["0", "17", "frame 3", "water", "", "t= 3.0 step 1", "Energetic 1.5"])
    def test_comments_without_an_energy(self, load, comment):
        assert load(f"3\n{comment}\n{WATER}").energies is None

    def test_md17_without_a_plausible_energy_is_a_guess(self, load):
        text = "2\n-100.4\nH 0 0 0 1 2 3\nF 0 0 0.9 -1 -2 -3\n"
        with pytest.warns(UserWarning, match="no total energy of this molecule is near them; give e_unit"):
            load(text)
        found = load(text, e_unit="hartree", r_unit="bohr")
        assert found.forces[0, 0, 2] == pytest.approx(3 * KCAL_PER_HARTREE / ANGSTROM_PER_BOHR)

    @pytest.mark.parametrize(("text", "sign"), [(MACE, 1), (DFT, 1), (GRADIENT, -1)], ids=["REF_", "dft_", "gradient"])
    def test_other_keys(self, load, text, sign):
        with pytest.raises(InputError, match="no unit of energy is named; add e_unit=eV"):
            load(text)
        found = load(text, e_unit="eV")
        assert found.energies.tolist() == pytest.approx([-10 * KCAL_PER_EV])
        assert found.forces[0, :, 2].tolist() == pytest.approx([sign * 1.5 * KCAL_PER_EV, -sign * 1.5 * KCAL_PER_EV])

    def test_two_labels_and_unread_labels(self, load):
        both = MACE.replace("REF_energy=-10.0", "REF_energy=-10.0 energy=-9.0")
        with pytest.raises(InputError, match="frame 0 has 'energy' and 'ref_energy', which mean the same"):
            load(both, e_unit="eV")
        assert load(both.replace("energy=-9.0", "energy=-10.0 free_energy=-9"), e_unit="eV").energies.size == 1
        with pytest.warns(UserWarning, match="'my_energy', 'my_forces' look like labels but are not read"):
            assert load(MACE.replace("REF", "my")).energies is None

    def test_qm9(self, load):
        """The electronic energy: U0 without the zero-point energy."""
        found = load(QM9)
        assert found.energies[0] == pytest.approx((-40.47893 - 0.044749) * KCAL_PER_HARTREE, abs=1e-6)
        assert found.positions[0, 2, 2] == 2.7657e-4
        assert (found.name, found.theory, found.atomic_numbers.tolist()) == (
            "gdb 1",
            "B3LYP/6-31G(2df,p)",
            [6, 1, 1, 1, 1],
        )
        assert load(QM9 * 2).n_frames == 2

    def test_fortran_exponents(self, load):
        assert load("1\n\nH 1.5D-01 2d+0 3.0E0\n").positions.tolist() == [[[0.15, 2, 3]]]

    def test_names_of_frames_may_differ(self, load):
        text = "".join(f"1\nname=conf{index} theory=HF\nH 0 0 0\n" for index in range(3))
        with pytest.warns(UserWarning, match="the frames have 3 names; they are read as one molecule"):
            found = load(text)
        assert (len(found), found.name, found.theory) == (3, "a", "HF")


CONTENT = {
    "numbers": np.array([1, 9]),
    "coords": np.array([[[0, 0, 0], [0, 0, 0.9]]] * 2),
    "energy": np.array([-100.0, -100.5]),
    "gradient": np.array([[[0, 0, 1.0], [0, 0, -1.0]]] * 2),
}


class TestNpz:
    def load(self, tmp_path, change, **arguments):
        content = {key: value for key, value in (CONTENT | change).items() if value is not None}
        np.savez(tmp_path / "a.npz", **content)
        return Frames.load(tmp_path / "a.npz", **arguments)

    def test_other_names_need_a_unit(self, tmp_path):
        with pytest.raises(InputError, match=r"a\.npz: no unit of energy is named; give e_unit, and r_unit"):
            self.load(tmp_path, {})
        found = self.load(tmp_path, {}, e_unit="hartree")
        assert found.energies.tolist() == pytest.approx([-100 * KCAL_PER_HARTREE, -100.5 * KCAL_PER_HARTREE])
        assert found.forces[0, :, 2].tolist() == pytest.approx([-KCAL_PER_HARTREE, KCAL_PER_HARTREE])
        assert found.positions[0, 1, 2] == 0.9
        named = self.load(tmp_path, {"e_unit": "eV"})
        assert named.forces[0, 1, 2] == pytest.approx(KCAL_PER_EV)

    @pytest.mark.parametrize(
        "change",
        [
            {"energy": None, "E": np.array([1.0, 2])},
            {"gradient": None, "forces": np.array([[[0, 0, -1.0], [0, 0, 1.0]]] * 2)},
            {"numbers": None, "species": np.array(["H", "F"])},
            {"numbers": np.array([[1, 9], [1, 9]])},
            {"numbers": None, "Z": np.array([1, 9])},
            {"energy": np.array([[1.0], [2]])},
        ],
    )
    def test_mixed_names(self, tmp_path, change):
        found = self.load(tmp_path, change, e_unit="kcal/mol")
        assert found.atomic_numbers.tolist() == [1, 9]
        assert found.forces[0, 1, 2] == 1
        assert found.energies.shape == (2,)

    def test_one_frame(self, tmp_path):
        single = {key: CONTENT[key][0] for key in ("coords", "energy", "gradient")}
        found = self.load(tmp_path, single, e_unit="kcal/mol")
        assert (found.n_frames, found.energies.tolist(), found.forces[0, 1, 2]) == (1, [-100], 1)

    def test_names_of_ase_are_a_guess(self, tmp_path):
        ase = {"numbers": None, "coords": None, "energy": None, "gradient": None}
        ase |= {"atomic_numbers": np.array([1, 9]), "positions": CONTENT["coords"], "energies": np.zeros(2)}
        with pytest.warns(UserWarning, match="no unit is named; energies are taken as kcal/mol; give e_unit"):
            self.load(tmp_path, ase)

    def test_unread_labels(self, tmp_path):
        with pytest.warns(UserWarning, match=r"'mp2_energies', 'mp2_grad' look like labels but are not read"):
            found = self.load(tmp_path, {"energy": None, "gradient": None, "mp2_energies": 1.0, "mp2_grad": 2.0})
        assert found.energies is None

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"E": np.zeros(2)}, "the keys 'energy' and 'E' mean the same"),
            ({"numbers": np.array([[1, 9], [9, 1]])}, "key 'numbers' holds other atoms for other frames"),
            ({"numbers": np.array([0, 300])}, "key 'numbers' holds what is no atomic number"),
            ({"numbers": np.array(["H", "X1"])}, "key 'numbers' holds 'X1'"),
            ({"coords": None}, "key 'R' is missing; expected R, coords, positions"),
        ],
    )
    def test_refuses(self, tmp_path, change, message):
        with pytest.raises(InputError, match=message):
            self.load(tmp_path, change, e_unit="eV")


class TestSpice:
    def test_one_molecule(self, tmp_path):
        found = Frames.load(spice(tmp_path / "a.h5"))
        assert found.name == "molecule-0"
        assert found.positions[1, 1, 2] == pytest.approx(1.8 * ANGSTROM_PER_BOHR, rel=1e-6)
        assert found.energies[1] == pytest.approx(-100.5 * KCAL_PER_HARTREE)
        assert found.forces[1, 0, 2] == pytest.approx(0.25 * KCAL_PER_HARTREE / ANGSTROM_PER_BOHR)

    def test_several_molecules(self, tmp_path):
        path = spice(tmp_path / "a.h5", 3)
        with pytest.raises(InputError, match=r"holds 3 groups, one for each molecule .*group='molecule-0'"):
            Frames.load(path)
        assert Frames.load(path, group="molecule-2").name == "molecule-2"
        with pytest.raises(InputError, match="has no group 'x'; expected one of molecule-0"):
            Frames.load(path, group="x")
        np.savez(tmp_path / "a.npz", z=[1], R=np.zeros((1, 1, 3)))
        with pytest.raises(InputError, match="has no groups"):
            Frames.load(tmp_path / "a.npz", group="x")

    def test_without_units(self, tmp_path):
        path = spice(tmp_path / "a.h5", units=False)
        with pytest.raises(InputError, match="no unit of length is named for 'conformations'"):
            Frames.load(path)
        with pytest.raises(InputError, match="no unit of energy is named"):
            Frames.load(path, r_unit="bohr")
        found = Frames.load(path, r_unit="bohr", e_unit="hartree")
        assert found.energies[1] == pytest.approx(-100.5 * KCAL_PER_HARTREE)

    def test_units_that_differ(self, tmp_path):
        path = spice(tmp_path / "a.h5")
        with h5py.File(path, "a") as file:
            file["molecule-0/dft_total_gradient"].attrs["units"] = "eV/angstrom"
        with pytest.raises(InputError, match="'dft_total_gradient' is in eV/angstrom, others in"):
            Frames.load(path)


@pytest.mark.parametrize("group", ["", "molecule/"])
@pytest.mark.parametrize(
    ("units", "factors"),
    [
        (("bohr", "hartree", "hartree/bohr"), (ANGSTROM_PER_BOHR, KCAL_PER_HARTREE, ANGSTROM_PER_BOHR)),
        (("", "hartree", "hartree/bohr"), (1.0, KCAL_PER_HARTREE, ANGSTROM_PER_BOHR)),
        (("angstrom", "kcal/mol", "kcal/mol/angstrom"), (1.0, 1.0, 1.0)),
        (("nm", "eV", "eV/Å"), (10.0, KCAL_PER_EV, 1.0)),
    ],
)
def test_units_of_datasets_in_hdf5(tmp_path, group, units, factors):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[f"{group}z"] = [1, 9]
        arrays = {"R": np.eye(2, 3)[None], "E": np.array([-2.0]), "F": np.ones((1, 2, 3))}
        for (key, array), stated in zip(arrays.items(), units, strict=True):
            file[f"{group}{key}"] = array
            if stated:
                file[f"{group}{key}"].attrs["units"] = stated
    found = Frames.load(tmp_path / "a.h5")
    length, energy, per = factors
    assert found.positions[0, 0, 0] == pytest.approx(length)
    assert found.energies[0] == pytest.approx(-2.0 * energy)
    assert found.forces[0, 0, 0] == pytest.approx(energy / per)


def test_the_published_layouts_load_without_a_warning(reference_data):
    """pytest turns warnings into errors."""
    for name in ("ethanol_ccsd_t-train.npz", "md17_ethanol.npz", "3bpa_300K.npz"):
        assert Frames.load(reference_data(name)).n_frames
