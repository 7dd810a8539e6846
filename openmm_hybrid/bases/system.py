"""Molecules with a base force field, as an OpenMM System with topology and positions."""

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

from openmm_hybrid.bases.assign_by_index import assign_terms, lay_out
from openmm_hybrid.bases.solvate import Solvent, add_solvent
from openmm_hybrid.bases.template import Template, to_xml
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import replacing
from openmm_hybrid.core.units import NM_PER_ANGSTROM, strip
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.system import SystemModel

CONSTRAINTS: dict[str | None, Any] = {None: None, "HBonds": app.HBonds, "AllBonds": app.AllBonds}
"""Name → OpenMM's constraints, for those that `build` takes."""

_LIGHTEST = 1.0  # Da; lightest atom of a molecule, about the mass of a hydrogen atom


def constraint_name(constraints: Any) -> str | None:
    """The name of these constraints in `CONSTRAINTS`, from the name itself or from OpenMM's object.

    Raises
    ------
    InputError
        Constraints that `build` does not take, such as HAngles.
    """
    name = None if constraints is None else str(constraints)
    if name not in CONSTRAINTS:
        raise InputError(f"unknown constraints {name!r}", expected="None, 'HBonds' or 'AllBonds'")
    return name


def hydrogen_daltons(mass: Any) -> float | None:
    """A mass of hydrogen atoms in Da from a number in Da, a Quantity, or None.

    Raises
    ------
    InputError
        It is not a number of at least 1 Da.
    """
    if mass is None:
        return None
    try:
        plain = float(strip(mass, "mass"))
    except (TypeError, ValueError):
        plain = 0.0
    if isinstance(mass, bool) or not _LIGHTEST <= plain < np.inf:
        raise InputError(
            f"hydrogen_mass = {mass!r}", expected=f"a mass of {_LIGHTEST:g} Da or more, usually 1.5 to 4 Da"
        )
    return plain


def check_masses(system: openmm.System, topology: app.Topology) -> None:
    """Refuse hydrogens that leave too little mass to the atoms that they are bonded to.

    Raises
    ------
    InputError
        An atom with hydrogens is lighter than 1 Da.
    """
    for bond in topology.bonds():
        for atom in bond:
            mass = system.getParticleMass(atom.index).value_in_unit(unit.dalton)
            if mass < _LIGHTEST and atom.element is not None:
                raise InputError(
                    f"the mass of the hydrogens leaves {mass:.3g} Da to the atom {atom.name} of {atom.residue.name}",
                    expected=f"at least {_LIGHTEST:g} Da",
                    hint="give hydrogen_mass a smaller value",
                )


