"""Verbs before training: build a molecule with GAFF, and label geometries."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from openmm_hybrid.cli.error_lines import complain, print_result, progress_wanted
from openmm_hybrid.cli.options import Json, OutputFile, OutputFolder, Seed, Template, argument, named, path_option
from openmm_hybrid.cli.runner_options import MEMORY, THREADS, Memory, Scheduler, SchedulerFile, Threads, cluster_of
from openmm_hybrid.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOLECULE_FILES = (".sdf", ".mol", ".mol2", ".pdb")


def build(
    ctx: typer.Context,
    molecule: Annotated[str, typer.Argument(help="SMILES, or an SDF, MOL, MOL2 or PDB file.")],
    output: OutputFolder,
    name: Annotated[str, typer.Option(help="Name of the molecule.")] = "",
    template: Template = "",
    base: Annotated[str, named("openmm_hybrid.bases:names", help="Base force field.")] = "gaff-2.2.20",
    charges: Annotated[str, named("openmm_hybrid.charges:METHODS", help="Method for the partial charges.")] = "resp",
    constraints: Annotated[
        Literal["none", "HBonds", "AllBonds"],
        typer.Option(help="Bonds of the molecule with a fixed length: those to hydrogen (HBonds), or all."),
    ] = "none",
    hydrogen_mass: Annotated[
        float | None,
        typer.Option(help="Mass of the molecule's hydrogen atoms, Da; 3 allows steps of 4 fs with HBonds."),
    ] = None,
    padding: Annotated[
        float | None, typer.Option(help="Solvate the molecule, with this distance to its periodic images, Å.")
    ] = None,
    water: Annotated[str, named("openmm_hybrid.bases.solvate:WATERS", help="Water model for --padding.")] = "tip3p",
    as_json: Json = False,
) -> None:
    """Build a molecule with GAFF or OpenFF and write a folder.

    It holds system.xml, topology.pdb, forcefield.xml and molecule.sdf.
    """
    from openmm_hybrid.bases.build import build as build_system
    from openmm_hybrid.bases.solvate import Solvent
    from openmm_hybrid.data.molecule import Molecule
    from openmm_hybrid.systems.build_folder import check_build_folder, write_build

    if padding is not None:
        Solvent(padding=padding, water=water)  # checks the options before the charges, which take long
    is_file = Path(molecule).suffix.lower() in _MOLECULE_FILES
    if not is_file and os.path.exists(molecule):  # Path.exists fails for a long SMILES
        raise InputError(
            f"cannot read a molecule from {molecule}",
            expected=f"a SMILES, or a file ending in {', '.join(_MOLECULE_FILES)}",
        )
    if template and not is_file:
        raise InputError(f"--template is given for {molecule!r}", expected="a template for a molecule file alone")
    parsed = (
        Molecule.from_file(Path(molecule).expanduser(), name=name, template=template)
        if is_file
        else Molecule.from_smiles(molecule, name=name)
    )
    check_build_folder(output, parsed)  # before the charges, which take long
    built = build_system(
        parsed,
        base=base,
        charges=charges,
        constraints=None if constraints == "none" else constraints,
        hydrogen_mass=hydrogen_mass,
        progress=progress_wanted(ctx),
    )
    if padding is not None:
        built = built.solvate(padding=padding, water=water)
    write_build(output, built, base=base, method=charges)
    n_particles = built.system.getNumParticles()
    charge = f"{parsed.charge:+d}" if parsed.charge else "0"
    print_result(
        f"{parsed.name}: {n_particles} particles, net charge {charge} e, in {output}",
        {"name": parsed.name, "particles": n_particles, "net_charge": parsed.charge, "output": str(output)},
        as_json=as_json,
    )


def label(
    ctx: typer.Context,
    frames: Annotated[Path, argument("Frames (npz, xyz, h5), or a folder of `sample` or `build`.")],
    output: OutputFile,
    engine: Annotated[
        str,
        named(
            "openmm_hybrid.reference:ENGINES",
            help="Engine of the labels, with its level: pyscf:wb97x-d3/def2-svp, ase:MODULE:CLASS?key=value.",
        ),
    ] = "gfn2",
    method: Annotated[str | None, typer.Option(help="Method of the engine, if --engine does not name it.")] = None,
    basis: Annotated[str | None, typer.Option(help="Basis set of the engine, if --engine does not name it.")] = None,
    charge: Annotated[
        int | None,
        typer.Option(help="Net charge, e; by default that of the folder's System, or 0.", show_default=False),
    ] = None,
    multiplicity: Annotated[int, typer.Option(help="Spin multiplicity 2S + 1.")] = 1,
    count: Annotated[
        int | None, typer.Option(help="Number of frames to label, chosen at random; by default all.")
    ] = None,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(help="Chunks of frames at a time; more than one needs Dask.")] = 1,
    memory: Memory = MEMORY,
    threads: Threads = THREADS,
    scheduler: Scheduler = "",
    scheduler_file: SchedulerFile = None,
    store: Annotated[
        Path | None,
        path_option(
            help="Folder of finished chunks, which all workers see; by default the output with .tasks appended."
        ),
    ] = None,
    chunk: Annotated[int, typer.Option(help="Frames of a chunk.")] = 10,
    as_json: Json = False,
) -> None:
    """Compute reference energies and forces of geometries; the same command resumes after a stop."""
    from openmm_hybrid import reference
    from openmm_hybrid.data.molecule import Molecule
    from openmm_hybrid.tasks import Store

    if output.expanduser().resolve() == frames.expanduser().resolve():
        raise InputError(f"the output {output} is the file of the frames", hint="give another path for the labels")
    atomic_numbers, positions, known = _geometries(frames, count, seed)
    used = _charge(frames, charge, known)
    optional = {"method": method, "basis": basis, "charge": used or None, "multiplicity": None}
    if multiplicity != 1:
        optional["multiplicity"] = multiplicity
    given: dict[str, Any] = {name: value for name, value in optional.items() if value is not None}
    made = reference.engine(engine, **given)
    drawn = frames / "molecule.sdf"
    atoms = Molecule.from_file(drawn) if made.needs_bonds and drawn.is_file() else atomic_numbers
    try:
        result = reference.label(
            made, atoms, positions, output=output, progress=progress_wanted(ctx),
            runner=cluster_of(workers, memory, threads, scheduler, scheduler_file),
            store=None if store is None else Store(store), chunk=chunk,
        )  # fmt: skip
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped, the finished frames are in {output}.journal; call again with the same settings to resume"
        ) from None
    for index, reason in result.failed.items():
        complain(f"frame {index}: {reason}")
    source = f"; net charge {used:+d} e, as the System in {frames}" if used and charge is None else ""
    print_result(
        f"{len(result.frames)} frames in {output}, {len(result.failed)} failed{source}",
        {
            "frames": len(result.frames),
            "net_charge": used,
            "theory": result.frames.theory,
            "failed": dict(result.failed),
            "output": str(output),
        },
        as_json=as_json,
    )


def _charge(path: Path, given: int | None, known: int | None) -> int:
    """Net charge (e) of the labels: the given one, or that of the molecule in a folder."""
    if known is None:
        if given is None and path.is_dir():
            complain(f"warning: {path} does not record its net charge, and 0 e is used; name it with --charge")
        return given or 0
    if given not in (None, known):
        raise InputError(
            f"the molecule in {path} has the net charge {known:+d} e, and --charge is {given:+d}",
            hint="leave --charge out, or label the frames of the right molecule",
        )
    return known


def _geometries(path: Path, count: int | None, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64], int | None]:
    """Atomic numbers, positions and net charge from frames, a run or a build; `count` of the frames, at random."""
    import numpy as np

    from openmm_hybrid.data.frames import Frames

    if path.is_dir():
        atomic_numbers, positions, charge = _folder(path)
    else:
        frames = Frames.load(path)
        atomic_numbers, positions, charge = frames.atomic_numbers, frames.positions, None
    if count is None:
        return atomic_numbers, positions, charge
    if not 0 < count <= len(positions):
        raise InputError(f"{count} frames were asked for", expected=f"1 to {len(positions)}, the frames in {path}")
    chosen = np.random.default_rng(seed).choice(len(positions), count, replace=False)
    return atomic_numbers, positions[chosen], charge


def _folder(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64], int | None]:
    """Atomic numbers, positions and net charge (None if it is not known) from a folder of `sample` or `build`."""
    import numpy as np

    from openmm_hybrid.data.molecule import Molecule
    from openmm_hybrid.models.system import net_charge
    from openmm_hybrid.sampling.sample_result import SampleResult
    from openmm_hybrid.systems.system_files import MANIFEST, SYSTEM, load_system, load_topology

    if (path / MANIFEST).is_file():
        system, topology, built = load_system(path)
        positions, charge = built[None], net_charge(system)
        sdf = path / "molecule.sdf"
        drawn = Molecule.from_file(sdf).charge if sdf.is_file() else charge
        if charge not in (None, drawn):
            raise InputError(
                f"{path / SYSTEM} has the net charge {charge:+d} e, and {sdf.name} {drawn:+d} e",
                hint="build the molecule again",
            )
        charge = drawn
    else:
        run = SampleResult.open(path)
        positions, charge = run.positions, run.net_charge
        topology = load_topology(path)[0]
    if topology.getPeriodicBoxVectors() is not None:
        raise InputError(f"{path} is periodic", expected="a molecule in vacuum")
    return np.array([atom.element.atomic_number for atom in topology.atoms()]), positions, charge
