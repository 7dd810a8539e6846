"""The command line: thin verbs over the library.

Every error that a user can mend is one line on standard error and exit status 2, without a traceback
(``--traceback`` or OPENMM_HYBRID_TRACEBACK=1 shows it); Ctrl-C is exit status 130.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmm_hybrid import __version__
from openmm_hybrid.cli_errors import Verbs, complain
from openmm_hybrid.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from openmm_hybrid.models.base import EnergyModel
    from openmm_hybrid.molecule import Molecule


app = typer.Typer(
    cls=Verbs,
    help="GAFF with machine-learned corrections as OpenMM forces, for small organic molecules.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    show_traceback: Annotated[
        bool, typer.Option("--traceback", envvar="OPENMM_HYBRID_TRACEBACK", help="Show where an error came from.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options of every verb."""


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Show what can run on this machine, and what to do about the rest; exit status 1 if the main job cannot."""
    from openmm_hybrid.studies.doctor import examine, print_report

    report = examine()
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print_report(report)
    raise typer.Exit(0 if report.ready else 1)


Output = Annotated[Path, typer.Option("--output", "-o", help="Where the result goes.")]
Sigma = Annotated[float, typer.Option(help="Length of the kernel, 1/Å.")]
Lam = Annotated[float, typer.Option(help="Regularisation of the forces divided by their standard deviation.")]
NTrain = Annotated[int | None, typer.Option(help="Train on so many frames, drawn at random; all by default.")]
Seed = Annotated[int, typer.Option(help="Of random choices.")]
EnergyUnit = Annotated[str, typer.Option("--e-unit", help="Unit of energy of frames that do not name one: eV, …")]
MoleculeFile = Annotated[
    Path | None, typer.Option("--molecule", help="SDF of the molecule, for its symmetries; else taken from distances.")
]


@app.command()
def build(
    molecule: Annotated[str, typer.Argument(help="SMILES, or an SDF, MOL, MOL2 or PDB file.")],
    output: Output,
    name: Annotated[str, typer.Option(help="Name of the molecule.")] = "",
    version: Annotated[str, typer.Option(help="Of GAFF: 1.81, 2.11 or 2.2.20.")] = "1.81",
    charges: Annotated[str, typer.Option(help="resp or am1-bcc.")] = "resp",
    padding: Annotated[float | None, typer.Option(help="Solvate with so many Å to the periodic images.")] = None,
    water: Annotated[str, typer.Option(help="Water model of --padding.")] = "tip3p",
) -> None:
    """GAFF for a molecule: system.xml, topology.pdb, gaff.xml and molecule.sdf in the output folder."""
    from rdkit import Chem

    from openmm_hybrid.files import replacing
    from openmm_hybrid.gaff import build as build_gaff
    from openmm_hybrid.gaff.solvate import Solvent
    from openmm_hybrid.molecule import Molecule
    from openmm_hybrid.simulation.system_files import save_system

    if padding is not None:
        Solvent(padding=padding, water=water)  # refuses what it does not know before the charges, which take long
    is_file = Path(molecule).suffix.lower() in (".sdf", ".mol", ".mol2", ".pdb")
    parsed = Molecule.from_file(molecule, name=name) if is_file else Molecule.from_smiles(molecule, name=name)
    built = build_gaff(parsed, version=version, charges=charges)
    if padding is not None:
        built = built.solvate(padding=padding, water=water)
    with replacing(output / "molecule.sdf") as temporary:
        Chem.MolToMolFile(parsed.to_rdkit(), str(temporary))
    built.to_ffxml(output / "gaff.xml")
    save_system(output, built.system, built.topology, built.positions)
    charge = f"{parsed.charge:+d}" if parsed.charge else "0"
    print(f"{parsed.name}: {built.system.getNumParticles()} particles, net charge {charge} e, in {output}")


@app.command()
def label(
    frames: Annotated[Path, typer.Argument(help="Frames (npz, xyz, h5), or the folder of a sampling run.")],
    output: Output,
    engine: Annotated[str, typer.Option(help="Who labels: gfn2 or gfn1.")] = "gfn2",
    charge: Annotated[int, typer.Option(help="Net charge, e.")] = 0,
    count: Annotated[int | None, typer.Option(help="Label so many frames, drawn at random; all by default.")] = None,
    seed: Seed = 0,
) -> None:
    """Reference energies and forces of geometries; started again, it goes on where it stopped."""
    from openmm_hybrid import reference

    numbers, positions = _geometries(frames, count, seed)
    result = reference.label(reference.engine(engine, charge=charge), numbers, positions, path=output)
    print(f"{len(result.frames)} frames in {output}, {len(result.failed)} failed")
    for index, reason in result.failed.items():
        complain(f"frame {index}: {reason}")


@app.command()
def train(
    frames: Annotated[Path, typer.Argument(help="Labelled frames (npz, xyz, h5).")],
    output: Output,
    sigma: Sigma = 20.0,
    lam: Lam = 1e-10,
    n_train: NTrain = None,
    molecule: MoleculeFile = None,
    e_unit: EnergyUnit = "",
    seed: Seed = 0,
) -> None:
    """An sGDML model of labelled frames, as npz."""
    from openmm_hybrid import sgdml
    from openmm_hybrid.frames import Frames

    _check_npz(output)
    data, known = Frames.load(frames, e_unit=e_unit), _molecule(molecule)
    model = sgdml.train(data, sigma=sigma, lam=lam, n_train=n_train, molecule=known, seed=seed)
    model.save(output)
    print(f"sGDML model of {data.name} in {output}")


@app.command()
def correct(
    system: Annotated[Path, typer.Argument(help="Folder of `build`, in vacuum.")],
    frames: Annotated[Path, typer.Argument(help="Labelled frames of the same atoms.")],
    output: Output,
    sigma: Sigma = 1.0,
    lam: Lam = 1e-10,
    n_train: NTrain = None,
    e_unit: EnergyUnit = "",
    seed: Seed = 0,
) -> None:
    """An sGDML model of the difference between labels and force field, as npz."""
    from openmm_hybrid import correction
    from openmm_hybrid.frames import Frames
    from openmm_hybrid.gaff import SystemModel
    from openmm_hybrid.simulation.system_files import load_system

    _check_npz(output)
    forces, topology, _ = load_system(system)
    if forces.usesPeriodicBoundaryConditions():
        raise InputError(f"{system} is solvated", expected="the molecule in vacuum", mend="build it without --padding")
    data = Frames.load(frames, e_unit=e_unit)
    known = _molecule(system / "molecule.sdf" if (system / "molecule.sdf").is_file() else None)
    field = SystemModel(forces, topology)
    model = correction.train(field, data, sigma=sigma, lam=lam, n_train=n_train, molecule=known, seed=seed)
    model.save(output)
    print(f"correction of {data.name} in {output}")


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="sGDML model or correction (npz).")],
    output: Output,
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
) -> None:
    """The model as one TorchScript file, which plain libtorch loads."""
    from openmm_hybrid import sgdml
    from openmm_hybrid.models.artifact import export_torchscript

    loaded = sgdml.load(model)
    export_torchscript(loaded, output, name=loaded.name, theory=loaded.theory, dtype=dtype)
    print(f"TorchScript module of {loaded.n_atoms} atoms in {output}")


@app.command()
def sample(
    system: Annotated[Path, typer.Argument(help="Folder of `build`.")],
    output: Output,
    model: Annotated[Path | None, typer.Option(help="Model to add: npz of sGDML, or pt of `export`.")] = None,
    atoms: Annotated[str, typer.Option(help="Atoms of the model, such as 0-8,12; the first ones by default.")] = "",
    backend: Annotated[str, typer.Option(help="auto, torchforce or pythonforce.")] = "auto",
    duration: Annotated[float, typer.Option(help="Length of the run, ps.")] = 100.0,
    temperature: Annotated[float, typer.Option(help="K")] = 500.0,
    timestep: Annotated[float, typer.Option(help="fs")] = 0.5,
    friction: Annotated[float, typer.Option(help="1/ps")] = 1.0,
    interval: Annotated[int, typer.Option(help="Steps between frames.")] = 200,
    ensemble: Annotated[str, typer.Option(help="nvt or nve.")] = "nvt",
    platform: Annotated[str, typer.Option(help="auto, or an OpenMM platform.")] = "auto",
    format: Annotated[str, typer.Option(help="dcd or xtc.")] = "dcd",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Remove the run that is in the folder.")] = False,
    seed: Seed = 0,
) -> None:
    """Molecular dynamics with force field and model; started again, it goes on where it stopped."""
    from openmm_hybrid.simulation.attach import attach
    from openmm_hybrid.simulation.sample import sample as run
    from openmm_hybrid.simulation.system_files import load_system

    if atoms and model is None:
        raise InputError("atoms were given without a model", mend="name the model that they belong to: --model")
    forces, topology, positions = load_system(system)
    if model is not None:
        loaded = _model(model)
        attach(forces, topology, loaded, atoms=_indices(atoms) or range(loaded.n_atoms), backend=backend)
    result = run(
        forces,
        topology,
        positions,
        output=output,
        duration=duration,
        temperature=temperature,
        timestep=timestep,
        friction=friction,
        interval=interval,
        ensemble=ensemble,
        platform=platform,
        format=format,
        overwrite=overwrite,
        seed=seed,
    )
    print(f"{len(result.positions)} frames in {output}, {result.speed:.3g} ns/day")


def _check_npz(output: Path) -> None:
    """Refuse a name that a model cannot be saved under before the training, not after it."""
    if output.suffix != ".npz":
        raise InputError(f"a model cannot be written to {output}", expected="a name that ends in .npz")


def _molecule(path: Path | None) -> Molecule | None:
    from openmm_hybrid.molecule import Molecule

    return None if path is None else Molecule.from_file(path)


def _model(path: Path) -> EnergyModel:
    from openmm_hybrid import sgdml
    from openmm_hybrid.models.artifact import load_torchscript

    return load_torchscript(path) if path.suffix in (".pt", ".pth") else sgdml.load(path)


def _geometries(path: Path, count: int | None, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Atomic numbers and positions of a file of frames or a sampling run, drawn at random where fewer are wanted."""
    import numpy as np

    from openmm_hybrid.frames import Frames
    from openmm_hybrid.simulation.result import SampleResult
    from openmm_hybrid.simulation.system_files import load_topology

    if path.is_dir():
        positions = SampleResult.open(path).positions
        topology = load_topology(path)[0]
        if topology.getPeriodicBoxVectors() is not None:
            raise InputError(f"the run in {path} is periodic", expected="a run of a molecule in vacuum")
        numbers = np.array([atom.element.atomic_number for atom in topology.atoms()])
    else:
        frames = Frames.load(path)
        numbers, positions = frames.atomic_numbers, frames.positions
    if count is None:
        return numbers, positions
    if not 0 < count <= len(positions):
        raise InputError(f"{count} frames were asked for", expected=f"1 to {len(positions)}, as many as {path} has")
    return numbers, positions[np.random.default_rng(seed).choice(len(positions), count, replace=False)]


def _indices(text: str) -> list[int]:
    """0-based indices from text such as "0-8,12"."""
    chosen: list[int] = []
    try:
        for part in filter(None, text.split(",")):
            first, dash, last = part.partition("-")
            run = range(int(first), int(last if dash else first) + 1)
            if not run:
                raise ValueError
            chosen += run
    except ValueError:
        raise InputError(f"cannot read the atoms {text!r}", expected="indices and ranges such as 0-8,12") from None
    return chosen


def main() -> None:
    """Run the command line; the entry point ``openmm-hybrid``."""
    app()


if __name__ == "__main__":
    main()
