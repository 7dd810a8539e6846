"""NAGL charges: a graph neural network of OpenFF that predicts AM1-BCC charges from the molecule's graph."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.charges.equivalent import symmetrized
from openmm_hybrid.core.errors import InputError, MissingDependencyError
from openmm_hybrid.core.openff import INSTALL, openff_toolkit
from openmm_hybrid.data.molecule import Molecule

MODEL = "openff-gnn-am1bcc-1.0.0.pt"
"""The network, whose weights are in the package openff-nagl-models. OpenFF 2.3.0 uses it too."""


def nagl_charges(molecule: Molecule, *, progress: bool = True) -> NDArray[np.float64]:
    """NAGL charges (n_atoms,) in e, equal on equivalent atoms, summing to the net charge.

    They approximate AM1-BCC charges, take a fraction of a second, and do not depend on the conformers. Model:
    `openff-nagl-models`, file `MODEL`.

    Raises
    ------
    MissingDependencyError
        openff-toolkit, openff-nagl or openff-nagl-models is not installed.
    InputError
        The molecule lies outside the domain of the network, for example by an element.
    """
    openff_toolkit('charges="nagl"')
    network = _network()
    openff = molecule.to_openff()
    supported, reason = network.chemical_domain.check_molecule(openff, return_error_message=True)
    if not supported:
        raise InputError(
            f"{molecule.name} lies outside the domain of NAGL ({reason})", hint='use charges="am1-bcc" or "resp"'
        )
    raw = network.compute_property(openff, readout_name="am1bcc_charges", as_numpy=True)
    return symmetrized(np.asarray(raw, dtype=np.float64), molecule)


@cache
def _network() -> Any:
    try:
        from openff.nagl import GNNModel
        from openff.nagl_models import get_nagl_model_dirs_paths
    except ImportError as error:
        raise MissingDependencyError(f'charges="nagl" needs openff-nagl ({error})', hint=INSTALL) from error
    # Only the package's folders, not validate_nagl_model_path: it prefers a file in the working directory, and loading
    # a file runs the code in it.
    found = [folder / MODEL for folder in get_nagl_model_dirs_paths() if (folder / MODEL).is_file()]
    if not found:
        raise MissingDependencyError(f"openff-nagl-models is too old: it lacks {MODEL}", hint=INSTALL)
    return GNNModel.load(found[0], eval_mode=True)
