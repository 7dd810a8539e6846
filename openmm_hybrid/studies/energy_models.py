"""The models that studies compare, by name: base force fields, files, refinements and reference engines."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from openmm_hybrid import bases
from openmm_hybrid.bases.build import build
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import expanded
from openmm_hybrid.data.identity import Identity
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.forcefield import ForceField, library
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.reference import ENGINES, engine
from openmm_hybrid.reference.engine_model import EngineModel
from openmm_hybrid.refinement.refined import Refined, load
from openmm_hybrid.studies.kept_charges import kept_charges

_CHARGES = "am1-bcc"


def energy_model(name: str, molecule: Molecule, folder: Path, *, charges: str = _CHARGES) -> EnergyModel:
    """The model of a name for a molecule, in the molecule's order of atoms.

    Parameters
    ----------
    name : str
        A base force field ("gaff-2.2.20"), the text of a reference engine ("gfn2", "pyscf:pbe/def2-svp"), a file of a
        model, the folder of a refinement, or a shipped force field ("ethanol-cross"). A refinement that has a
        correction is the sum of both.
    molecule : Molecule
    folder : Path
        Folder for the charges of base force fields, which take long to compute.
    charges : str
        Method of these charges.

    Raises
    ------
    InputError
        There is nothing of this name, it is a correction, or it cannot describe the molecule.
    MismatchError
        The model is of another molecule, or has another order of atoms.
    """
    if name in bases.names():
        return base_forcefield(name, molecule, folder, charges)
    if is_engine(name):
        options: dict[str, Any] = {"charge": molecule.charge} if molecule.charge else {}
        return EngineModel(engine(name, **options), molecule)
    _check_name(name)
    found = load(name)
    if isinstance(found, Correction):
        raise InputError(f"{name} is a correction", expected="a model of the whole energy", hint="refine --correct")
    model = _whole(found) if isinstance(found, Refined) else found
    expected = Identity.of(name, model.atomic_numbers, model.bonds if model.bonds is not None else molecule.bonds)
    given = Identity.of(molecule.name, molecule.atomic_numbers, molecule.bonds)
    if not expected.equals(given):
        raise MismatchError(
            f"{given.what} is not the molecule of {name}: {expected.difference(given)}",
            expected="the model's elements and bonds in its order of atoms",
            hint="give the molecule as an SDF file in the model's order (Molecule.reordered)",
        )
    return model


def _check_name(name: str) -> None:
    """Refuse a name that is neither a path nor a shipped force field."""
    shipped = library.names()
    if name in shipped or name.endswith((".npz", ".pt")) or os.path.exists(expanded(name)):
        return
    known = (*bases.names(), *ENGINES.names(), *shipped)
    near = [each for each in known if each.startswith(name)] or difflib.get_close_matches(name, known)
    raise InputError(
        f"unknown model {name!r}",
        expected="a base force field, a reference engine, a file of a model, the folder of a refinement, or a shipped "
        "force field",
        hint=f"did you mean {' or '.join(near)}?" if near else f"base force fields: {', '.join(bases.names())}",
    )


def is_engine(name: str) -> bool:
    """Whether a name is the text of a reference engine, such as "gfn2" or "pyscf:pbe/def2-svp"."""
    return name.partition(":")[0].partition("?")[0].strip() in ENGINES.names()


def base_forcefield(name: str, molecule: Molecule, folder: Path, charges: str) -> ForceField:
    """A base force field for a molecule, with charges that the folder keeps; see `energy_model`."""
    path = folder / f"charges-{charges}.npy"
    kept = kept_charges(path, molecule, lambda: build(molecule, base=name, charges=charges, progress=False).charges)
    built = build(molecule, base=name, charges=kept, progress=False)
    types = {"types": built.atom_types} if name.startswith("gaff") else {}  # OpenFF's name no types to share
    return ForceField.from_system(built.system, built.topology, name=name, **types)


def _whole(refined: Refined) -> EnergyModel:
    correction = refined.correction  # of all atoms, as `refine` makes it
    return refined.forcefield if correction is None else Sum((refined.forcefield, correction.model))
