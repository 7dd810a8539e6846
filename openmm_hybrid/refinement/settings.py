"""Settings of a refinement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from openmm_hybrid.bases.solvate import Solvent
from openmm_hybrid.core.errors import InputError


@final
@dataclass(frozen=True)
class RefineSettings:
    """What `refine` starts from, which labels it computes, and when it stops. The defaults are our choice.

    Parameters
    ----------
    base : str
        Base force field, as in `build`. By default that of a folder of `build`, and "gaff-2.2.20" otherwise.
    charges : str
        Method for the partial charges, which stay those of the molecule towards its surroundings, as in `build`. By
        default the charges of a folder of `build` or of an OpenFF molecule, and "am1-bcc" otherwise.
    engine : str
        Reference engine of the labels, as in `openmm_hybrid.reference.engine`.
    temperature : float, K
        Temperature of the dynamics. Some run at 1.5 times this temperature, for frames outside its usual range.
    implicit_water : bool
        Whether the dynamics run in implicit water (OBC2) in place of vacuum, where zwitterions and other molecules with
        many hydrogen bonds fold up. Labels and checks are those of the molecule alone.
    n_conformers : int
        Conformers from which the dynamics start.
    n_first : int
        Labels of frames of the base force field.
    n_scan : int
        Angles at which the base force field holds each rotor and relaxes the rest, and runs short dynamics from there.
        These frames are among the first labels, at most half of them, so that every rotor turns fully there; 0 means
        none.
    n_fresh : int
        Labels per round of random frames of the fitted model's own dynamics, which check the model.
    n_more : int
        Further labels per round: frames of the same dynamics that are farthest from all labelled ones.
    rounds : int
        Most fits.
    factor : float
        Largest force RMSE on the force field's own dynamics, relative to that on unseen training frames, at which the
        rounds end.
    target : float, kcal/mol/Å
        Largest force RMSE on its own dynamics at which the rounds end.
    max_minutes : float, min
        Time after which no further round starts.
    n_profile : int
        Angles of each rotor's torsion profile, which checks a force field whose errors end the rounds; 0 means no
        profiles.
    n_rotors : int
        Most rotors with a profile.
    hot_ps : float, ps
        Length of the run of the chosen force field at 1.5 times the temperature; 0 means no run.
    frequencies : bool
        Whether harmonic frequencies of the result are compared with the reference, by 6 labels for each atom.
    max_labels : int, optional
        Most labels: a round that could exceed it does not start.
    solvate : float, optional, Å
        Distance between the molecule and its periodic images in a box of water, which is written in addition.
    correct : bool
        Whether an sGDML correction of what the force field leaves is trained on the labels, at most 500 of them.
    seed : int

    Raises
    ------
    InputError
        A number is out of range, or the first round alone has more than `max_labels` labels.
    """

    base: str = ""
    charges: str = ""
    engine: str = "gfn2"
    temperature: float = 500.0
    implicit_water: bool = False
    n_conformers: int = 8
    n_first: int = 500
    n_scan: int = 12
    n_fresh: int = 50
    n_more: int = 150
    rounds: int = 5
    factor: float = 1.2
    target: float = 1.5
    max_minutes: float = math.inf
    n_profile: int = 24
    n_rotors: int = 8
    hot_ps: float = 100.0
    frequencies: bool = True
    max_labels: int | None = None
    solvate: float | None = None
    correct: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("n_conformers", 1),
            ("n_first", 20),
            ("n_fresh", 10),
            ("n_more", 0),
            ("rounds", 1),
            ("n_rotors", 0),
            ("n_scan", 0),
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
        if self.max_labels is not None and self.n_first + self.n_fresh > self.max_labels:
            raise InputError(
                f"max_labels = {self.max_labels!r}",
                expected=f"{self.n_first + self.n_fresh} or more: the first round has n_first = {self.n_first} and "
                f"n_fresh = {self.n_fresh}",
                hint="lower n_first",
            )
        if self.solvate is not None:
            Solvent(padding=self.solvate)  # refuses a box that is too small
