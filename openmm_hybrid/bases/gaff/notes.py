"""What GAFF guesses for a molecule, and what it is known to get wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from openmm_hybrid.bases.gaff.dat_parameters import Parameters
from openmm_hybrid.data.molecule import Molecule

_NEIGHBOURS = 4
"""Most neighbours that one equilibrium angle per pair of types can describe."""
_PHOSPHORUS, _SULFUR = 15, 16


def notes(molecule: Molecule, types: Sequence[str], parameters: Parameters, version: str) -> Iterator[str]:
    """One sentence for each doubt about the parameters of a molecule with these GAFF types (n_atoms,)."""
    yield from _crowded(molecule, types, version)
    yield from _made_up(molecule, types, parameters, version)
    yield from _bare_hydroxyls(molecule, types, parameters, version)


def _crowded(molecule: Molecule, types: Sequence[str], version: str) -> Iterator[str]:
    for atom, around in enumerate(molecule.neighbours):
        if len(around) > _NEIGHBOURS:
            yield (
                f"{molecule.name}: atom {atom} ({types[atom]}) has {len(around)} neighbours, but GAFF {version} has "
                "one equilibrium angle for each pair of types there, so that its shape will be wrong; refit it"
            )


def _made_up(molecule: Molecule, types: Sequence[str], parameters: Parameters, version: str) -> Iterator[str]:
    for guess in parameters.guesses:
        wanted = tuple(guess.split("-"))
        found = [
            (i, apex, k)
            for apex, around in enumerate(molecule.neighbours)
            for i in around
            for k in around
            if i != k and (types[i], types[apex], types[k]) == wanted
        ]
        where = f" of atoms {'-'.join(map(str, found[0]))}" if found else ""
        yield (
            f"{molecule.name}: GAFF {version} has no angle {guess}{where} and none similar; parmchk2 made one up by a "
            "formula. Check it against a reference engine, or refit"
        )


def _bare_hydroxyls(molecule: Molecule, types: Sequence[str], parameters: Parameters, version: str) -> Iterator[str]:
    """Hydroxyl hydrogens without a Lennard-Jones term next to phosphorus or sulfur, which fuse with other atoms."""
    for atom, kind in enumerate(types):
        if kind != "ho" or parameters.lennard_jones[kind].epsilon:
            continue
        (oxygen,) = molecule.neighbours[atom]
        centres = [other for other in molecule.neighbours[oxygen] if other != atom]
        if any(molecule.atomic_numbers[other] in (_PHOSPHORUS, _SULFUR) for other in centres):
            yield (
                f"{molecule.name}: the hydrogen {atom} of an acid P-OH or S-OH has no Lennard-Jones term in GAFF "
                f"{version}, and fuses with another atom in simulations; use gaff-2.2.20"
            )
