"""OpenFF's toolkit, which is optional, and what to install where it is missing."""

from __future__ import annotations

from typing import Any

from openmm_hybrid.core.errors import MissingDependencyError

INSTALL = 'pip install "openmm-hybrid[openff]", or openff-toolkit from conda-forge'


def openff_toolkit(purpose: str) -> Any:
    """The module openff.toolkit.

    Raises
    ------
    MissingDependencyError
        It cannot be imported; the message names the purpose and what is missing.
    """
    try:
        import openff.toolkit
    except ImportError as error:
        raise needs_openff(purpose, error) from error
    return openff.toolkit


def needs_openff(purpose: str, error: ImportError | None = None) -> MissingDependencyError:
    """The error for a purpose that needs openff-toolkit, with the import that failed."""
    reason = f" ({error})" if error else ""
    return MissingDependencyError(f"{purpose} needs openff-toolkit{reason}", hint=INSTALL)
