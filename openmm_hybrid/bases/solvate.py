"""Solvation of molecules in water and ions, with OpenMM's Modeller and its amber14 files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import openmm
from openmm import app, unit

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import NM_PER_ANGSTROM

WATERS = {
    "tip3p": "tip3p",
    "tip3pfb": "tip3p",
    "spce": "spce",
    "opc3": "tip3p",
    "tip4pew": "tip4pew",
    "tip4pfb": "tip4pew",
    "opc": "tip4pew",
}
"""Water model (and amber14 file) → equilibrated box of Modeller with the same number of sites."""

_WATER = "HOH"  # name of the residues of Modeller's water, and of their template in the amber14 files

POSITIVE_IONS = ("Na+", "K+", "Li+", "Cs+", "Rb+")
NEGATIVE_IONS = ("Cl-", "Br-", "F-", "I-")


@dataclass(frozen=True)
class Solvent:
    """Settings of a box of solvent, see `BuiltSystem.solvate`. Lengths are in Å, the ionic strength in mol/L."""

    water: str = "tip3p"
    padding: float = 12.0
    cutoff: float = 9.0
    ionic_strength: float = 0.0
    neutralize: bool = True
    positive_ion: str = "Na+"
    negative_ion: str = "Cl-"

    def __post_init__(self) -> None:
        """Refuse settings that OpenMM does not support."""
        for what, value, known in (
            ("water", self.water, tuple(WATERS)),
            ("positive ion", self.positive_ion, POSITIVE_IONS),
            ("negative ion", self.negative_ion, NEGATIVE_IONS),
        ):
            if value not in known:
                raise InputError(f"unknown {what} {value!r}", expected=f"one of {', '.join(known)}")
        if not (self.padding > 0 and self.cutoff > 0 and self.ionic_strength >= 0):
            raise InputError(
                f"padding {self.padding} Å, cutoff {self.cutoff} Å, ionic strength {self.ionic_strength} mol/L",
                expected="positive lengths and an ionic strength of 0 or more",
            )
        if self.cutoff >= self.padding:
            raise InputError(
                f"a cutoff of {self.cutoff} Å with a padding of {self.padding} Å",
                expected="a cutoff below the padding, since the box may be only twice as long as the padding",
                hint="raise the padding or lower the cutoff",
            )


def add_solvent(
    solvent: Solvent,
    templates_xml: str,
    topology: app.Topology,
    positions: unit.Quantity,
    template_names: Sequence[str],
    constraints: Any,
    hydrogen_mass: float | None,
) -> tuple[openmm.System, app.Topology, unit.Quantity]:
    """System (PME, rigid water), topology and positions of the molecules in the centre of a cubic box of solvent.

    The molecules come first and keep their atom order. `template_names` has one name for each residue of `topology`.
    `hydrogen_mass` (Da) is for the molecules only.
    """
    forcefield = app.ForceField(io.StringIO(templates_xml), f"amber14/{solvent.water}.xml")
    forcefield.registerTemplateMatcher(_water_template)
    modeller = app.Modeller(topology, positions)
    modeller.addSolvent(
        forcefield,
        model=WATERS[solvent.water],
        padding=solvent.padding * NM_PER_ANGSTROM * unit.nanometer,
        ionicStrength=solvent.ionic_strength * unit.molar,
        neutralize=solvent.neutralize,
        positiveIon=solvent.positive_ion,
        negativeIon=solvent.negative_ion,
        residueTemplates=dict(zip(topology.residues(), template_names, strict=True)),
    )
    if WATERS[solvent.water] == "tip4pew":
        modeller.addExtraParticles(forcefield, residueTemplates=_named(modeller.topology, template_names))
    system = forcefield.createSystem(
        modeller.topology,
        nonbondedMethod=app.PME,
        nonbondedCutoff=solvent.cutoff * NM_PER_ANGSTROM * unit.nanometer,
        constraints=constraints,
        hydrogenMass=hydrogen_mass,
        rigidWater=True,
        residueTemplates=_named(modeller.topology, template_names),
    )
    plain = np.array(modeller.positions.value_in_unit(unit.nanometer))
    box = np.diag(np.array(modeller.topology.getPeriodicBoxVectors().value_in_unit(unit.nanometer)))
    centre = plain[: topology.getNumAtoms()].mean(axis=0)
    return system, modeller.topology, (plain - centre + box / 2.0) * unit.nanometer


def _named(topology: app.Topology, template_names: Sequence[str]) -> dict[Any, str]:
    """Template name of each molecule's residue; the molecules come first."""
    return dict(zip(topology.residues(), template_names, strict=False))


def _water_template(
    forcefield: app.ForceField, residue: Any, bonded: Any, ignore_external_bonds: bool, ignore_extra_particles: bool
) -> Any:
    """Template of the water model for water that Modeller adds; None for any other residue.

    A molecule to be solvated may be water itself. Its template then fits the solvent's residues as well, and OpenMM
    refuses to choose.
    """
    if residue.name != _WATER:
        return None
    template = forcefield._templates[_WATER]
    elements = [atom.element for atom in residue.atoms()]
    present = [element for element in elements if element is not None]
    expected = sum(atom.element is not None for atom in template.atoms)
    fits = len(present) == expected if ignore_extra_particles else len(elements) == len(template.atoms)
    return template if fits else None
