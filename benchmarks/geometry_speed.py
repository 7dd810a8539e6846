"""Time per geometry, energy and forces, of 20 000 geometries of ethanol on one core.

python -m benchmarks.geometry_speed [--geometries 20000] [--rounds 3]

The protocol of Houston et al., J. Chem. Phys. 156, 044120 (2022), whose subject are permutationally invariant
polynomials: how long does a model take for 20 000 geometries of ethanol on one core? The models are GAFF and GAFF with
cross terms (shipped), and the sGDML model of 1000 frames that its authors published in 2018. OPENMM_HYBRID_DATA is the
folder of the reference data: the geometries are those of MD17, repeated if there are too few. GFN2-xTB is timed for
20 of them. All models take turns; a time is the median over the rounds.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import openmm_hybrid as oh
from benchmarks.timing import Timed, interleaved, rounded, timed
from benchmarks.worker import data_folder, settings, use_settings
from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.models.energy_model import EnergyModel

BATCH = 1000  # geometries of one call
ENGINE_GEOMETRIES = 20


def main() -> None:
    """Measure and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--geometries", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    use_settings("benchmarks.geometry_speed", 1)
    torch.set_num_threads(1)
    frames = oh.Frames.load(data_folder() / "md17_ethanol.npz")
    positions = np.resize(frames.positions, (options.geometries, *frames.positions.shape[1:]))
    models: dict[str, EnergyModel] = {
        "gaff": oh.ForceField.load("ethanol-gaff"),
        "cross": oh.ForceField.load("ethanol-cross"),
        "sgdml": oh.sgdml.load(data_folder() / "sgdml_model_2018_ethanol.npz"),
    }
    engine = oh.reference.engine("gfn2")

    def predicted(model: EnergyModel) -> Timed:
        def every() -> None:
            for first in range(0, len(positions), BATCH):
                model.predict(positions[first : first + BATCH])

        return timed(every)

    def computed() -> None:
        for geometry in positions[:ENGINE_GEOMETRIES]:
            engine.compute(frames.atomic_numbers, geometry)

    for model in models.values():
        model.predict(positions[:BATCH])  # compiles
    sides = {name: predicted(model) for name, model in models.items()} | {"gfn2": timed(computed)}
    counts = dict.fromkeys(models, len(positions)) | {"gfn2": ENGINE_GEOMETRIES}
    times = interleaved(sides, options.rounds, dict.fromkeys(sides, 1), skipped=0)
    figures = {
        f"microseconds.{name}": (1000.0 * float(np.median(milliseconds)) / counts[name], "µs")
        for name, milliseconds in times.items()
    }
    print(
        to_json(
            document(
                "geometry_speed", figures, geometries=len(positions), distinct=len(frames), environment=settings(1),
                rounds_ms=rounded(times),
            )
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
