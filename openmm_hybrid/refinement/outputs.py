"""Files of a refinement for OpenMM: the molecule in vacuum and in water, and its residue template."""

from __future__ import annotations

from pathlib import Path

import openmm
from openmm import app

from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.refinement.refined import RESIDUES, SOLVATED, SYSTEM
from openmm_hybrid.systems import system_files
from openmm_hybrid.systems.replace import replace
from openmm_hybrid.systems.system_files import save_system


def with_forcefield(system: openmm.System, topology: app.Topology, forcefield: ForceField) -> openmm.System:
    """A copy of a System, whose first particles get the force field."""
    copied = openmm.XmlSerializer.clone(system)
    replace(copied, topology, forcefield, atoms=range(forcefield.n_atoms))
    return copied


def write_systems(folder: Path, built: BuiltSystem, forcefield: ForceField, padding: float | None) -> None:
    """Write system/, refined.xml and, with a padding, solvated/.

    Without a padding we remove the files of an earlier solvated/, whose force field may be another one.

    Parameters
    ----------
    folder : Path
    built : BuiltSystem
        The molecule with the base force field, in vacuum.
    forcefield : ForceField
    padding : float or None, Å

    Raises
    ------
    HybridError
        A file cannot be written, or the molecule cannot be solvated.
    """
    system = with_forcefield(built.system, built.topology, forcefield)
    save_system(folder / SYSTEM, system, built.topology, built.positions)
    built.to_ffxml(folder / RESIDUES)
    if padding is None:
        for name in (system_files.MANIFEST, system_files.SYSTEM, system_files.TOPOLOGY, system_files.POSITIONS):
            (folder / SOLVATED / name).unlink(missing_ok=True)
        return
    box = built.solvate(padding=padding)
    save_system(folder / SOLVATED, with_forcefield(box.system, box.topology, forcefield), box.topology, box.positions)
