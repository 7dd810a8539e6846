"""How long fits of aspirin's force fields take, what memory they need, and an epoch against autograd, in one run.

python -m benchmarks.fit_speed [--frames 1100] [--threads 2] [--only cross,nn,epoch]

cross and nn are `oh.fit` of GAFF with cross terms and with networks on MD17's aspirin, from the loaded frames to the
result with its errors on 1000 test frames and its checks, each in a process of its own. epoch is one gradient of the
training loss of the network force field by all weights of its networks, for all frames: with cached Jacobians and the
networks at knots (ours: all frames at once, as L-BFGS has it; and in batches of 300, as Adam has it), and by autograd
of the whole energy through the positions and again by the weights (autograd, in batches of 275); same frames, same
float32; all take turns, and the ratio is the median of that of each round to ours at once. gradient_difference is the
norm of the difference of both gradients over that of autograd's.
GAFF 1.81 with AM1-BCC charges; OPENMM_HYBRID_DATA names the folder of the reference data.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

import openmm_hybrid as oh
from benchmarks.peak import peak
from benchmarks.worker import ROOT, THREADS, data_folder, settings, use_settings
from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.fitting import GradientSettings
from openmm_hybrid.fitting.cached_frames import CachedFrames
from openmm_hybrid.fitting.fit import free_parameters
from openmm_hybrid.fitting.ranges import set_ranges
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from openmm_hybrid.forcefield import ForceField

PARTS = ("cross", "nn", "epoch")
FORMS: dict[str, dict[str, Any]] = {
    "cross": {"cross": True},
    "nn": {"bonds": "neural", "angles": "neural", "propers": "neural"},
}
ROUNDS = 7
BATCH = 275
"""Frames of a batch of autograd, which is slower with all of them at once."""


def aspirin(form: str) -> tuple[ForceField, oh.Frames]:
    """The force field before the fit, and MD17's frames."""
    frames = oh.Frames.load(data_folder() / "md17_aspirin.npz")
    lowest = int(np.argmin(frames.labels()[0]))
    molecule = oh.Molecule.from_geometry(frames.atomic_numbers, frames.positions[lowest], name="aspirin")
    built = oh.gaff.build(molecule, version="1.81", charges="am1-bcc", progress=False)
    return ForceField.from_system(built.system, built.topology, name="aspirin").edit(**FORMS[form]), frames


def fitted(form: str, n: int) -> dict[str, Any]:
    """Seconds, memory and errors of one fit."""
    forcefield, frames = aspirin(form)
    before = peak()["peak_GB"]
    start = time.perf_counter()
    result = oh.fit(forcefield, frames, n_train=n, progress=False)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, **peak(), "before_GB": before, **result.as_dict()}


def epochs(n: int) -> dict[str, Any]:
    """Milliseconds of an epoch of both sides in each round, and how far their gradients differ."""
    forcefield, frames = aspirin("nn")
    part = frames[np.random.default_rng(0).permutation(len(frames))[:n]]
    shared = set_ranges(SharedParameters.of([forcefield]), [part])
    weights = free_parameters(shared, ())[1]
    cached = CachedFrames(shared, 0, part, weights)
    positions, labels = torch.tensor(part.positions).float(), torch.tensor(part.labels()[1]).flatten(1).float()
    energies = torch.tensor(part.labels()[0] - part.labels()[0].mean()).float()
    module = shared.forcefields[0].module().float()
    theta = torch.tensor(shared.parameters.values).float()
    theta[weights] += 0.1 * torch.randn(len(weights), generator=torch.Generator().manual_seed(0))

    def ours(batches: Sequence[torch.Tensor | None] = (None,)) -> torch.Tensor:
        own = theta.clone().requires_grad_()
        for batch in batches:
            force, energy = cached.residuals(own, batch)
            ((force**2).sum() + ((energy - energy.mean()) ** 2).sum()).backward()
        assert own.grad is not None
        return own.grad

    def autograd() -> torch.Tensor:
        own = theta.clone().requires_grad_()
        for batch in torch.arange(n).split(BATCH):
            r = positions[batch].requires_grad_()
            predicted = module.slopes(module.internal(r)[0], own)[0]
            (slope,) = torch.autograd.grad(predicted.sum(), r, create_graph=True)
            force, energy = labels[batch] + slope.flatten(1), energies[batch] - predicted
            ((force**2).sum() + ((energy - energy.mean()) ** 2).sum()).backward()
        assert own.grad is not None
        return own.grad

    adam = torch.arange(n).split(GradientSettings().batch)
    sides: dict[str, Callable[[], torch.Tensor]] = {
        "ours": ours,
        "ours_in_batches": lambda: ours(adam),
        "autograd": autograd,
    }
    gradients = {name: side() for name, side in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            times[name].append(1e3 * (time.perf_counter() - start))
    gradients = {name: gradient[weights] for name, gradient in gradients.items()}
    difference = (gradients["ours"] - gradients["autograd"]).norm() / gradients["autograd"].norm()
    return {"times_ms": times, "gradient_difference": float(difference)}


def measured(name: str, n: int, threads: int) -> dict[str, Any]:
    """A part, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.fit_speed", "--part", name, "--frames", str(n)]
    done = subprocess.run(
        [*command, "--threads", str(threads)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    """Measure and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1100, help="to train on")
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--only", default=",".join(PARTS), help="names of parts, separated by commas")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    use_settings("benchmarks.fit_speed", options.threads)
    torch.set_num_threads(options.threads)
    n = options.frames
    if options.part:
        print(json.dumps(epochs(n) if options.part == "epoch" else fitted(options.part, n)))
        return
    load = os.getloadavg()[0]
    parts = {name: measured(name, n, options.threads) for name in options.only.split(",")}
    figures: dict[str, tuple[float, str]] = {}
    for name in ("cross", "nn"):
        if name in parts:
            figures[f"fit_seconds.{name}_aspirin_{n}"] = (parts[name]["seconds"], "s")
            figures[f"fit_memory.{name}_aspirin_{n}"] = (parts[name]["peak_GB"], "GB")
            test = parts[name]["molecules"]["aspirin"]["test"]
            figures[f"fit_force_rmse.{name}_aspirin_{n}"] = (test["force_rmse"], "kcal/mol/Å")
    if "epoch" in parts:
        times = {name: np.array(values) for name, values in parts["epoch"]["times_ms"].items()}
        figures["fit_ratio"] = (float(np.median(times["autograd"] / times["ours"])), "1")
        figures["gradient_difference"] = (parts["epoch"]["gradient_difference"], "1")
        figures |= {f"epoch.{name}": (float(np.median(values)), "ms") for name, values in times.items()}
    print(
        to_json(
            document(
                "fit_speed",
                figures,
                frames=n,
                threads=options.threads,
                environment=settings(options.threads),
                load_average_before=load,
                parts=parts,
            )
        )
    )


if __name__ == "__main__":
    main()
