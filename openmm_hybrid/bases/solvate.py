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
) -> tuple[openmm.System, app.Topology, unit.Quantity]:
    """System (PME, rigid water), topology and positions of the molecules in the centre of a cubic box of solvent.

    The molecules come first and keep their atom order. `template_names` has one name for each residue of `topology`.
    """
    forcefield = app.ForceField(io.StringIO(templates_xml), f"amber14/{solvent.water}.xml")
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
        modeller.addExtraParticles(forcefield)
    system = forcefield.createSystem(
        modeller.topology,
        nonbondedMethod=app.PME,
        nonbondedCutoff=solvent.cutoff * NM_PER_ANGSTROM * unit.nanometer,
        constraints=constraints,
        rigidWater=True,
        residueTemplates=dict(zip(modeller.topology.residues(), template_names, strict=False)),
    )
    plain = np.array(modeller.positions.value_in_unit(unit.nanometer))
    box = np.diag(np.array(modeller.topology.getPeriodicBoxVectors().value_in_unit(unit.nanometer)))
    centre = plain[: topology.getNumAtoms()].mean(axis=0)
    return system, modeller.topology, (plain - centre + box / 2.0) * unit.nanometer
