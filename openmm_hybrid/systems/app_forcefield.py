"""Registration of a force field of one molecule with `openmm.app.ForceField`, which then applies it to topologies."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.bases.template import SCEE, SCNB
from openmm_hybrid.core import ffxml
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.core.units import KJ_PER_KCAL, NM_PER_ANGSTROM
from openmm_hybrid.data.identity import Identity
from openmm_hybrid.forcefield.equivalent_atoms import atoms_told_apart
from openmm_hybrid.forcefield.inner_pairs import pairs_by_bonds
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.systems.nonbonded_changes import first_difference, particles_of
from openmm_hybrid.systems.nonbonded_terms import SCALE_TOLERANCE, read_nonbonded
from openmm_hybrid.systems.replace import replace

_ANY_LENGTH = 0.1  # nm; length of constraints until `replace` sets it


def register(
    app_forcefield: app.ForceField,
    forcefield: ForceField,
    *,
    built: BuiltSystem | None = None,
    backend: str = "auto",
    force_group: int = 0,
    dtype: str = "float64",
    fitted_nonbonded_outside: bool = False,
    temperature: Any = 300.0,
) -> str:
    """Register a molecule's force field with an `openmm.app.ForceField`, such as one of protein and water.

    Afterwards ``app_forcefield.createSystem(topology, …)`` gives every residue with the elements and bonds of the
    molecule all terms of the force field, as `replace` would. All options of ``createSystem`` keep their meaning,
    except that angles in the molecule cannot be constrained (HAngles). The molecule is one residue of the topology,
    without bonds to others. Its name and the order of its atoms do not matter: an order other than that of the force
    field is found by the bonds, which do not tell equivalent atoms apart.

    The charges and Lennard-Jones parameters that act on protein, water and periodic images are those of the base force
    field: the `outer` ones of a force field with inner pairs, and those of `built` for other force fields.

    Parameters
    ----------
    app_forcefield : openmm.app.ForceField
        It gets a residue template and a generator. Files loaded later must not have a template of the same molecule.
    forcefield : ForceField
        Force field of one molecule.
    built : BuiltSystem, optional
        The molecule alone with its base force field. Needed for a force field without outer parameters, whose charges
        and Lennard-Jones parameters must be equal to those in it.
    backend, force_group, dtype, temperature
        See `replace`.
    fitted_nonbonded_outside : bool
        Let charges and Lennard-Jones parameters of a force field without outer parameters, as fitted ones, act on
        other molecules and periodic images. A fit to forces inside one molecule does not determine these interactions.

    Returns
    -------
    str
        Name of the residue template, for the ``residueTemplates`` of ``createSystem``.

    Raises
    ------
    InputError
        The arguments are of other types, or backend, dtype, force group or temperature have no valid value.
    MismatchError
        The molecule is registered already, or a template of `app_forcefield` has the same elements and bonds; the 1-4
        scales differ; charges or Lennard-Jones parameters for the surroundings are unknown or differ from those of
        `built`; the force field cannot be placed in a System (see `replace`). Nothing is registered then.
        ``createSystem`` raises it for constrained angles and for what `replace` refuses.
    NumericalError, MissingDependencyError
        See `replace`.

    Warns
    -----
    UserWarning
        From ``createSystem``: a residue has another order of atoms, and the force field tells equivalent atoms apart,
        as the improper dihedrals of AMBER do in rings.
    """
    if not isinstance(app_forcefield, app.ForceField):
        raise InputError(
            f"a {type(app_forcefield).__name__} was given as first argument",
            expected="an openmm.app.ForceField, to which the molecule is added",
        )
    if not isinstance(forcefield, ForceField):
        raise InputError(
            f"a {type(forcefield).__name__} was given as force field",
            expected="a ForceField",
            hint="add other models to the System with oh.attach",
        )
    _refuse_known(app_forcefield, forcefield)
    scales = _scales(app_forcefield, forcefield)
    outside = _outside(forcefield, built, fitted_nonbonded_outside)
    template = _template(forcefield, outside)
    generator = _Generator(
        forcefield=forcefield,
        name=template.name,
        types=frozenset(template.type_names),
        outside=outside,
        backend=backend,
        force_group=force_group,
        dtype=dtype,
        fitted_nonbonded_outside=fitted_nonbonded_outside,
        temperature=temperature,
    )
    text = ffxml.to_xml([template], *scales)
    # A System of the molecule alone shows the errors of `replace` before `app_forcefield` is changed.
    trial = app.ForceField(io.StringIO(text))
    trial.registerGenerator(generator)
    trial.createSystem(_topology(template))
    app_forcefield.loadFile(io.StringIO(text))
    app_forcefield.registerGenerator(generator)
    return template.name


@final
@dataclass(frozen=True, eq=False)
class _Generator:
    """Adds the terms of a registered molecule to the Systems of an `openmm.app.ForceField`, which calls its methods.

    Parameters
    ----------
    forcefield : ForceField
    name : str
        Name of the residue template.
    types : frozenset of str
        Atom types of the residue template, which no other template has.
    outside : (n_atoms, 3)
        Charges, σ and ε for the surroundings in OpenMM's units.
    backend, force_group, dtype, fitted_nonbonded_outside, temperature
        Arguments of `replace`.
    """

    forcefield: ForceField
    name: str
    types: frozenset[str]
    outside: NDArray[np.float64]
    backend: str
    force_group: int
    dtype: str
    fitted_nonbonded_outside: bool
    temperature: Any

    def createForce(
        self, system: openmm.System, data: Any, nonbonded_method: Any, nonbonded_cutoff: Any, args: Any
    ) -> None:
        """Assign charges and Lennard-Jones parameters by index, before OpenMM makes the exceptions.

        OpenMM may have exchanged equivalent atoms with different charges.
        """
        forces = [force for force in system.getForces() if isinstance(force, openmm.NonbondedForce)]
        for atoms in self._copies(data):
            for atom, row in zip(atoms.tolist(), self.outside.tolist(), strict=True):
                for force in forces:
                    force.setParticleParameters(atom, *row)

    def postprocessSystem(self, system: openmm.System, data: Any, args: Any) -> None:
        """Add all terms of the force field.

        Raises
        ------
        MismatchError
            An angle of the molecule is constrained.
        HybridError
            The errors of `replace`.
        """
        copies = self._copies(data)
        if not copies:
            return
        atoms = np.array(copies)
        members = set(atoms.ravel().tolist())
        for angle, constrained in zip(data.angles, data.isAngleConstrained, strict=True):
            if constrained and members.issuperset(angle):
                raise MismatchError(
                    f"the angle {'-'.join(map(str, angle))} of {self.forcefield.name} is constrained",
                    expected="constraints of bonds at most: constraints=None, HBonds or AllBonds",
                )
        replace(
            system,
            data.atoms[0].residue.chain.topology,
            self.forcefield,
            atoms=atoms,
            backend=self.backend,
            force_group=self.force_group,
            dtype=self.dtype,
            fitted_nonbonded_outside=self.fitted_nonbonded_outside,
            temperature=self.temperature,
        )

    def _copies(self, data: Any) -> list[NDArray[np.int64]]:
        """Particles of each residue of the molecule, in the order of the force field."""
        residues = {
            atom.residue: list(atom.residue.atoms()) for atom in data.atoms if data.atomType[atom] in self.types
        }
        expected = _identity(self.forcefield)
        copies = []
        for residue, atoms in residues.items():
            local = {atom: index for index, atom in enumerate(atoms)}
            bonds = [(local[first], local[second]) for first, second in residue.internal_bonds()]
            found = Identity.of(f"the residue {residue.name} {residue.id}", _atomic_numbers(atoms), bonds)
            order = expected.order_in(found)
            if (order != np.arange(len(order))).any() and self._told_apart:
                self._warn_of_equivalent_atoms(found.what)
            copies.append(np.array([atom.index for atom in atoms])[order])
        return copies

    @cached_property
    def _told_apart(self) -> tuple[int, ...]:
        return atoms_told_apart(self.forcefield)

    def _warn_of_equivalent_atoms(self, what: str) -> None:
        warnings.warn(
            f"{what} has another order of atoms than {self.forcefield.name!r}. The order is found by elements and "
            f"bonds, but the force field tells atoms apart that are equal there: {_some(self._told_apart)}. Energies "
            "of distorted geometries may differ from those in the order of the force field, which avoids this",
            stacklevel=4,
        )


def _some(atoms: tuple[int, ...], most: int = 6) -> str:
    return ", ".join(map(str, atoms[:most])) + (", …" if len(atoms) > most else "")


def _identity(forcefield: ForceField) -> Identity:
    return Identity.of("the force field", forcefield.atomic_numbers, forcefield.bonds.tolist())


def _atomic_numbers(atoms: Iterable[Any]) -> list[int]:
    """Atomic numbers of atoms of a topology or template; 0 for virtual sites."""
    return [atom.element.atomic_number if atom.element else 0 for atom in atoms]


def _refuse_known(app_forcefield: app.ForceField, forcefield: ForceField) -> None:
    """Refuse a molecule that a template of OpenMM's force field fits: there would be two for one residue."""
    registered = {generator.name for generator in app_forcefield.getGenerators() if isinstance(generator, _Generator)}
    expected = _identity(forcefield)
    for template in app_forcefield._templates.values():
        found = Identity.of("the template", _atomic_numbers(template.atoms), template.bonds)
        if template.externalBonds or not expected.isomorphic(found):
            continue
        if template.name in registered:
            raise MismatchError(
                f"the molecule {forcefield.name!r} is registered already, or another one with the same elements and "
                "bonds",
                expected="each molecule once: OpenMM knows the elements and bonds of a residue alone",
                hint="make a new app.ForceField for another force field, or for another stereoisomer",
            )
        raise MismatchError(
            f"the residue template {template.name!r} has the same elements and bonds as {forcefield.name!r}",
            expected="a ForceField without a template of the molecule",
            hint="omit the file with this template; if you want its parameters, do not register the molecule",
        )


