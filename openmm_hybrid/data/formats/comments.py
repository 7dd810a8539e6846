"""Energies in the comment lines of xyz files, as programs and people write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import ENERGY_UNITS
from openmm_hybrid.data.formats.labels import ENERGIES

_NUMBER = r"[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eEdD]))(?:[eEdD][-+]?\d+)?"
_BARE = re.compile(rf"\s*({_NUMBER}|-\d+)((?:\s+{_NUMBER})*)\s*(?:!.*)?$")
_UNIT = r"hartrees?|Eh|Ha|m?eV|a\.u\.|au|kcal/mol|kJ/mol|kcal|kJ|J/mol|cm\^?-1|Ry|Rydberg"
_WORD = rf"(?:\s*[(\[]\s*(?P<word>{_UNIT}|\w+)\s*[)\]])?"
_TERM = re.compile(
    rf"(?<![\w.=-])(?:energy|E)(?![a-z]){_WORD}\s*[:=]?\s*(?P<value>{_NUMBER})"
    rf"(?:\s*[(\[]?(?P<unit>{_UNIT})(?![\w/.-]))?",
    re.IGNORECASE,
)
_QUANTITY = re.compile(rf"{_NUMBER}\s*(?:{_UNIT})(?![\w/.-])", re.IGNORECASE)
_HARTREE = ("eh", "a.u.", "au", "hartrees")
_GAUSSIAN = re.compile(r"(?:RO|R|U)[A-Z]\w*$")  # methods as in E(RB3LYP)
_HINT = 'give e_unit, such as e_unit="hartree" for CREST and xtb, "eV" for ASE, "kcal/mol" for MD17'
_WHICH = "write the potential energy alone, as energy=VALUE e_unit=UNIT"

#: Words that make an energy another one than the potential energy of the electronic state.
_OTHER = frozenset((
    "kinetic", "kin", "ekin", "gap", "homo", "lumo", "fermi", "free", "gibbs", "helmholtz", "enthalpy", "thermal",
    "internal", "relative", "rel", "delta", "difference", "zero", "zero-point", "zpe", "zpve", "vibrational",
    "rotational", "translational", "reaction", "activation", "barrier", "binding", "interaction", "formation",
    "atomization", "dissociation", "ionization", "excitation", "solvation", "dispersion", "correlation", "corr",
    "exchange", "repulsion", "nuclear", "coulomb", "electrostatic", "strain", "torsion", "torsional", "bond", "angle",
    "dihedral", "vdw", "steric", "restraint", "bias", "correction", "adsorption", "cohesive", "surface", "mean",
    "average", "std", "error",
))  # fmt: skip
_KINETIC = frozenset(("kinetic", "kin", "ekin"))


@dataclass(frozen=True)
class CommentEnergy:
    """The energy in the comment line of an xyz file without key=value pairs.

    Parameters
    ----------
    value : str
        A number.
    e_unit : str
        Unit that the line or its program determines; empty if it does not.
    bare : bool
        True if the line holds nothing but numbers.
    hint : str
        What to do where the unit is unknown.
    """

    value: str
    e_unit: str = ""
    bare: bool = False
    hint: str = _HINT


def comment_energy(comment: str, where: str) -> CommentEnergy | None:
    """The energy in a comment line, as CREST, MD17, xtb, ORCA, Gaussian and others write it; None if there is none.

    A whole number alone, such as the number of the frame, is not an energy. Of several numbers without a name, the
    first is one if it is negative and the others, such as weights of conformers, are not. Kinetic, relative and other
    qualified energies are not read; a total energy beside a kinetic one includes it, and is not read either.

    Parameters
    ----------
    comment : str
    where : str
        File and frame, for messages.

    Raises
    ------
    InputError
        It is not clear which of several numbers is the energy, or we do not know its unit.
    """
    bare = _BARE.match(comment)
    if bare:
        others = [float(text.lower().replace("d", "e")) for text in bare[2].split()]
        if others and (not bare[1].startswith("-") or min(others) < 0.0):
            raise InputError(f"{where} has several numbers in its comment, {comment.strip()[:40]!r}", hint=_WHICH)
        return CommentEnergy(bare[1], bare=True)
    terms = [term for term, words in _terms(comment) if not words & _OTHER]
    if any(words & _KINETIC for _, words in _terms(comment)):
        terms = [term for term, words in _terms(comment) if not words & (_OTHER | {"total", "tot"})]
    if not terms:
        return None
    if len({term["value"] for term in terms}) > 1:
        found = " and ".join(repr(term[0].strip()) for term in terms[:2])
        raise InputError(f"{where} has several energies in its comment, {found}", hint=_WHICH)
    term = terms[0]
    word = term["word"] or ""
    unit = term["unit"] or (word if re.fullmatch(_UNIT, word, re.IGNORECASE) else "")
    by_program = any(mark in comment for mark in ("gnorm:", "xtb:", "ORCA")) or _GAUSSIAN.match(word)
    return CommentEnergy(term["value"], _known(unit, where) or ("hartree" if by_program else ""))


def named_energies(comment: str, header: Mapping[str, str], where: str) -> dict[str, str]:
    """The pairs of a comment line without qualified energies, and with the unit written beside the energy as e_unit.

    Parameters
    ----------
    comment : str
    header : mapping of str to str
        Its pairs, keys in lower case.
    where : str
        File and frame, for messages.

    Raises
    ------
    InputError
        The unit beside the energy is unknown, or not that of the key ``e_unit``.
    """
    kept = dict(header)
    for key in header.keys() & set(ENERGIES):
        beside = rf"(?<!\S)(?P<key>{re.escape(key)})\s*=\s*{re.escape(header[key])}\s+(?P<unit>{_UNIT})(?![\w/.-])"
        at = re.search(rf"(?<!\S){re.escape(key)}\s*=", comment, re.IGNORECASE)
        if at and "properties" not in header and _before(comment[: at.start()]) & _OTHER:
            del kept[key]
            continue
        match = re.search(beside, comment, re.IGNORECASE)
        if not match:
            continue
        unit = _known(match["unit"], where)
        if ENERGY_UNITS.get(kept.get("e_unit", unit).lower()) != ENERGY_UNITS[unit]:
            raise InputError(f"{where} has {match[0].strip()!r} and e_unit={kept['e_unit']}", hint="keep one of them")
        kept["e_unit"] = kept.get("e_unit", unit)
    return kept


def unread_energies(comment: str) -> tuple[str, ...]:
    """Qualified energies and numbers with a unit of energy in a comment line, for `warn_unread`."""
    found = [
        f"{' '.join(sorted(words))} energy: {term[0].strip()}" for term, words in _terms(comment) if words & _OTHER
    ]
    quantity = _QUANTITY.search(comment)
    return tuple(found) or ((f"energy {quantity[0]}",) if quantity else ())


def _terms(comment: str) -> list[tuple[re.Match[str], set[str]]]:
    """Named numbers, and the words that qualify each of them."""
    found, end = [], 0
    for term in _TERM.finditer(comment):
        words = _before(comment[end : term.start()])
        found.append((term, words | ({term["word"].lower()} if term["word"] else set())))
        end = term.end()
    return found


def _before(text: str) -> set[str]:
    """The last two words of a text, in lower case."""
    match = re.search(r"(?:[A-Za-z][\w-]*\s+){1,2}$", text)
    return set(match[0].lower().split()) if match else set()


def _known(unit: str, where: str) -> str:
    """A unit by its name in `ENERGY_UNITS`; empty if there is none."""
    name = unit.lower()
    name = "hartree" if name in _HARTREE else name
    if name and name not in ENERGY_UNITS:
        raise InputError(f"{where} has an energy in {unit}", expected=f"one of {', '.join(ENERGY_UNITS)}")
    return name
