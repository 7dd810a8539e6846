"""A System with its topology and positions as a folder of files, as the command line hands them on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_hybrid.errors import InputError, MismatchError
from openmm_hybrid.files import replacing
from openmm_hybrid.simulation.xml import read_xml
from openmm_hybrid.units import positions_to_angstrom

SYSTEM, TOPOLOGY = "system.xml", "topology.pdb"


def save_system(folder: str | Path, system: openmm.System, topology: app.Topology, positions: Any) -> Path:
    """Write ``system.xml`` (OpenMM's XML) and ``topology.pdb`` (with positions and bonds). Returns the folder.

    Parameters
    ----------
    folder : path
        Made where it is missing.
    system, topology
        Of the same particles.
    positions : (n_atoms, 3), Å, or a Quantity

    Raises
    ------
    HybridError
        A file cannot be written.
    """
    folder = Path(folder)
    with replacing(folder / TOPOLOGY) as temporary, temporary.open("w") as file:
        app.PDBFile.writeFile(topology, positions_to_angstrom(positions) * unit.angstrom, file, keepIds=True)
    with replacing(folder / SYSTEM) as temporary:
        temporary.write_text(openmm.XmlSerializer.serialize(system))
    return folder


def load_system(folder: str | Path) -> tuple[openmm.System, app.Topology, NDArray[np.float64]]:
    """The System, topology and positions (n_atoms, 3; Å, to 0.001 Å) that `save_system` wrote.

    Raises
    ------
    InputError
        A file is missing or damaged, or the System holds a PythonForce, which cannot be read safely.
    MissingDependencyError
        The System holds a TorchForce, and the plugin is missing or does not work here.
    MismatchError
        The two files have different numbers of particles.
    """
    path = Path(folder) / SYSTEM
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist", expected="a folder that `openmm-hybrid build` wrote", mend="build it first"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is damaged ({error})", mend="build it again") from None
    system = read_xml(text, path, openmm.System, mend="build it again")
    topology, positions = load_topology(folder)
    if topology.getNumAtoms() != system.getNumParticles():
        raise MismatchError(
            f"the topology in {folder} has {topology.getNumAtoms()} atoms",
            expected=f"the system's {system.getNumParticles()} particles",
            mend="build it again",
        )
    return system, topology, positions


def load_topology(folder: str | Path) -> tuple[app.Topology, NDArray[np.float64]]:
    """Topology and positions (n_atoms, 3), Å, of the ``topology.pdb`` in a folder, also that of a sampling run.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    path = Path(folder) / TOPOLOGY
    if not path.is_file():
        raise InputError(f"{path} does not exist", expected="a folder of `build` or `sample`")
    try:
        pdb = app.PDBFile(str(path))
    except (ValueError, IndexError, KeyError, AssertionError) as error:
        raise InputError(f"{path} is damaged ({error})", mend="build it again") from None
    return pdb.topology, positions_to_angstrom(pdb.getPositions(asNumpy=True))
