"""OpenFF's force fields (Sage, Parsley) as base force fields: parameters by SMIRNOFF, through OpenFF's own toolkit."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, final

import numpy as np
import openmm

from openmm_hybrid.bases.base import Base
from openmm_hybrid.bases.template import SCEE, SCNB, Template, atom_names
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.ffxml import HarmonicTerm, TorsionTerm
from openmm_hybrid.core.openff import needs_openff, openff_toolkit
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.openmm_forces import terms_of

_FILE = re.compile(r"openff_unconstrained-(\d+\.\d+\.\d+)(.*)\.offxml")
_UNIT = 0.5  # e; nonzero charges spare a calculation of charges


@final
class OpenFF(Base):
    """An OpenFF force field of the installed ``openff-*.offxml`` files, such as Sage 2.3.0.

    S. Boothroyd et al., J. Chem. Theory Comput. 19, 3251 (2023). Interchange assigns the parameters. Hydrogen bonds
    are flexible, as in the files ``openff_unconstrained-*.offxml``, unless `build` is called with constraints.

    Parameters
    ----------
    version : str
        Version of the force field, such as "2.3.0".

    Raises
    ------
    InputError
        Unknown version.
    MissingDependencyError
        openff-toolkit is not installed.
    """

    family = "openff"

    def __init__(self, version: str) -> None:
        known = self.versions()
        if not known:
            raise needs_openff(f"the base force field openff-{version}")
        if version not in known:
            raise InputError(f"unknown OpenFF force field {version!r}", expected=f"one of {', '.join(known)}")
        self.version = version

    @classmethod
    def versions(cls) -> tuple[str, ...]:
        """See `Base.versions`: releases first, the newest at the front."""
        found = {}
        for folder in _folders():
            for path in folder.glob("openff_unconstrained-*.offxml"):
                match = _FILE.fullmatch(path.name)
                if match and (folder / path.name.replace("_unconstrained", "")).is_file():
                    number = tuple(map(int, match[1].split(".")))
                    found[match[1] + match[2]] = (not match[2], number, match[2])
        return tuple(sorted(found, key=lambda version: found[version], reverse=True))

    def check(self, molecule: Molecule) -> None:
        """See `Base.check`: single atoms are refused; `template` finds everything else that lacks parameters."""
        if molecule.n_atoms < 2:
            raise InputError(f"{molecule.name} is a single atom", hint="use the ions of OpenMM's own force-field files")

    def template(self, molecule: Molecule) -> Template:
        """See `Base.template`."""
        system, types, coulomb14 = _parametrized(molecule, self.version)
        forces = {type(force): force for force in system.getForces()}
        particles = [forces[openmm.NonbondedForce].getParticleParameters(i) for i in range(system.getNumParticles())]
        torsions = (
            [
                TorsionTerm(atoms, n, phase, k)
                for atoms, (n, phase, k) in terms_of(forces[openmm.PeriodicTorsionForce])
                if k
            ]
            if openmm.PeriodicTorsionForce in forces
            else []
        )
        propers = tuple(term for term in torsions if _is_chain(molecule, term.atoms))
        return Template(
            name=self.name,
            molecule=molecule,
            atom_names=atom_names(molecule),
            types=types,
            charges=np.zeros(molecule.n_atoms),
            masses=np.array([system.getParticleMass(i)._value for i in range(molecule.n_atoms)]),
            sigmas=np.array([sigma._value for _, sigma, _ in particles]),
            epsilons=np.array([epsilon._value for _, _, epsilon in particles]),
            bonds=tuple(_harmonic(forces.get(openmm.HarmonicBondForce))),
            angles=tuple(_harmonic(forces.get(openmm.HarmonicAngleForce))),
            propers=propers,
            impropers=tuple(term for term in torsions if term not in propers),
            coulomb14=coulomb14,
        )


def _folders() -> Iterator[Path]:
    """The folders in which OpenFF's toolkit looks for offxml files."""
    for point in entry_points(group="openforcefield.smirnoff_forcefield_directory"):
        try:
            yield from map(Path, point.load()())
        except ImportError:
            continue


def _parametrized(molecule: Molecule, version: str) -> tuple[openmm.System, tuple[str, ...], float]:
    """The System that Interchange makes, identifiers of the Lennard-Jones parameters, and the scale of 1-4 charges."""
    toolkit = openff_toolkit(f"the base force field openff-{version}")
    try:
        from openff.interchange import Interchange
        from openff.interchange.exceptions import InterchangeException
        from openff.interchange.warnings import ForceFieldModificationWarning
        from openff.toolkit.utils.exceptions import OpenFFToolkitException
    except ImportError as error:
        raise needs_openff(f"the base force field openff-{version}", error) from error
    charges = np.zeros(molecule.n_atoms)
    charges[0], charges[-1] = molecule.charge + _UNIT, -_UNIT
    openff = molecule.to_openff(charges)
    forcefield = toolkit.ForceField(f"openff_unconstrained-{version}.offxml")
    try:
        with warnings.catch_warnings():
            # Interchange looks at every object in memory, and torch's deprecated ones warn.
            warnings.filterwarnings("ignore", message=r".*reduce_op. is deprecated", category=FutureWarning)
            warnings.simplefilter("ignore", ForceFieldModificationWarning)  # of sections in an earlier format
            interchange = Interchange.from_smirnoff(forcefield, [openff], charge_from_molecules=[openff])
        system = interchange.to_openmm_system(combine_nonbonded_forces=True)
    except (InterchangeException, OpenFFToolkitException) as error:
        raise InputError(
            f"{molecule.name}: openff-{version} has no parameters ({str(error).strip().splitlines()[0]})",
            hint="try another version, or GAFF",
        ) from error
    identifiers = {parameter.smirks: parameter.id for parameter in forcefield["vdW"].parameters}
    keys = interchange["vdW"].key_map
    found = {key.atom_indices[0]: identifiers[potential.id] for key, potential in keys.items()}
    return system, tuple(found[i] for i in range(molecule.n_atoms)), _coulomb14(forcefield, version)


def _coulomb14(forcefield: Any, version: str) -> float:
    """The scale of Coulomb interactions between atoms three bonds apart, which OpenFF rounds to six or ten digits.

    Raises
    ------
    InputError
        The scales are not those of AMBER.
    """
    coulomb, lennard_jones = float(forcefield["Electrostatics"].scale14), float(forcefield["vdW"].scale14)
    if not np.allclose((coulomb, lennard_jones), (1.0 / SCEE, 1.0 / SCNB), rtol=1e-6, atol=0.0):
        raise InputError(
            f"openff-{version} scales 1-4 interactions by {coulomb} and {lennard_jones}",
            expected=f"{1 / SCEE:.10f} and {1 / SCNB}",
        )
    return coulomb


def _is_chain(molecule: Molecule, atoms: tuple[int, ...]) -> bool:
    """Whether four atoms follow each other along bonds."""
    return all(atoms[k + 1] in molecule.neighbours[atoms[k]] for k in range(3))


def _harmonic(force: openmm.Force | None) -> Iterator[HarmonicTerm]:
    if force is not None:
        for atoms, (equilibrium, k) in terms_of(force):
            yield HarmonicTerm(atoms, equilibrium, k)
