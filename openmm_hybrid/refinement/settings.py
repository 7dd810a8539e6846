"""Settings of a refinement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from openmm_hybrid.core.errors import InputError


@final
@dataclass(frozen=True)
class RefineSettings:
    """What `refine` starts from, which labels it computes, and when it stops. The defaults are our choice.

    Parameters
    ----------
    base : str
        Base force field, as in `build`.
    charges : str
        Method for the partial charges, which stay those of the molecule towards its surroundings, as in `build`.
    engine : str
        Reference engine of the labels, as in `openmm_hybrid.reference.engine`.
    temperature : float, K
        Temperature of all dynamics.
    n_conformers : int
        Conformers from which the dynamics start.
    n_first : int
        Labels of frames of the base force field.
    n_fresh : int
        Labels per round of random frames of the fitted model's own dynamics, which check the model.
    n_more : int
        Further labels per round: frames of the same dynamics that are farthest from all labelled ones.
    rounds : int
        Most fits.
    factor : float
        Largest force RMSE on the own dynamics, relative to that on unseen training frames, at which the rounds end.
    target : float, kcal/mol/Å
        Largest force RMSE on the own dynamics at which the rounds end.
    max_minutes : float, min
        Time after which no further round starts.
    n_profile : int
        Angles of the torsion profile of each rotor of the chosen force field; 0 means no profiles.
    n_rotors : int
        Most rotors with a profile.
    hot_ps : float, ps
        Length of the run of the chosen force field at 1.5 times the temperature; 0 means no run.
    seed : int

    Raises
    ------
    InputError
        A number is out of range.
    """

    base: str = "gaff-2.2.20"
    charges: str = "am1-bcc"
    engine: str = "gfn2"
    temperature: float = 500.0
    n_conformers: int = 8
    n_first: int = 500
    n_fresh: int = 50
    n_more: int = 150
    rounds: int = 5
    factor: float = 1.2
    target: float = 1.5
    max_minutes: float = math.inf
    n_profile: int = 24
    n_rotors: int = 8
    hot_ps: float = 100.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("n_conformers", 1),
            ("n_first", 20),
            ("n_fresh", 10),
            ("n_more", 0),
            ("rounds", 1),
            ("n_rotors", 0),
        ):
            if getattr(self, name) < least:
                raise InputError(f"{name} = {getattr(self, name)!r}", expected=f"{least} or more")
        for name in ("temperature", "factor", "target", "max_minutes"):
            if not getattr(self, name) > 0.0:
                raise InputError(f"{name} = {getattr(self, name)!r}", expected="a number above 0")
        if self.n_profile != 0 and self.n_profile < 4:
            raise InputError(f"n_profile = {self.n_profile!r}", expected="0, or 4 or more")
        if not 0.0 <= self.hot_ps < math.inf:
            raise InputError(f"hot_ps = {self.hot_ps!r}", expected="0 or more")