@dataclass(frozen=True, eq=False)
class BuiltSystem:
    """Molecules with a base force field, ready for OpenMM.

    `positions` is an OpenMM Quantity: ``positions.value_in_unit(openmm.unit.angstrom)`` is a plain array in Å. All
    functions of this package that take positions accept the Quantity.

    Parameters
    ----------
    system : openmm.System
    topology : openmm.app.Topology
        One residue per molecule, with bonds and with atom names unique in the residue; solvent comes last.
    positions : openmm.unit.Quantity, (n_particles, 3)
        Positions of all particles as an OpenMM Quantity (its unit is nm).
    molecules : tuple of Molecule
        The molecules in the order of their atoms in the system; empty after `from_prmtop`.
    charges : (n_atoms,), e
        Partial charges of the molecules' atoms, without solvent.
    atom_types : tuple of str, (n_atoms,)
        Types of the same atoms in the base force field.
    templates : tuple of Template
        One template per molecule; equal molecules share one.
    constraints : str or None
        Constraints as given to `build`.
    hydrogen_mass : float or None, Da
        Mass of the hydrogen atoms as given to `build`.
    """

    system: openmm.System = field(repr=False)
    topology: app.Topology
    positions: unit.Quantity = field(repr=False)
    molecules: tuple[Molecule, ...]
    charges: NDArray[np.float64] = field(repr=False)
    atom_types: tuple[str, ...] = field(repr=False)
    templates: tuple[Template, ...] = field(default=(), repr=False)
    constraints: str | None = None
    hydrogen_mass: float | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Guesses and known faults of the parameters, one sentence each; `build` warns of them."""
        return tuple(dict.fromkeys(note for template in self.templates for note in template.notes))

    def model(self) -> SystemModel:
        """The system as an EnergyModel, evaluated on OpenMM's Reference platform in double precision."""
        return SystemModel(self.system, self.topology)

    def to_xml(self) -> str:
        """OpenMM ForceField XML with one residue template per molecule: the text of the file that `to_ffxml` writes."""
        return to_xml(self._templates_for("written as residue templates"))

    def to_ffxml(self, path: str | Path) -> None:
        """Write the residue templates to a file for ``app.ForceField(...)``, to be loaded with protein and water files.

        The file is self-contained: it holds the charges, every term by its atoms, and atom types that no other force
        field uses. Files of several molecules can be loaded together. ForceField recognises a residue by elements and
        bonds, whatever its name. If two templates fit one residue (stereoisomers), name one of `templates` in the
        ``residueTemplates`` of ``createSystem``.

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
    ) -> BuiltSystem:
        """The molecules in a periodic box of rigid water, with PME.

        They keep their constraints and the mass of their hydrogen atoms. Water has normal masses.

        Parameters
        ----------
        padding : float, Å, or Quantity
            Smallest distance between the molecules and their periodic images; the box is a cube with an edge of at
            least twice this length.
        water : {"tip3p", "tip3pfb", "spce", "opc3", "tip4pew", "tip4pfb", "opc"}
            Water model; it and the ions come from OpenMM's amber14 files.
        ionic_strength : float
            Concentration of added salt in mol/L, in addition to the ions that neutralise the box.
        neutralize : bool
            Add ions until the box is neutral.
        cutoff : float, Å, or Quantity
            Cutoff of Lennard-Jones interactions and of the direct part of PME.
        positive_ion, negative_ion : str
            Names of the ions, as for `openmm.app.Modeller.addSolvent`.

        Returns
        -------
        BuiltSystem
            Its `positions` are an OpenMM Quantity, as here.

        Raises
        ------
        InputError
            Unknown water, a cutoff above half of the box, a negative length or strength.
        MismatchError
            The system was read from a prmtop, or has a periodic box already.
        """
        templates = self._templates_for("solvated")
        if self.topology.getPeriodicBoxVectors() is not None:
            raise MismatchError(
                "the system is periodic already", expected="the molecules alone, as built by openmm_hybrid.build"
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
            self.hydrogen_mass,
        )
        assign_terms(system, lay_out(templates))
        return replace(self, system=system, topology=topology, positions=positions)

    def _templates_for(self, purpose: str) -> tuple[Template, ...]:
        if not self.templates:
            raise MismatchError(
                f"a system read from a prmtop cannot be {purpose}",
                hint="build it from a Molecule with openmm_hybrid.build, or prepare it in AmberTools",
            )
        return self.templates


def assemble(
    templates: Sequence[Template],
    positions: NDArray[np.float64],
    constraints: str | None = None,
    hydrogen_mass: float | None = None,
) -> BuiltSystem:
    """The BuiltSystem of these templates in vacuum and without a cutoff, at `positions` (n_atoms, 3) in Å."""
    topology = make_topology(templates)
    return BuiltSystem(
        system=_vacuum_system(topology, templates, constraints, hydrogen_mass),
        topology=topology,
        positions=positions * NM_PER_ANGSTROM * unit.nanometer,
        molecules=tuple(template.molecule for template in templates),
        charges=np.concatenate([template.charges for template in templates]),
        atom_types=tuple(kind for template in templates for kind in template.types),
        templates=tuple(templates),
        constraints=constraints,
        hydrogen_mass=hydrogen_mass,
    )


def make_topology(templates: Sequence[Template]) -> app.Topology:
    """Topology with one chain and one residue per molecule; equal templates share a residue name (MOL, M02, M03, …)."""
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


def _vacuum_system(
    topology: app.Topology, templates: Sequence[Template], constraints: str | None, hydrogen_mass: float | None
) -> openmm.System:
    """The System of these molecules alone, without a cutoff."""
    forcefield = app.ForceField(io.StringIO(to_xml(templates)))
    chosen = {residue: template.name for residue, template in zip(topology.residues(), templates, strict=True)}
    system = forcefield.createSystem(
        topology,
        nonbondedMethod=app.NoCutoff,
        constraints=CONSTRAINTS[constraints],
        hydrogenMass=hydrogen_mass,
        residueTemplates=chosen,
    )
    check_masses(system, topology)
    assign_terms(system, lay_out(templates))
    return system
