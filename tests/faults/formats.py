"""Ordinary files and arguments that gave wrong numbers or raw errors, as functions that try them.

See `tests.faults.outcomes` for names and outcomes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from rdkit import Chem
from rdkit.Chem import AllChem

import openmm_hybrid as oh
from openmm_hybrid import Frames, Molecule
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR, KCAL_PER_EV, KCAL_PER_HARTREE
from tests.faults.outcomes import attempt
from tests.helpers import foreign_files as files
from tests.helpers.gaff_molecules import DRUGS
from tests.helpers.molecule_files import (
    GAFF_ACETATE,
    GAFF_NITROANILINE,
    OPEN_BABEL_ACETATE,
    SYBYL_NITROANILINE,
    bare_mol2,
    sdf,
)


def _frames(text: str, **arguments: str) -> Callable[[Path], Frames]:
    def load(folder: Path) -> Frames:
        (folder / "a.xyz").write_text(text)
        return Frames.load(folder / "a.xyz", **arguments)

    return load


def _npz(content: dict[str, Any], **arguments: str) -> Callable[[Path], Frames]:
    def load(folder: Path) -> Frames:
        np.savez(folder / "a.npz", **content)
        return Frames.load(folder / "a.npz", **arguments)

    return load


def _molecule(name: str, text: str, **arguments: Any) -> Callable[[Path], Molecule]:
    def load(folder: Path) -> Molecule:
        (folder / name).write_text(text)
        return Molecule.from_file(folder / name, **arguments)

    return load


def _energies(*expected: float) -> Callable[[Frames], bool]:
    return lambda frames: frames.energies is not None and bool(np.allclose(frames.energies, expected, atol=1e-5))


def _difference(kcal: float) -> Callable[[Frames], bool]:
    return lambda frames: frames.energies is not None and abs(float(np.ptp(frames.energies)) - kcal) < 1e-5


def _is(smiles: str) -> Callable[[Molecule], bool]:
    return lambda molecule: bool(Chem.CanonSmiles(molecule.smiles) == Chem.CanonSmiles(smiles))


CREST_KCAL = 0.002366 * KCAL_PER_HARTREE
NPZ: dict[str, Any] = {
    "numbers": np.array([1, 9]),
    "coords": np.array([[[0, 0, 0], [0, 0, 0.9]]]),
    "energy": np.array([-100.0]),
    "gradient": np.array([[[0, 0, 1.0], [0, 0, -1.0]]]),
}
_SEVERAL = "different molecules"


def _forces(sign_and_size: float) -> Callable[[Frames], bool]:
    """Whether the force along z on the second atom of the first frame is this."""
    return lambda frames: frames.forces is not None and abs(frames.forces[0, 1, 2] - sign_and_size) < 1e-5


def _xyz_cases() -> dict[str, Callable[[], str]]:
    def found(text: str, **arguments: str) -> str:
        return attempt(_frames(text, **arguments))

    unit = "no unit of energy is named"
    md17 = "2\n-100.4\nH 0 0 0 1 2 3\nF 0 0 0.9 -1 -2 -3\n"
    per_bohr = KCAL_PER_HARTREE / ANGSTROM_PER_BOHR
    return {
        "3 CREST's bare energies without a unit": lambda: attempt(_frames(files.CREST), says=unit),
        "3 CREST's bare energies in hartree": lambda: attempt(
            _frames(files.CREST, e_unit="hartree"), _difference(CREST_KCAL)
        ),
        "3 bare energies in eV": lambda: attempt(
            _frames(files.CREST, e_unit="eV"), _difference(0.002366 * KCAL_PER_EV)
        ),
        "3 bare energies with r_unit": lambda: attempt(
            _frames(files.CREST, e_unit="eV", r_unit="bohr"),
            lambda frames: abs(frames.positions[0, 0, 2] - 0.12 * ANGSTROM_PER_BOHR) < 1e-9,
        ),
        "3 bare energies with a remark": lambda: attempt(
            _frames(files.CREST.replace("442\n", "442 !CONF1\n").replace("842\n", "842 !CONF2\n"), e_unit="hartree"),
            _difference(CREST_KCAL),
        ),
        "3 bare energy and forces in hartree, not said": lambda: attempt(_frames(md17)),
        "3 bare energy and forces in hartree and bohr": lambda: attempt(
            _frames(md17, e_unit="hartree", r_unit="bohr"), _forces(-3 * per_bohr)
        ),
        "3 number of the frame as comment": lambda: attempt(
            _frames(f"3\n7\n{files.WATER}"), lambda frames: frames.energies is None
        ),
        "3 xtb's comment": lambda: attempt(_frames(files.XTB), _difference(CREST_KCAL)),
        "3 ORCA's comment": lambda: attempt(_frames(files.ORCA), _difference(CREST_KCAL)),
        "3 xtb's comment, said to be eV": lambda: found(files.XTB, e_unit="eV"),
        "3 energy of an unknown form": lambda: found(f"3\nSCF Done: -76.4 hartree\n{files.WATER}"),
        "3 Open Babel's comment": lambda: attempt(_frames(files.OPEN_BABEL), says=unit),
        "3 e_unit that contradicts the file": lambda: attempt(
            _frames(f"3\nenergy=1.0 e_unit=eV\n{files.WATER}", e_unit="hartree"), _energies(KCAL_PER_HARTREE)
        ),
    }


def _comment_cases() -> dict[str, Callable[[], str]]:
    def found(line: str, kcal: float = 0.0, says: str = "(?!)") -> str:
        return attempt(_frames(f"3\n{line}\n{files.WATER}"), _energies(kcal), says)

    return {
        "29 xyz comment, relative energy": lambda: found("conf 1 E(rel) = 3.2 kcal/mol"),
        "29 xyz comment, Gaussian's energy in eV": lambda: found("E(RB3LYP) = -4210.18 eV", -4210.18 * KCAL_PER_EV),
        "29 xyz comment, kinetic and potential energy": lambda: found(
            "kinetic energy 0.013 Eh potential energy -154.7 Eh", -154.7 * KCAL_PER_HARTREE
        ),
        "29 xyz comment, gap and energy": lambda: found("gap energy 5.23 eV energy -4210.1 eV", -4210.1 * KCAL_PER_EV),
        "29 xyz comment, two numbers": lambda: found("1.0 -154.72", says="several numbers .*energy="),
        "29 xyz comment, a key and a unit": lambda: found("E=-97087 kcal/mol", -97087.0),
    }


def _array_cases() -> dict[str, Callable[[], str]]:
    frames = Frames(np.array([1, 9]), np.array([[[0, 0, 0], [0, 0, 0.9]]] * 3))
    unlabelled = {"z": np.array([1, 9]), "R": frames.positions}
    return {
        "29 npz with a cell": lambda: attempt(_npz(unlabelled | {"cell": np.eye(3)}), says="'cell'.*periodic"),
        "29 npz with a cell of zeros": lambda: attempt(_npz(unlabelled | {"cell": np.zeros((3, 3))}), lambda _: True),
        "29 frames of symbols": lambda: attempt(
            lambda _: Frames(np.array(["H", "F"]), frames.positions), says="atomic numbers are not integers"
        ),
        "29 frames of fractional atomic numbers": lambda: attempt(
            lambda _: Frames(frames.atomic_numbers + 0.7, frames.positions), says="atomic numbers are not integers"
        ),
        "29 frames chosen by real numbers": lambda: attempt(
            lambda _: frames[np.array([0.0, 1.0])], says="expected integers"
        ),
    }


def _record_cases() -> dict[str, Callable[[], str]]:
    def two(first: str, second: str, **arguments: Any) -> str:
        text = sdf(Molecule.from_smiles(first)) + sdf(Molecule.from_smiles(second))
        return attempt(_molecule("a.sdf", text, **arguments), _is(second), says=_SEVERAL)

    def conformers(reorder: bool) -> str:
        molecule = Molecule.from_smiles("CCCO", n_conformers=3)
        turned = molecule.reordered(np.arange(molecule.n_atoms)[::-1].tolist()) if reorder else molecule
        text = sdf(molecule, slice(0, 1)) + sdf(turned, slice(1, 3))

        def same(found: Molecule) -> bool:
            heavy = [np.linalg.norm(each[:4, None] - each[:4], axis=-1) for each in found.conformers]
            wanted = [np.linalg.norm(each[:4, None] - each[:4], axis=-1) for each in molecule.conformers]
            return len(heavy) == 3 and bool(np.allclose(heavy, wanted, atol=1e-3))

        return attempt(_molecule("a.sdf", text), same)

    def pdb() -> str:
        mol = Molecule.from_smiles("CCO", n_conformers=2).to_rdkit()
        return attempt(_molecule("a.pdb", Chem.MolToPDBBlock(mol)), lambda found: len(found.conformers) == 2)

    return {
        "13 two molecules in an SDF": lambda: two("CO", "CCO"),
        "13 two enantiomers in an SDF": lambda: two("C[C@H](O)F", "C[C@@H](O)F"),
        "13 acid and base in an SDF": lambda: two("CC(=O)O", "CC(=O)[O-]"),
        "13 two tautomers in an SDF": lambda: two("CC(C)=O", "CC(O)=C"),
        "13 second record by its number": lambda: two("CO", "CCO", record=1),
        "13 conformers in an SDF": lambda: conformers(False),
        "13 conformers in other orders of atoms": lambda: conformers(True),
        "13 two molecules in a MOL2": lambda: attempt(
            _molecule("a.mol2", GAFF_ACETATE + GAFF_NITROANILINE), says=_SEVERAL
        ),
        "13 models of a PDB": pdb,
    }


def _geometry_cases() -> dict[str, Callable[[], str]]:
    def drawing(smiles: str, scale: float = 1.0) -> str:
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        AllChem.Compute2DCoords(mol)
        conformer = mol.GetConformer()
        conformer.SetPositions(conformer.GetPositions() * scale)
        conformer.Set3D(True)
        return attempt(_molecule("a.sdf", Chem.MolToMolBlock(mol)))

    def scaled(smiles: str, factor: float, unit: str) -> str:
        molecule = Molecule.from_smiles(smiles)
        moved = replace(molecule, conformers=molecule.conformers * factor)
        return attempt(_molecule("a.sdf", sdf(moved)), says=f"as in {unit}")

    def from_geometry() -> str:
        molecule = Molecule.from_smiles("CCO")
        return attempt(
            lambda _: Molecule.from_geometry(molecule.atomic_numbers, molecule.positions / 10), says="as in nm"
        )

    return {
        "14 drawing of ethanol that claims 3D": lambda: drawing("CCO"),
        "14 drawing of benzene that claims 3D": lambda: drawing("c1ccccc1"),
        "14 drawing of water that claims 3D": lambda: drawing("O"),
        "14 small drawing of methane that claims 3D": lambda: drawing("C", 0.6),
        "14 ethanol in nm": lambda: scaled("CCO", 0.1, "nm"),
        "14 aspirin in bohr": lambda: scaled(DRUGS["aspirin"], 1 / ANGSTROM_PER_BOHR, "bohr"),
        "14 water in pm": lambda: scaled("O", 100, "pm"),
        "14 from_geometry in nm": from_geometry,
    }


def _argument_cases() -> dict[str, Callable[[], str]]:
    def smiles(value: Any, says: str, **arguments: Any) -> Callable[[], str]:
        return lambda: attempt(lambda _: Molecule.from_smiles(value, **arguments), says=says)

    integer = "expected an integer from"
    return {
        "19 seed=-5": smiles("CCO", integer, seed=-5),
        "19 seed=1.5": smiles("CCO", integer, seed=1.5),
        "19 seed=2**31": smiles("CCO", integer, seed=2**31),
        "19 n_conformers=-1": smiles("CCO", integer, n_conformers=-1),
        "19 n_conformers=0": smiles("CCO", integer, n_conformers=0),
        "19 n_conformers=2.0": smiles("CCO", integer, n_conformers=2.0),
        "19 SMILES None": smiles(None, "the SMILES is None"),
        "19 SMILES of bytes": smiles(b"CCO", "the SMILES is b'CCO'"),
        "19 SMILES of a list": smiles(["CCO"], "the SMILES is"),
    }


def _layout_cases() -> dict[str, Callable[[], str]]:
    unit = "no unit of energy is named"
    ase = {"atomic_numbers": NPZ["numbers"], "positions": NPZ["coords"], "energies": NPZ["energy"]}
    eV = KCAL_PER_EV

    def spice(groups: int, **arguments: str) -> Callable[[Path], Frames]:
        return lambda folder: Frames.load(files.spice(folder / "a.h5", groups), **arguments)

    def spice_in_kcal(folder: Path) -> Frames:
        path = files.spice(folder / "a.h5", units=False)
        with h5py.File(path, "a") as file:
            file["molecule-0/conformations"].attrs["units"] = "bohr"
        return Frames.load(path)

    names = "".join(f"1\nname=conf{index} theory=HF\nH 0 0 0\n" for index in range(3))
    spice_force = 0.5 * KCAL_PER_HARTREE / ANGSTROM_PER_BOHR
    qm9 = (-40.47893 - 0.044749) * KCAL_PER_HARTREE
    return {
        "20 REF_energy without a unit": lambda: attempt(_frames(files.MACE), says=unit),
        "20 REF_energy": lambda: attempt(_frames(files.MACE, e_unit="eV"), _energies(-10 * eV)),
        "20 REF_forces": lambda: attempt(_frames(files.MACE, e_unit="eV"), _forces(-1.5 * eV)),
        "20 dft_forces": lambda: attempt(_frames(files.DFT, e_unit="eV"), _forces(-1.5 * eV)),
        "20 gradient in extended XYZ": lambda: attempt(_frames(files.GRADIENT, e_unit="eV"), _forces(1.5 * eV)),
        "20 energies of two kinds": lambda: attempt(
            _frames(files.MACE.replace("REF_energy", "energy=-9 REF_energy"), e_unit="eV"), says="mean the same"
        ),
        "20 labels under unknown names": lambda: attempt(_frames(files.MACE.replace("REF", "my"))),
        "20 QM9": lambda: attempt(_frames(files.QM9), _energies(qm9)),
        "20 QM9, two files joined": lambda: attempt(_frames(files.QM9 * 2), _energies(qm9, qm9)),
        "20 QM9 in Fortran's exponents": lambda: attempt(
            _frames(files.QM9.replace("2.7657*^-4", "2.7657D-4")), lambda f: f.positions[0, 2, 2] == 2.7657e-4
        ),
        "20 names of frames that differ": lambda: attempt(_frames(names), lambda frames: len(frames) == 3),
        "20 npz with energy and gradient, no unit": lambda: attempt(_npz(NPZ), says=unit),
        "20 npz with energy and gradient": lambda: attempt(
            _npz(NPZ, e_unit="hartree"),
            lambda f: _energies(-100 * KCAL_PER_HARTREE)(f) and _forces(KCAL_PER_HARTREE)(f),
        ),
        "20 npz with names of ASE, no unit": lambda: attempt(_npz(ase)),
        "20 npz with symbols and one frame": lambda: attempt(
            _npz(
                {"species": np.array(["H", "F"]), **{key: NPZ[key][0] for key in ("coords", "energy", "gradient")}},
                e_unit="kcal/mol",
            ),
            _forces(1.0),
        ),
        "20 npz with labels under unknown names": lambda: attempt(
            _npz({"z": NPZ["numbers"], "R": NPZ["coords"], "mp2_energies": NPZ["energy"]})
        ),
        "20 SPICE, one molecule": lambda: attempt(spice(1), _forces(spice_force)),
        "20 SPICE, several molecules": lambda: attempt(spice(3), says="3 groups, one for each molecule.*group="),
        "20 SPICE, one of several": lambda: attempt(spice(3, group="molecule-1"), _forces(spice_force)),
        "20 SPICE without units of energy": lambda: attempt(spice_in_kcal, says=unit),
        "20 mol2 with GAFF types": lambda: attempt(_molecule("a.mol2", GAFF_ACETATE), _is("CC(=O)[O-]")),
        "20 mol2 with GAFF types, nitro group": lambda: attempt(
            _molecule("a.mol2", GAFF_NITROANILINE), _is(NITROANILINE)
        ),
        "20 mol2 of antechamber with SYBYL types, nitro group": lambda: attempt(
            _molecule("a.mol2", SYBYL_NITROANILINE), _is(NITROANILINE)
        ),
        "20 mol2 of Open Babel": lambda: attempt(_molecule("a.mol2", OPEN_BABEL_ACETATE), _is("CC(=O)[O-]")),
        "20 mol2 with types of Amber": lambda: attempt(
            _molecule("a.mol2", GAFF_ACETATE.replace(" c3 ", " CT ")), says="'CT'; expected SYBYL or GAFF types"
        ),
    }


NITROANILINE = "Nc1ccc(cc1)[N+](=O)[O-]"


def _bond_cases() -> dict[str, Callable[[], str]]:
    def geometry(smiles: str, order: int | None = None, **arguments: Any) -> str:
        molecule = Molecule.from_smiles(smiles)
        if order is not None:
            molecule = molecule.reordered(np.random.default_rng(order).permutation(molecule.n_atoms).tolist())
        return attempt(
            lambda _: Molecule.from_geometry(molecule.atomic_numbers, molecule.positions, **arguments),
            _is(smiles),
            says="template",
        )

    def pose(smiles: str, hydrogens: bool = True) -> str:
        mol = Molecule.from_smiles(smiles).to_rdkit()
        block = Chem.MolToPDBBlock(mol if hydrogens else Chem.RemoveAllHs(mol))
        bare = "\n".join(line for line in block.splitlines() if not line.startswith("CONECT"))
        return attempt(_molecule("a.pdb", bare, template=smiles), _is(smiles))

    return {
        "21 p-nitroaniline": lambda: geometry(NITROANILINE),
        **{
            f"21 p-nitroaniline, order of atoms {order}": (lambda order=order: geometry(NITROANILINE, order))
            for order in range(3)
        },
        "21 nifedipine": lambda: geometry(Chem.CanonSmiles(DRUGS["nifedipine"])),
        "21 acetate with charge 0": lambda: geometry("CC(=O)[O-]"),
        "21 acetate with a template": lambda: geometry("CC(=O)[O-]", 1, template="CC(=O)[O-]"),
        "21 imidazolium with a template": lambda: geometry("C[n+]1cc[nH]c1", 2, template="C[n+]1cc[nH]c1"),
        "21 template of an isomer": lambda: geometry("CCO", template="COC"),
        "21 template of an enantiomer": lambda: geometry("C[C@H](O)F", template="C[C@@H](O)F"),
        "21 PDB pose with a template": lambda: pose(DRUGS["aspirin"]),
        "21 PDB pose without hydrogens": lambda: pose(DRUGS["imatinib"], hydrogens=False),
    }


def _reason_cases() -> dict[str, Callable[[], str]]:
    def uncharged(smiles: str, says: str, **arguments: str) -> str:
        lines = sdf(Molecule.from_smiles(smiles)).splitlines(keepends=True)
        text = "".join(line for line in lines if "CHG" not in line)
        return attempt(_molecule("a.sdf", text, **arguments), _is(smiles), says=says)

    def build(smiles: str) -> str:
        return attempt(lambda _: oh.gaff.build(Molecule.from_smiles(smiles)), says="`solvate` adds .*ions")

    def bare(smiles: str) -> str:
        return attempt(_molecule("a.mol2", bare_mol2(Molecule.from_smiles(smiles))), says="has no hydrogens")

    return {
        "22 tetramethylammonium without its charge": lambda: uncharged(
            "C[N+](C)(C)C", r"atom 1 \(N\).*Explicit valence"
        ),
        "22 methylammonium without its charge": lambda: uncharged("C[NH3+]", r"atom 1 \(N\).*Explicit valence"),
        "22 oxonium without its charge": lambda: uncharged("C[OH2+]", r"atom 1 \(O\).*Explicit valence"),
        "22 missing charge, with a template": lambda: uncharged("C[NH3+]", "(?!)", template="C[NH3+]"),
        "22 mol2 of ethanol without hydrogens": lambda: bare("CCO"),
        "22 mol2 of benzene without hydrogens": lambda: bare("c1ccccc1"),
        "22 mol2 of acetamide without hydrogens": lambda: bare("CC(=O)N"),
        "22 sodium alone": lambda: build("[Na+]"),
        "22 chloride alone": lambda: build("[Cl-]"),
        "22 sodium acetate": lambda: build("CC(=O)[O-].[Na+]"),
    }


def _home_cases() -> dict[str, Callable[[], str]]:
    def home(call: Callable[[], Any], right: Callable[[Path, Any], bool]) -> str:
        before = os.environ.get("HOME")

        def inside(folder: Path) -> bool:
            os.environ["HOME"] = str(folder)
            return right(folder, call())

        try:
            return attempt(inside, bool)
        finally:
            if before is None:
                os.environ.pop("HOME", None)
            else:
                os.environ["HOME"] = before

    frames = Frames(np.array([1, 1]), np.array([[[0, 0, 0], [0, 0, 0.8]]]))

    def label() -> None:
        from tests.helpers.spring_engine import POSITIONS, Spring

        oh.reference.label(Spring(), np.array([1, 1]), POSITIONS, output="~/labels.npz", progress=False)

    def sample() -> None:
        from tests.helpers.oscillators import water

        system, topology, positions = water()
        oh.sample(
            system, topology, positions, output="~/run", n_steps=10, interval=5, platform="Reference", progress=False
        )

    return {
        "25 ~ in Frames.save": lambda: home(lambda: frames.save("~/a.npz"), lambda at, _: (at / "a.npz").is_file()),
        "25 ~ in label": lambda: home(label, lambda at, _: (at / "labels.npz").is_file()),
        "25 ~ in sample": lambda: home(sample, lambda at, _: (at / "run" / "settings.json").is_file()),
    }


CASES: dict[str, Callable[[], str]] = {
    **_xyz_cases(),
    **_comment_cases(),
    **_array_cases(),
    **_record_cases(),
    **_geometry_cases(),
    **_argument_cases(),
    **_layout_cases(),
    **_bond_cases(),
    **_reason_cases(),
    **_home_cases(),
}
"""Name → function that tries it."""
