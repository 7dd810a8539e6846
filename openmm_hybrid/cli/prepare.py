"""Verbs before training: build a molecule's GAFF, label its geometries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmm_hybrid.cli.error_lines import complain
from openmm_hybrid.cli.options import Output, Seed
from openmm_hybrid.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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

    from openmm_hybrid.core.files import replacing
    from openmm_hybrid.data.molecule import Molecule
    from openmm_hybrid.gaff import build as build_gaff
    from openmm_hybrid.gaff.solvate import Solvent
    from openmm_hybrid.systems.system_files import save_system

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
    result = reference.label(reference.engine(engine, charge=charge), numbers, positions, output=output)
    print(f"{len(result.frames)} frames in {output}, {len(result.failed)} failed")
    for index, reason in result.failed.items():
        complain(f"frame {index}: {reason}")


def _geometries(path: Path, count: int | None, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Atomic numbers and positions of a file of frames or a sampling run, drawn at random where fewer are wanted."""
    import numpy as np

    from openmm_hybrid.data.frames import Frames
    from openmm_hybrid.sampling.sample_result import SampleResult
    from openmm_hybrid.systems.system_files import load_topology

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