def _scales(app_forcefield: app.ForceField, forcefield: ForceField) -> tuple[float, float]:
    """The 1-4 scales of Coulomb and Lennard-Jones interactions, which must be the same in all files."""
    scales = [1.0 / SCEE, 1.0 / SCNB]
    own = None if forcefield.outer is not None else read_nonbonded(forcefield)
    if own is not None:
        _, near = pairs_by_bonds(forcefield.bonds)
        for column, strength in enumerate((own.charge, own.epsilon)):
            for i, j in sorted(near):
                if (i, j) in own.scales and abs(strength[i] * strength[j]) > 0.0:  # others have no known scale
                    scales[column] = own.scales[i, j][column]
    for generator in app_forcefield.getGenerators():
        if isinstance(generator, app.forcefield.NonbondedGenerator):
            theirs = (generator.coulomb14scale, generator.lj14scale)
            if not np.allclose(scales, theirs, rtol=0.0, atol=SCALE_TOLERANCE):
                raise MismatchError(
                    f"the 1-4 scales are {scales[0]:.4g} (Coulomb) and {scales[1]:.4g} (Lennard-Jones) for "
                    f"{forcefield.name!r}, and {theirs[0]:.4g} and {theirs[1]:.4g} in the openmm.app.ForceField",
                    expected="files of one family, such as amber14-all.xml and amber14/tip3p.xml with GAFF or OpenFF",
                )
            return theirs
    return scales[0], scales[1]


