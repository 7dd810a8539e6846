"""Files of geometries as other programs write them, with small numbers that a reader can check by eye."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

WATER = "O 0.0 0.0 0.12\nH 0.0 0.76 -0.48\nH 0.0 -0.76 -0.48\n"

CREST = f"3\n        -5.07054442\n{WATER}3\n        -5.06817842\n{WATER}"
"""crest_conformers.xyz: the energy in hartree alone; the second conformer is 0.002366 hartree above the first."""

XTB = (
    f"3\n energy: -5.070544440612 gnorm: 0.000057127054 xtb: 6.5.1 (fab4e1b)\n{WATER}"
    f"3\n energy: -5.068178440612 gnorm: 0.000157127054 xtb: 6.5.1 (fab4e1b)\n{WATER}"
)
"""xtbopt.log, with the same difference."""

ORCA = (
    f"3\nCoordinates from ORCA-job water E -76.323456789012\n{WATER}"
    f"3\nCoordinates from ORCA-job water E -76.321090789012\n{WATER}"
)
"""A trajectory of ORCA, with the same difference."""

OPEN_BABEL = f"3\nwater   Energy:      -5.0705444\n{WATER}"

MACE = (
    '2\nProperties=species:S:1:pos:R:3:REF_forces:R:3 REF_energy=-10.0 config_type=Default pbc="F F F"\n'
    "H 0 0 0 0 0 1.5\nF 0 0 0.92 0 0 -1.5\n"
)
"""The keys that MACE's instructions ask for."""

DFT = MACE.replace("REF_", "dft_")
"""The keys of the GAP and NequIP data sets."""

GRADIENT = MACE.replace("REF_forces", "gradient").replace("REF_energy", "energy")

QM9 = (
    "5\ngdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749\t-40.47893\t"
    "-40.476062\t-40.475117\t-40.498597\t6.469\t\n"
    "C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689\n"
    "H\t 0.002150416\t-0.0060313176\t 0.0019761204\t 0.133921\n"
    "H\t 1.0117308433\t 1.4637511618\t 2.7657*^-4\t 0.133922\n"
    "H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923\n"
    "H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 0.133923\n"
    "1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078\nC\tC\t\n"
    "InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4\n"
)
"""dsgdb9nsd_000001.xyz: methane. U0 is −40.47893, the zero-point energy 0.044749 hartree."""


def spice(path: Path, groups: int = 1, *, units: bool = True) -> Path:
    """An HDF5 file in SPICE's layout: a group for each molecule, in bohr, hartree and hartree/bohr."""
    with h5py.File(path, "w") as file:
        for index in range(groups):
            node = file.create_group(f"molecule-{index}")
            node["smiles"] = np.array([b"[H:1][F:2]"], dtype=object)
            node["atomic_numbers"] = np.array([1, 9], dtype=np.int16)
            node["conformations"] = np.array([[[0, 0, 0], [0, 0, 1.7]], [[0, 0, 0], [0, 0, 1.8]]], dtype=np.float32)
            node["dft_total_energy"] = np.array([-100.0, -100.5])
            node["formation_energy"] = np.array([-0.2, -0.7])
            node["dft_total_gradient"] = np.array([[[0, 0, 0.5], [0, 0, -0.5]], [[0, 0, -0.25], [0, 0, 0.25]]])
            node["mayer_indices"] = np.zeros((2, 2, 2))
            for key, unit in (
                ("conformations", "bohr"),
                ("dft_total_energy", "hartree"),
                ("dft_total_gradient", "hartree/bohr"),
            ):
                if units:
                    node[key].attrs["units"] = unit
    return path
