"""Molecules with GAFF parameters as an OpenMM System."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import replacing
from openmm_hybrid.core.units import NM_PER_ANGSTROM, strip
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.gaff.assign_by_index import pin_terms, place
from openmm_hybrid.gaff.solvate import Solvent, add_solvent
from openmm_hybrid.gaff.template import Template, to_xml
from openmm_hybrid.models.system import SystemModel

CONSTRAINTS: dict[str | None, Any] = {None: None, "HBonds": app.HBonds, "AllBonds": app.AllBonds}
"""Names of OpenMM's constraints that `build` takes."""


def constraint_name(constraints: Any) -> str | None:
    """The name in `CONSTRAINTS` of a name or of OpenMM's object of this name.

    Raises
    ------
    InputError
        Others, such as HAngles.
    """
    name = None if constraints is None else str(constraints)
    if name not in CONSTRAINTS:
        raise InputError(f"unknown constraints {name!r}", expected="None, 'HBonds' or 'AllBonds'")
    return name


@dataclass(frozen=True, eq=False)
class GaffSystem:
    """Molecules with GAFF parameters, ready for OpenMM.

    Parameters
    ----------
    system : openmm.System
    topology : openmm.app.Topology
        One residue a molecule, with bonds and with atom names unique in the residue; solvent follows.
    positions : openmm.unit.Quantity, (n_particles, 3), nm
    molecules : tuple of Molecule
        In the order of their atoms in the system; empty after `from_prmtop`.
    charges : (n_atoms,), e
        Of the molecules' atoms, without solvent.
    atom_types : tuple of str, (n_atoms,)
        GAFF types of the same atoms.
    templates : tuple of Template
        Of each molecule; equal molecules share one.
    constraints : str or None
        As given to `build`.
    """

    system: openmm.System = field(repr=False)
    topology: app.Topology
    positions: unit.Quantity = field(repr=False)
    molecules: tuple[Molecule, ...]
    charges: NDArray[np.float64] = field(repr=False)
    atom_types: tuple[str, ...] = field(repr=False)
    templates: tuple[Template, ...] = field(default=(), repr=False)
    constraints: str | None = None

    def model(self) -> SystemModel:
        """The system as an EnergyModel, evaluated on OpenMM's Reference platform in double precision."""
        return SystemModel(self.system, self.topology)

    def to_xml(self) -> str:
        """The text that `to_ffxml` writes."""
        return to_xml(self._own_templates("written as residue templates"))

    def to_ffxml(self, path: str | Path) -> None:
        """Write residue templates for the user's own ``app.ForceField(...)``, beside protein and water files.

        The file is complete in itself: charges, every term by its atoms, types that no other force field has. Files of
        several molecules load together. ForceField recognises a residue by elements and bonds, whatever its name; where
        two templates fit one residue (stereoisomers), name one of `templates` in createSystem's ``residueTemplates``.

        Raises
        ------
        MismatchError
            The system was read from a prmtop and has no templates.
        HybridError
            The file cannot be written.
        """
        text = self.to_xml()
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def solvate(
        self,
        *,
        padding: Any = Solvent.padding,
        water: str = Solvent.water,
        ionic_strength: float = Solvent.ionic_strength,
        neutralize: bool = Solvent.neutralize,
        cutoff: Any = Solvent.cutoff,
        positive_ion: str = Solvent.positive_ion,
        negative_ion: str = Solvent.negative_ion,
    ) -> GaffSystem:
        """The molecules in a periodic box of rigid water, with PME.

        Parameters
        ----------
        padding : float, Å, or Quantity
            Least distance of the molecules to their periodic images; the box is a cube of at least twice this length.
        water : {"tip3p", "tip3pfb", "spce", "opc3", "tip4pew", "tip4pfb", "opc"}
            The model and the ions of OpenMM's amber14 files.
        ionic_strength : float
            mol/L, beside the ions that neutralise.
        neutralize : bool
            Add ions until the box is neutral.
        cutoff : float, Å, or Quantity
            Of Lennard-Jones and of the direct part of PME.
        positive_ion, negative_ion : str
            As `openmm.app.Modeller.addSolvent` takes them.

        Raises
        ------
        InputError
            Unknown water, a cutoff above half of the box, a negative length or strength.
        MismatchError
            The system was read from a prmtop, or holds solvent already.
        """
        templates = self._own_templates("solvated")
        if self.topology.getPeriodicBoxVectors() is not None:
            raise MismatchError(
                "the system is periodic already", expected="the molecules alone, as gaff.build gives them"
            )
        solvent = Solvent(
            water=water,
            padding=float(strip(padding, "length")),
            cutoff=float(strip(cutoff, "length")),
            ionic_strength=ionic_strength,
            neutralize=neutralize,
            positive_ion=positive_ion,
            negative_ion=negative_ion,
        )
        system, topology, positions = add_solvent(
            solvent,
            to_xml(templates),
            self.topology,
            self.positions,
            [template.name for template in templates],
            CONSTRAINTS[self.constraints],
        )
        pin_terms(system, place(templates))
        return replace(self, system=system, topology=topology, positions=positions)

    def _own_templates(self, purpose: str) -> tuple[Template, ...]:
        if not self.templates:
            raise MismatchError(
                f"a system read from a prmtop cannot be {purpose}",
                hint="build it from a Molecule with gaff.build, or prepare it in AmberTools",
            )
        return self.templates


def assemble(
    templates: Sequence[Template], positions: NDArray[np.float64], constraints: str | None = None
) -> GaffSystem:
    """The molecules of these templates in vacuum and without a cutoff, at `positions` (n_atoms, 3) in Å."""
    topology = make_topology(templates)
    return GaffSystem(
        system=_vacuum_system(topology, templates, constraints),
        topology=topology,
        positions=positions * NM_PER_ANGSTROM * unit.nanometer,
        molecules=tuple(template.molecule for template in templates),
        charges=np.concatenate([template.charges for template in templates]),
        atom_types=tuple(kind for template in templates for kind in template.types),
        templates=tuple(templates),
        constraints=constraints,
    )


def make_topology(templates: Sequence[Template]) -> app.Topology:
    """One chain and one residue a molecule; equal templates have equal residue names (MOL, M02, M03, …)."""
    topology = app.Topology()
    names: dict[str, str] = {}
    for number, template in enumerate(templates, 1):
        name = names.setdefault(template.name, f"M{len(names) + 1:02d}" if names else "MOL")
        residue = topology.addResidue(name, topology.addChain(), id=str(number))
        atoms = [
            topology.addAtom(atom_name, app.Element.getBySymbol(symbol), residue)
            for atom_name, symbol in zip(template.atom_names, template.molecule.elements, strict=True)
        ]
        for i, j in template.molecule.bonds:
            topology.addBond(atoms[i], atoms[j])
    return topology


def _vacuum_system(topology: app.Topology, templates: Sequence[Template], constraints: str | None) -> openmm.System:
    """The System of these molecules alone, without a cutoff."""
    forcefield = app.ForceField(io.StringIO(to_xml(templates)))
    chosen = {residue: template.name for residue, template in zip(topology.residues(), templates, strict=True)}
    system = forcefield.createSystem(
        topology, nonbondedMethod=app.NoCutoff, constraints=CONSTRAINTS[constraints], residueTemplates=chosen
    )
    pin_terms(system, place(templates))
    return system