def _outside(forcefield: ForceField, built: BuiltSystem | None, fitted: bool) -> NDArray[np.float64]:
    """Charges, σ and ε (n_atoms, 3) for the surroundings, in OpenMM's units.

    Raises
    ------
    MismatchError
        They are not known, or differ from those of `built`.
    """
    wanted = np.full((forcefield.n_atoms, 3), np.nan)
    outer, own = forcefield.outer, read_nonbonded(forcefield)
    if outer is not None:
        wanted = np.column_stack([outer.charges, outer.sigmas * NM_PER_ANGSTROM, outer.epsilons * KJ_PER_KCAL])
    elif own is not None:
        wanted = np.column_stack([own.charge, own.sigma, own.epsilon])
    if built is None:
        if np.isnan(wanted).any() or (outer is None and not fitted):
            raise MismatchError(
                f"the force field {forcefield.name!r} has no outer parameters: its charges and Lennard-Jones "
                "parameters may be fitted, or absent",
                expected="the charges and Lennard-Jones parameters of the base force field for the surroundings: a fit "
                "to forces inside one molecule says nothing about them",
                hint="fit with inner pairs, forcefield.edit(pairs='inner'); or pass built=oh.build(molecule, …), or "
                "fitted_nonbonded_outside=True for fitted ones",
            )
        return wanted
    found = _parameters_of(built, forcefield)
    difference = first_difference(wanted, found)
    if difference is not None and (outer is not None or not fitted):
        raise MismatchError(
            f"atom {difference[0]} {difference[1]} given as `built`",
            expected="the charges and Lennard-Jones parameters of the base force field towards the surroundings",
            hint="fit with inner pairs, forcefield.edit(pairs='inner'), and build with the charges of the fit",
        )
    return np.where(np.isnan(wanted), found, wanted)


