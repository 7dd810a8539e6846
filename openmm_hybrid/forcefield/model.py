"""ForceField: a molecule's terms and parameters as a differentiable energy model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import openmm
import torch
from numpy.typing import ArrayLike, NDArray
from openmm import app
from torch import Tensor

from openmm_hybrid.core.files import expanded
from openmm_hybrid.core.versioned_npz import Arrays
from openmm_hybrid.forcefield import archive, library
from openmm_hybrid.forcefield.builder import without
from openmm_hybrid.forcefield.edit import edit
from openmm_hybrid.forcefield.parameters import Parameters
from openmm_hybrid.forcefield.read_system import read_system
from openmm_hybrid.forcefield.tables import Outer, Tables
from openmm_hybrid.forcefield.terms import Block, Terms, coordinates_of
from openmm_hybrid.forcefield.write_frcmod import write_frcmod
from openmm_hybrid.forcefield.write_xml import write_ffxml
from openmm_hybrid.models.energy_model import TorchModel


@final
@dataclass(frozen=True, eq=False)
class ForceField(TorchModel):
    """A force field of one molecule in vacuum with parameters that can be fitted; see `from_system` and `load`.

    It is neither `openmm.app.ForceField`, which assigns parameters to any topology, nor OpenFF's class of that name.

    Parameters
    ----------
    tables : Tables
        Atoms, parameters and terms.
    """

    tables: Tables
    kind: ClassVar[str] = "force field"

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """Atomic numbers (n_atoms,)."""
        return self.tables.atomic_numbers

    @property
    def bonds(self) -> NDArray[np.int64]:
        """Bonded pairs (n_bonds, 2), i < j."""
        return self.tables.bonds

    @property
    def types(self) -> tuple[str, ...]:
        """Atom types (n_atoms,). Terms of equal types share parameters."""
        return self.tables.types

    @property
    def parameters(self) -> Parameters:
        """All parameters, with names, units and bounds."""
        return self.tables.parameters

    @property
    def terms(self) -> tuple[Terms, ...]:
        """The groups of terms."""
        return self.tables.terms

    @property
    def outer(self) -> Outer | None:
        """Charges and Lennard-Jones parameters towards other molecules, where pairs inside the molecule have their own.

        It is None where the parameters of the atoms hold for both.
        """
        return self.tables.outer

    @property
    def name(self) -> str:
        """Name of the molecule."""
        return self.tables.name

    @classmethod
    def from_system(
        cls,
        system: openmm.System,
        topology: app.Topology,
        *,
        types: Sequence[str] | None = None,
        name: str = "molecule",
    ) -> ForceField:
        """Read an OpenMM System of one molecule in vacuum.

        Parameters
        ----------
        system, topology : openmm.System, openmm.app.Topology
            System and topology of the same atoms. The System can have HarmonicBondForce, HarmonicAngleForce,
            PeriodicTorsionForce, NonbondedForce without a cutoff, and CustomBondForce with a Morse expression.
        types : (n_atoms,) str, optional
            Atom types: terms of equal types and equal values share parameters, also in several molecules. By default
            these are classes of equivalent atoms in the molecular graph, named by element and first atom ("C0", "H3").
        name : str
            Name of the molecule, which is part of the names of its charges.

        Raises
        ------
        MismatchError
            A force cannot be read (the message names it), the System is periodic, or the numbers of atoms differ.

        Warns
        -----
        UserWarning
            The System has constraints: its rigid bonds become flexible.
        """
        return cls(read_system(system, topology, types=types, name=name))

    @classmethod
    def load(cls, source: str | Path) -> ForceField:
        """Read a file that `save` wrote, or a shipped force field by its name.

        Parameters
        ----------
        source : str or Path
            A path that ends in .npz, or a name of `openmm_hybrid.forcefield.names`.

        Raises
        ------
        InputError
            Unknown name; the file is missing, damaged, no force field, or of a newer version.
        """
        path = expanded(source)
        return cls(archive.load(path) if path.suffix == ".npz" else library.load(str(source)))

    @classmethod
    def read(cls, path: str | Path) -> tuple[ForceField, dict[str, Any]]:
        """The force field in a file that `save` wrote, and its notes.

        Raises
        ------
        InputError
            The file is missing, damaged, no force field, or of a newer version; a form in it comes from a package that
            is not installed.
        """
        tables, notes = archive.read(path)
        return cls(tables), notes

    def write_set(
        self, name: str, root: str | Path, *, data: str, level: str, errors: Mapping[str, Any], command: str
    ) -> Path:
        """Write a force field to ship: parameters, manifest and XML, in the folder `root`/`name`, which is returned.

        Parameters
        ----------
        name : str
            Letters, digits, hyphens and dots, such as "ethanol-cross".
        root : str or Path
            Parent folder of such folders.
        data, level : str
            The frames of the fit, and the level of theory of their labels.
        errors : mapping
            Errors on unseen frames with their units, such as {"force_rmse": {"value": 1.9, "unit": "kcal/mol/Å"}}.
        command : str
            Command that makes the force field again.

        Raises
        ------
        InputError
            Another kind of name, or errors that JSON cannot hold.
        """
        return library.write_set(self.tables, name, root, data=data, level=level, errors=errors, command=command)

    def save(self, path: str | Path, *, notes: Mapping[str, Any] | None = None) -> Path:
        """Write the force field, with all its forms, to an npz file of plain arrays.

        Parameters
        ----------
        path : str or Path
            Must end in .npz. The file appears complete or not at all.
        notes : mapping, optional
            Information that JSON can hold: level of theory, errors, where the data came from.
            `ForceField.read` returns them with the force field.

        Raises
        ------
        InputError
            Another ending, notes that JSON cannot hold, or a form that is not registered.
        HybridError
            The file cannot be written.
        """
        return archive.save(self.tables, path, notes)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """See `EnergyModel.to_arrays`."""
        return archive.to_arrays(self.tables)

    @classmethod
    def from_arrays(cls, description: Mapping[str, Any], arrays: Arrays) -> ForceField:
        """The force field that `to_arrays` described."""
        return cls(archive.from_arrays(description, arrays))

    def to_ffxml(self, path: str | Path) -> None:
        """Write a self-contained OpenMM residue template for ``app.ForceField(...)`` with the same energies.

        The force field can have harmonic, Morse and Fourier terms, charges and Lennard-Jones. Every atom gets its own
        type; ``app.ForceField`` recognises the residue by elements and bonds.

        Raises
        ------
        MismatchError
            A residue template cannot express a form or term; the message names it.
        HybridError
            The file cannot be written.
        """
        write_ffxml(self.tables, path)

    def to_frcmod(self, path: str | Path, types: Sequence[str] | None = None) -> tuple[str, ...]:
        """Write the parameters as an AMBER frcmod, which LEaP loads after the GAFF tables.

        Charges and the returned types belong in the molecule's mol2 file. The energies are the same up to a constant.

        Parameters
        ----------
        path : str or Path
        types : (n_atoms,) str, optional
            GAFF types; by default the types of the force field.

        Returns
        -------
        types : tuple of str, (n_atoms,)
            The given types, with new types of two characters where atoms of one type have different parameters. LEaP
            needs an ``addAtomTypes`` for each new type.

        Raises
        ------
        InputError
            Types of more than two characters, or too few.
        MismatchError
            AMBER cannot express a form or term, such as a Morse bond; the message names it.
        HybridError
            The file cannot be written.
        """
        return write_frcmod(self.tables, path, types)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups of terms."""
        return self.tables.groups

    def group(self, name: str) -> Terms:
        """The terms of one group.

        Raises
        ------
        InputError
            There is no group of this name.
        """
        return self.tables.group(name)

    def only(self, *groups: str) -> ForceField:
        """The force field with these groups of terms only and all parameters."""
        return ForceField(self.tables.only(*groups))

    def edit(
        self,
        *,
        bonds: str | None = None,
        angles: str | None = None,
        propers: str | None = None,
        impropers: str | None = None,
        pairs: str | None = None,
        cross: bool | Sequence[str] = False,
        seed: int = 0,
    ) -> ForceField:
        """A copy with other functional forms, ready to be fitted. Only forms that replace others change the energies.

        No dihedral goes through a straight angle, and a straight angle gets neither a spline nor a network (see
        `openmm_hybrid.forcefield.straight_angles`).

        A number after a form's name sets its size: "fourier6" has six cosines, "spline16" 16 pieces, and "neural24"
        hidden layers of 24. Forms of other distributions have the names of their entry points.

        Parameters
        ----------
        bonds : {"harmonic", "morse", "spline", "neural"}, optional
            "harmonic" and "morse" replace the present form at the same minimum and curvature; a spline or network is
            added to it. By default the present form stays, but cross=True replaces harmonic bonds by Morse bonds.
        angles : {"harmonic", "spline", "neural"}, optional
        propers, impropers : {"fourier", "spline", "neural"}, optional
            "fourier6" makes the series longer. Propers then cover every chain of bonds, with or without a barrier,
            except chains through a straight angle, which have no dihedral.
        pairs : {"atoms", "inner"}, optional
            "inner" gives the pairs inside the molecule a charge product, repulsion and dispersion of their own. The
            charges and Lennard-Jones parameters of the atoms then are `outer`: they hold towards other molecules and
            no fit changes them. "atoms" keeps one set of parameters for both. The default is "inner" with cross=True
            (if all atoms have charges and Lennard-Jones parameters), and otherwise the present form.
        cross : bool or sequence of str
            Kinds of cross terms, keys of `openmm_hybrid.forms.cross.GROUPS`; True adds all of them.
        seed : int
            Seed of the networks' random weights.

        Raises
        ------
        InputError
            Unknown form or kind, or a shorter series than the present one.
        MismatchError
            A bond or angle of the molecule has no classical term, or a form cannot start from the present one, as inner
            pairs without charges.
        """
        forms = {"bonds": bonds, "angles": angles, "propers": propers, "impropers": impropers}
        return ForceField(edit(self.tables, forms, pairs, cross, seed))

    def without(self, *types: str) -> ForceField:
        """The force field without some types of terms, such as "cross.torsion/C0-C1-C2-H5", and their parameters.

        Raises
        ------
        InputError
            No term has one of the types.
        """
        return ForceField(without(self.tables, types))

    def with_values(self, values: ArrayLike) -> ForceField:
        """The force field with other values (n_parameters,) of its parameters."""
        return ForceField(self.tables.with_values(values))

    def module(self) -> ForceFieldModule:
        """See `EnergyModel.module`."""
        return ForceFieldModule(self)

    def energies_by_group(self, positions: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Energies (n_frames,) in kcal/mol of each group of terms, at positions (n_frames, n_atoms, 3) in Å."""
        return {name: self.only(name).predict(positions)[0] for name in self.groups}


class ForceFieldModule(torch.nn.Module):
    """forward(positions (n, n_atoms, 3) Å) → energies (n,) kcal/mol, forces (n, n_atoms, 3) kcal/mol/Å.

    Each coordinate is computed once, even if many terms use it.
    """

    def __init__(self, forcefield: ForceField) -> None:
        super().__init__()
        self.internal, coordinates = coordinates_of(forcefield.terms, forcefield.n_atoms)
        n_coordinates = self.internal.n_coordinates
        self.blocks = torch.nn.ModuleList(
            Block(terms, indices, n_coordinates) for terms, indices in zip(forcefield.terms, coordinates, strict=True)
        )
        self.theta = torch.nn.Buffer(torch.tensor(forcefield.parameters.values))

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        q, rows = self.internal(positions.data.to(self.theta.dtype))
        energies, slopes = self.slopes(q, self.theta)
        return energies, self.internal.forces(slopes, rows)

    @torch.jit.export
    def slopes(self, q: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (n_frames,) and slopes (n_frames, n_coordinates) at coordinates q and parameters theta."""
        energies = torch.zeros_like(q[:, 0])
        slopes = torch.zeros_like(q)
        for block in self.blocks:
            energy, slope = block(q, theta)
            energies = energies + energy
            slopes = slopes + slope
        return energies, slopes
