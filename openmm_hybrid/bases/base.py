"""Base: the contract of a base force field, which gives a molecule its terms before anything is learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from openmm_hybrid.bases.template import Template
from openmm_hybrid.data.molecule import Molecule


class Base(ABC):
    """One version of a family of base force fields, such as GAFF 1.81.

    ``Family(version)`` makes one. `openmm_hybrid.testing.base.BaseSuite` tests a subclass.
    """

    family: ClassVar[str]
    """Name of the family in the registry, such as "gaff"."""

    version: str
    """Version, such as "1.81"."""

    @property
    def name(self) -> str:
        """Name for users: family and version, such as "gaff-1.81"."""
        return f"{self.family}-{self.version}"

    @classmethod
    @abstractmethod
    def versions(cls) -> tuple[str, ...]:
        """Every version that is installed, the recommended ones first; empty if a package is missing. Never raises."""

    @abstractmethod
    def check(self, molecule: Molecule) -> None:
        """Refuse a molecule that the force field does not cover, before anything is computed.

        Raises
        ------
        InputError
            The message names the atoms.
        """

    @abstractmethod
    def template(self, molecule: Molecule) -> Template:
        """The molecule's terms; the charges are zero, and `Template.with_charges` sets them.

        Coulomb and Lennard-Jones interactions between atoms three bonds apart are divided by 1.2 and 2.

        Raises
        ------
        InputError
            The force field has no parameters for a term; the message names the atoms.
        MissingDependencyError
            A program or package is not installed.
        HybridError
            A program failed.
        """
