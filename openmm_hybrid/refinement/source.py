"""The molecule of a refinement: from SMILES, a file, a folder of `build` or an OpenFF molecule."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.bases import DEFAULT
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import expanded, fingerprint
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.data.molecule_files import ENDINGS
from openmm_hybrid.refinement.settings import RefineSettings
from openmm_hybrid.systems.build_folder import BUILD, read_build

_CHARGES = "am1-bcc"  # method for a molecule that comes without charges
_GIVEN = "given"  # name of charges that no method of this package made


@final
@dataclass(frozen=True, eq=False)
class Source:
    """A molecule with the base force field and the charges that come with it.

    Parameters
    ----------
    molecule : Molecule
    charges : (n_atoms,), e, or None
        Partial charges of a folder of `build` or of an OpenFF molecule.
    method : str
        Method of these charges, "given" if it is not known, or an empty text without charges.
    base : str
        Base force field of a folder of `build`; otherwise empty.
    """

    molecule: Molecule
    charges: NDArray[np.float64] | None = None
    method: str = ""
    base: str = ""

    def settled(self, settings: RefineSettings) -> RefineSettings:
        """The settings with base force field and charges filled in.

        Raises
        ------
        MismatchError
            They name others than those that come with the molecule.
        """
        for name, wanted, found in (("base", settings.base, self.base), ("charges", settings.charges, self.method)):
            if found and wanted not in ("", found):
                raise MismatchError(
                    f"{name} is {wanted!r}, and {self.molecule.name} comes with {found!r}",
                    hint=f"leave {name} out, or give the molecule alone, as SMILES or SDF",
                )
        return replace(
            settings,
            base=settings.base or self.base or DEFAULT,
            charges=settings.charges or self.method or _CHARGES,
        )

    @property
    def charges_key(self) -> str:
        """Fingerprint of the charges; empty without charges."""
        return "" if self.charges is None else fingerprint(self.charges)


def read_source(source: Any, template: str = "") -> Source:
    """The molecule that `refine` was given.

    Parameters
    ----------
    source : Molecule, openff.toolkit.Molecule, or str or Path
        A text is a folder of `build` if it names one, a file if it has the ending of a molecule file, or a SMILES.
    template : str
        SMILES whose bond orders and charges the molecule of a file gets; empty for those of the file.

    Raises
    ------
    InputError
        The molecule cannot be read, or a template is given for something other than a file.
    MismatchError
        The template, or the System in the folder, is of another molecule.
    """
    is_path = isinstance(source, str | Path)
    if is_path and str(source).lower().endswith(ENDINGS):
        return Source(Molecule.from_file(source, template=template))
    if template:
        raise InputError(
            f"a template is given for {source if is_path else type(source).__name__}",
            expected="a template for a molecule file, such as a PDB file, alone",
            hint="leave the template out",
        )
    if isinstance(source, Molecule):
        return Source(source)
    if not is_path:
        return _from_openff(source)
    folder = expanded(source)
    if os.path.isfile(folder / BUILD):  # Path.is_file fails for a long SMILES
        found = read_build(folder)
        return Source(found.molecule, found.charges, found.method, found.base)
    if isinstance(source, Path) or os.path.isdir(folder):
        raise InputError(
            f"cannot read a molecule from {folder.name!r}",
            expected=f"a file ending in {', '.join(ENDINGS)}, or a folder of `openmm-hybrid build`",
        )
    return Source(Molecule.from_smiles(source))


def _from_openff(source: Any) -> Source:
    """The molecule of an OpenFF object, with its partial charges if it has any."""
    if not type(source).__module__.startswith("openff."):
        raise InputError(
            f"a {type(source).__name__} was given as molecule",
            expected="a Molecule, an openff.toolkit.Molecule, a SMILES, a file or a folder of `build`",
        )
    molecule = Molecule.from_openff(source)
    if source.partial_charges is None:
        return Source(molecule)
    return Source(molecule, np.asarray(source.partial_charges.m_as("elementary_charge"), dtype=np.float64), _GIVEN)