def _parameters_of(built: BuiltSystem, forcefield: ForceField) -> NDArray[np.float64]:
    """Charges, σ and ε (n_atoms, 3) of a molecule with its base force field, in the order of the force field."""
    if not isinstance(built, BuiltSystem):
        raise InputError(f"a {type(built).__name__} was given as `built`", expected="the BuiltSystem of oh.build")
    bonds = [(first.index, second.index) for first, second in built.topology.bonds()]
    found = Identity.of("the built molecule", _atomic_numbers(built.topology.atoms()), bonds)
    order = _identity(forcefield).order_in(found)
    (force,) = (force for force in built.system.getForces() if isinstance(force, openmm.NonbondedForce))
    return particles_of(force, order.tolist())


def _template(forcefield: ForceField, outside: NDArray[np.float64]) -> ffxml.ResidueTemplate:
    """The residue template: atoms, charges, Lennard-Jones parameters, and bonds without energy.

    The bonds make OpenMM's exclusions and constraints.
    """
    elements = [app.Element.getByAtomicNumber(int(number)) for number in forcefield.atomic_numbers]
    key = fingerprint(forcefield.atomic_numbers, forcefield.bonds, forcefield.parameters.values, outside)[:10]
    return ffxml.ResidueTemplate(
        name=f"{re.sub(r'[^A-Za-z0-9._-]+', '-', forcefield.name)}-{key}",
        comment=f"{forcefield.name}: {' '.join(forcefield.types)}",
        elements=tuple(element.symbol for element in elements),
        atom_names=tuple(f"{element.symbol}{number}" for number, element in enumerate(elements, 1)),
        graph=forcefield.bonds,
        charges=outside[:, 0],
        masses=np.array([element.mass.value_in_unit(unit.dalton) for element in elements]),
        sigmas=outside[:, 1],
        epsilons=outside[:, 2],
        bonds=tuple(ffxml.HarmonicTerm((i, j), _ANY_LENGTH, 0.0) for i, j in forcefield.bonds.tolist()),
        angles=(),
        propers=(),
        impropers=(),
    )


def _topology(template: ffxml.ResidueTemplate) -> app.Topology:
    """The molecule alone."""
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    atoms = [
        topology.addAtom(name, app.Element.getBySymbol(symbol), residue)
        for name, symbol in zip(template.atom_names, template.elements, strict=True)
    ]
    for i, j in template.graph.tolist():
        topology.addBond(atoms[i], atoms[j])
    return topology
