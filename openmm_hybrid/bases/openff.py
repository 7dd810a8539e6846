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

_FILE = re.compile(r"openff_unconstrained-(\d.*)\.offxml")
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
        known = _installed()
        if not known:
            raise needs_openff(f"the base force field openff-{version}")
        if version not in known:
            raise InputError(f"unknown OpenFF force field {version!r}", expected=f"one of {', '.join(self.versions())}")
        self.version = version

    @classmethod
    def versions(cls) -> tuple[str, ...]:
        """See `Base.versions`: the releases, the newest first. Installed pre-releases can be made by name too."""
        releases = [version for version in _installed() if re.fullmatch(r"[\d.]+", version)]
        return tuple(sorted(releases, key=lambda version: tuple(map(int, version.split("."))), reverse=True))

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


def _installed() -> set[str]:
    """Versions of the installed files ``openff-*.offxml`` that also exist without constraints."""
    found = set()
    for point in entry_points(group="openforcefield.smirnoff_forcefield_directory"):
        try:
            folders = point.load()()
        except ImportError:
            continue
        for folder in map(Path, folders):
            names = {path.name for path in folder.glob("openff*.offxml")}
            for match in filter(None, map(_FILE.fullmatch, names)):
                if f"openff-{match[1]}.offxml" in names:
                    found.add(match[1])
    return found


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
            f"{molecule.name}: openff-{version} has no parameters for {_missing(molecule, str(error))}",
            hint="try another version, or GAFF",
        ) from error
    identifiers = {parameter.smirks: parameter.id for parameter in forcefield["vdW"].parameters}
    keys = interchange["vdW"].key_map
    found = {key.atom_indices[0]: identifiers[potential.id] for key, potential in keys.items()}
    return system, tuple(found[i] for i in range(molecule.n_atoms)), _coulomb14(forcefield, version)


def _missing(molecule: Molecule, message: str) -> str:
    """The first term without parameters in a message of OpenFF's, or the message's first line."""
    handler = re.match(r"(\w+)Handler ", message.strip())
    indices = re.search(r"Topology indices \(([\d, ]+)\)", message)
    if not (handler and indices):
        return f"a term ({message.strip().splitlines()[0]})"
    atoms = [int(word) for word in re.findall(r"\d+", indices[1])]
    elements = "-".join(molecule.elements[atom] for atom in atoms)
    return f"the {handler[1].lower()} {elements} of atoms {'-'.join(map(str, atoms))}"


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
