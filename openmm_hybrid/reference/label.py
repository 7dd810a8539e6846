"""Labelling of geometries with reference energies and forces; it resumes, and it keeps the reason of every failure."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdkit import Chem

from openmm_hybrid.core import units
from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.core.files import expanded, fingerprint
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.data.bond_orders import perceived, without_bonds
from openmm_hybrid.data.bonds import check_bonds, check_order
from openmm_hybrid.data.formats import check_ending
from openmm_hybrid.data.frame_checks import length_fault
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.reference.label_journal import Journal, Label
from openmm_hybrid.reference.label_tasks import LabelTasks
from openmm_hybrid.reference.reference_engine import ReferenceEngine
from openmm_hybrid.tasks import Runner, SerialRunner, Store

_SAME_ENERGY, _SAME_FORCE = 0.05, 0.5
"""Differences, kcal/mol and kcal/mol/Å, that thresholds and float32 explain between two calculations of one frame."""

_ORGANIC = (1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 35, 53)
"""Atomic numbers of elements whose bonds tell the net charge."""

_SAME_POSITION = 1e-5
"""Difference of coordinates, Å, that the digits of a text file explain."""

_MOST_ATOMS = 80
"""Atoms up to which bonds are sought in a geometry."""

_MOST_VALENCES = 5000
"""Combinations of valences up to which bonds are sought; several nitro groups have millions."""


@dataclass(frozen=True, eq=False)
class LabelResult:
    """The labelled frames, and the reasons of those that failed.

    Parameters
    ----------
    frames : Frames
        Geometries whose calculation succeeded, with energies and forces.
    indices : (n_succeeded,)
        Indices of these frames among the geometries that were given.
    failed : mapping of int to str
        Index of a geometry → reason why it has no label.
    """

    frames: Frames
    indices: NDArray[np.int64]
    failed: Mapping[int, str]


def label(
    engine: ReferenceEngine,
    molecule: Molecule | ArrayLike,
    positions: ArrayLike,
    *,
    output: str | Path,
    progress: bool = True,
    name: str = "",
    order_known: bool = False,
    runner: Runner | None = None,
    store: Store | None = None,
    chunk: int = 10,
) -> LabelResult:
    """Compute energies and forces of many geometries and write those that succeed to `output`.

    Each label is written at once to a journal beside the file (its name with ``.journal`` appended). A run that was
    interrupted resumes from the journal when it is called again; a finished run is read from it. A frame whose
    calculation fails (overlapping atoms, no self-consistency) stays in the journal with its reason and is not computed
    again, unless the engine takes another effort, such as more steps. A lack of memory ends the call instead. The
    journal is kept: remove it to compute all labels anew. A file at `output` that is not of this labelling is refused
    before anything is computed.

    A journal is resumed only with the same geometries, atoms, level of theory (method, basis, charge, multiplicity),
    program and version. The level of the frames names all of these. An ASE calculator may hold more that decides a
    label; it computes a finished frame again, and the journal is resumed if the result is the same.

    With a runner, chunks of frames are tasks (see `openmm_hybrid.tasks`), on this machine or a cluster. Each worker
    makes the engine again, as `reference.engine` made it. The labels of finished chunks stay in the store, and to
    compute all labels anew, the store has to be removed too. A chunk whose task fails does not stop the others; the
    next call tries it again.

    Parameters
    ----------
    engine : ReferenceEngine
    molecule : Molecule or atomic numbers (n_atoms,)
        A force field such as MMFF94 needs bonds; without a Molecule it gets those of the first geometry.
    positions : (n_frames, n_atoms, 3), Å, or an `openmm.unit` quantity
    output : path
        File of the labelled frames: ``.npz``, ``.xyz``, ``.extxyz``, ``.h5`` or ``.hdf5``.
    progress : bool
        Show a progress bar.
    name : str
        Name of the data set; the molecule's name if empty.
    order_known : bool
        Whether the geometries are known to have the molecule's (or model's) order of atoms. Otherwise a bond that is
        far too long in most of them counts as a sign of another order, and is refused.
    runner : Runner, optional
        Where the labels are computed: by default in this process, without tasks unless there is a store.
    store : Store, optional
        Store of finished chunks, which all workers must see; for a runner, by default the folder of the output's name
        with ``.tasks`` appended.
    chunk : int
        Frames of a task.

    Raises
    ------
    InputError
        Wrong shapes, coordinates that are not finite or in bohr or nm, an unknown ending, no frames, a damaged journal,
        atoms that the engine refuses, bonds that it needs and that are not clear, or an ASE calculator that does not
        read the charge of the Atoms; an output that exists and is not of this labelling; a chunk below 1, or a runner
        and an engine that `reference.engine` did not make.
    MismatchError
        The net charge of the engine is not the molecule's, the positions are in another order of atoms than the
        molecule or a model, or the journal belongs to other geometries, other atoms or another level of theory.
    NumericalError
        Every frame failed.
    HybridError
        A file cannot be written, the memory does not suffice, or the task of a chunk failed.

    Warns
    -----
    UserWarning
        An ASE calculator does not read the multiplicity of the Atoms; or, without a Molecule, the bonds of the first
        geometry fit another net charge than the engine's.
    """
    path = expanded(output)
    check_ending(path)
    if chunk < 1:
        raise InputError(f"chunk = {chunk!r}", expected="1 or more frames")
    if isinstance(molecule, Molecule):
        _check_charge(engine, molecule)
    atomic_numbers = molecule.atomic_numbers if isinstance(molecule, Molecule) else np.asarray(molecule)
    title = name or (molecule.name if isinstance(molecule, Molecule) else path.stem)
    theory = f"{engine.theory} ({engine.program})" if engine.program else engine.theory
    given = Frames(atomic_numbers, units.positions_to_angstrom(positions), name=title, theory=theory)
    if not len(given):
        raise InputError("there are no frames to label")
    _check_lengths(given)
    request, drawn = engine.request, _drawn(engine, molecule, given)
    engine = engine if drawn is None else engine.for_molecule(drawn)
    engine.check(given.atomic_numbers)
    if isinstance(molecule, Molecule):
        if not order_known:
            check_order(molecule, given)
    else:
        if engine.bonds is not None and not order_known:
            check_bonds(f"the molecule of {engine.theory}", engine.bonds, None, given)
        _look_at_charge(engine, given)
    tasks = None
    if runner is not None or store is not None:
        place = store or Store(path.with_name(path.name + ".tasks"))
        tasks = LabelTasks.of(engine, request, given, drawn, runner or SerialRunner(), place, chunk)
    kept = path.with_name(path.name + ".journal")
    _check_output(path, kept, given)
    with Journal(kept, _job(engine, given), engine.effort) as journal:
        _compute(engine, given, journal, tasks, progress)
        labels = dict(journal.labels)
    result = _collect(given, labels, journal.path)
    result.frames.save(path)
    return result


def _check_output(path: Path, journal: Path, given: Frames) -> None:
    """Refuse a file that this labelling has not written; a journal refuses another job by itself."""
    if not path.exists() or (journal.is_file() and journal.stat().st_size):
        return
    try:
        old = Frames.load(path)
    except InputError:
        old = None
    if old is not None and old.theory == given.theory and _holds(given, old):
        return
    raise InputError(
        f"{path} exists and is not of this labelling" + (f": it holds {old!r}" if old is not None else ""),
        expected="a file that does not exist, or one of the same frames and level of theory",
        hint="give another path, or remove the file",
    )


def _holds(given: Frames, old: Frames) -> bool:
    """Whether all geometries of `old` are among the given ones, in their order."""
    if not np.array_equal(old.atomic_numbers, given.atomic_numbers):
        return False
    rest = iter(given.positions)
    return all(any(np.abs(frame - row).max() < _SAME_POSITION for frame in rest) for row in old.positions)


def _drawn(engine: ReferenceEngine, molecule: Molecule | ArrayLike, frames: Frames) -> Molecule | None:
    """The molecule for the engine: the given one, or one with the bonds of the first geometry if it needs bonds."""
    if isinstance(molecule, Molecule):
        return molecule
    if not engine.needs_bonds:
        return None
    try:
        return Molecule.from_geometry(
            frames.atomic_numbers, frames.positions[0], charge=engine.net_charge or 0, name=frames.name
        )
    except InputError as error:
        raise InputError(
            f"{engine.theory} needs the bonds, and those of the first geometry are not clear: {error}",
            hint="give a Molecule in place of the atomic numbers",
        ) from error


def _check_charge(engine: ReferenceEngine, molecule: Molecule) -> None:
    if engine.net_charge not in (None, molecule.charge):
        raise MismatchError(
            f"{engine.theory} is set to the net charge {engine.net_charge:+d} e",
            expected=f"{molecule.charge:+d} e for {molecule.name}",
            hint="give the engine charge=molecule.charge",
        )


def _check_lengths(frames: Frames) -> None:
    """Refuse positions in bohr or nm. Two atoms, and atoms of other elements, may be as far apart as they are."""
    if frames.n_atoms > 2 and np.isin(frames.atomic_numbers, _ORGANIC).all() and (fault := length_fault(frames)):
        raise InputError(fault, expected="positions in Å, or a Quantity")


def _look_at_charge(engine: ReferenceEngine, frames: Frames) -> None:
    """Warn if bonds fit the first geometry for another net charge, and not for that of the engine."""
    charge = engine.net_charge
    if charge is None or frames.n_atoms > _MOST_ATOMS or not np.isin(frames.atomic_numbers, _ORGANIC).all():
        return
    if _can_be_drawn(frames, charge) is not False:
        return
    others = [other for other in (charge + 2, charge - 2) if _can_be_drawn(frames, other)]
    if len(others) == 1:
        warnings.warn(
            f"{engine.theory} is set to the net charge {charge:+d} e, and the bonds of the first geometry look like "
            f"{others[0]:+d} e; if so, give the engine charge={others[0]}. A Molecule in place of the atomic numbers "
            "settles it.",
            stacklevel=3,
        )


def _can_be_drawn(frames: Frames, charge: int) -> bool | None:
    """Whether bonds fit the first geometry and a charge; None if there are too many combinations to try."""
    bare = without_bonds(frames.atomic_numbers, frames.positions[0])
    try:
        molecule = Molecule.from_rdkit(perceived(bare, charge, frames.name, _MOST_VALENCES))
    except NumericalError:
        return None
    except InputError:
        return False
    # RDKit reduces some nitro groups to reach a charge.
    return not molecule.to_rdkit().HasSubstructMatch(Chem.MolFromSmarts("[#7]([O-])[O-]"))


def _compute(
    engine: ReferenceEngine, given: Frames, journal: Journal, tasks: LabelTasks | None, progress: bool
) -> None:
    """Add the labels that the journal lacks, from tasks or computed here."""
    done = dict(journal.labels)
    if not engine.known_by_settings:
        _check_same_result(engine, given, done, journal.path)
        if tasks is not None:
            _check_same_result(engine, given, tasks.stored(), tasks.store.path)
    if len(done) == len(given):
        return
    engine.inspect(given.atomic_numbers, given.positions[0])
    labels = _one_by_one(engine, given, done) if tasks is None else tasks.labels(done)
    title = f"labelling with {engine.theory}"
    with progress_bar(len(given), title, "frames", done=len(done), enabled=progress) as advance:
        for index, found in labels:
            journal.add(index, found)
            advance(1)


def _one_by_one(engine: ReferenceEngine, given: Frames, done: Mapping[int, Label]) -> Iterator[tuple[int, Label]]:
    """Index and label of each frame that is not done."""
    for index in range(len(given)):
        if index not in done:
            yield index, Label.of(engine, given.atomic_numbers, given.positions[index])


def _check_same_result(engine: ReferenceEngine, given: Frames, labels: Mapping[int, Label], path: Path) -> None:
    """Compute the first finished frame again, and refuse the labels of an engine that gave another result."""
    for index, old in sorted(labels.items()):
        if old.forces is None:
            continue
        new = Label.of(engine, given.atomic_numbers, given.positions[index])
        same = (
            new.forces is not None
            and np.allclose(new.energy, old.energy, rtol=1e-6, atol=_SAME_ENERGY)
            and np.allclose(new.forces, old.forces, rtol=1e-3, atol=_SAME_FORCE)
        )
        if not same:
            found = new.reason or f"{new.energy:.2f} kcal/mol"
            raise MismatchError(
                f"{engine.theory} gives {found} for frame {index}, and {path} has {old.energy:.2f} kcal/mol",
                expected="the same calculator",
                hint=f"give another path, or remove {path} to start anew",
            )
        return


def _collect(given: Frames, labels: Mapping[int, Label], journal: Path) -> LabelResult:
    failed = {index: labels[index].reason for index in sorted(labels) if labels[index].reason}
    indices = np.array([index for index in sorted(labels) if index not in failed], dtype=np.int64)
    if not indices.size:
        raise NumericalError(
            f"{given.theory} failed for all {len(given)} frames; the first: {failed[0]}",
            hint=f"check units (Å), atom order and net charge, and remove {journal} to try again",
        )
    frames = Frames(
        given.atomic_numbers,
        given.positions[indices],
        energies=np.array([labels[index].energy for index in indices.tolist()]),
        forces=np.array([labels[index].forces for index in indices.tolist()]),
        name=given.name,
        theory=given.theory,
    )
    return LabelResult(frames=frames, indices=indices, failed=failed)


def _job(engine: ReferenceEngine, given: Frames) -> dict[str, str | int | list[int]]:
    """Description of a job; a journal is resumed only by the same job."""
    return {
        "theory": engine.theory,
        "program": engine.program,
        "settings": engine.settings,
        "atomic_numbers": given.atomic_numbers.tolist(),
        "n_frames": len(given),
        "positions_sha256": fingerprint(given.positions),
    }
