"""Energies and forces of aspirin's sGDML model: here against sgdml 1.0.3 (numpy and torch), in one run.

python -m benchmarks.sgdml_evaluation --peer PYTHON [--points 1000] [--threads 2]   (PYTHON: the peer's environment's)

The model is the published one of 2018 (1000 points, 6 permutations); OPENMM_HYBRID_DATA is the folder of the reference
data. The peer runs in separate processes on the same model file and frames: its numpy predictor with default settings
(numpy) and with the fastest of all numbers of workers and chunk sizes (numpy_tuned), and its torch predictor.
"ours_mixed" is our module with the sums over training points in float32 (`KernelModule.mixed`). "gemm" is the time of
our matrix products alone, and "plain_gemm" the time of the products without symmetry: all pairs of the query in all
permutations with all training points, in both directions.

All sides have the same number of threads and take turns, A B C … A B C …; a ratio is the median over rounds of the
ratio within a round, so that other load on the machine affects both sides. Run nothing else nevertheless: two threads
wait for each other at every matrix product, so that a call becomes much slower if another program uses one of two
cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.timing import Timed, interleaved, ratio, rounded, timed
from benchmarks.worker import THREADS, Worker, data_folder, settings, use_settings
from openmm_hybrid import Frames, sgdml
from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.sgdml import SGDMLModel

BATCH = 1000
SINGLE_ROUNDS, BATCH_ROUNDS = 25, 3
PEERS = ("numpy", "numpy_tuned", "torch")
OURS = ("ours", "ours_mixed", "gemm", "plain_gemm")
REPEATS = dict.fromkeys(OURS, 40) | dict.fromkeys(PEERS, 8)
"""Single evaluations per round; the first two are not counted."""


def products(model: SGDMLModel) -> Callable[[], object]:
    """Only the matrix products of the evaluation of one frame, with the module's matrices."""
    module = model.module()
    rows = [module.basis, module.polynomial, module.basis_t]
    pairs = [(_ones(1, len(matrix)), matrix) for matrix in rows]
    stacks = [(_ones(2, 1, module.points.shape[1]), module.points)]
    stacks += [(_ones(2, 1, module.n_train), module.points.transpose(1, 2))]
    for block in module.blocks:
        size = block.d * block.d
        stacks += [
            (_ones(2, block.d, block.n_copies), block.points),
            (block.spread.expand(2, -1, -1), _ones(2, size, module.n_train)),
            (block.gather.expand(2, -1, -1), _ones(2, module.n_perms, module.n_train)),
            (_ones(2, block.d, block.d * module.n_train), block.points.transpose(1, 2)),
        ]

    def run() -> None:
        for left, right in pairs:
            torch.mm(left, right)
        for left, right in stacks:
            torch.bmm(left, right)

    return run


def plain_products(model: SGDMLModel) -> Callable[[], object]:
    """The products of one frame as the sums are written, a row for each permutation: all pairs, there and back."""
    rows, pairs = len(model.perms), model.descriptors.shape[1]
    points = _ones(pairs, 2 * model.n_train)
    queries, weights = _ones(rows, pairs), _ones(rows, 2 * model.n_train)
    return lambda: (queries @ points, weights @ points.t())


def _ones(*shape: int) -> torch.Tensor:
    return torch.ones(shape, dtype=torch.float64)


def measure(model: SGDMLModel, positions: NDArray[np.float64], python: Path, folder: Path) -> dict[str, Any]:
    """The document that is printed."""
    path, frames = model.save(folder / "model.npz"), folder / "frames.npy"
    np.save(frames, positions.reshape(len(positions), -1))
    script = torch.jit.freeze(torch.jit.script(model.module().eval()))
    mixed = torch.jit.freeze(torch.jit.script(model.module().mixed().eval()))
    one = torch.tensor(positions[:1])
    with ExitStack() as stack:
        peers = {kind: stack.enter_context(Worker.peer(python, folder, kind)) for kind in PEERS}
        for kind, peer in peers.items():
            peer.ask("load", model=str(path), frames=str(frames), use_torch=kind == "torch")
        exact = model.predict(positions[:20])[1].reshape(20, -1)
        differences = {kind: float(np.abs(peer.ask("forces", number=20) - exact).max()) for kind, peer in peers.items()}
        coarse = mixed(torch.tensor(positions[:20]))[1].numpy().reshape(20, -1)
        chosen = {"single": peers["numpy_tuned"].ask("prepare", number=1)}
        stack.enter_context(torch.inference_mode())
        sides: dict[str, Timed] = {
            "ours": timed(lambda: script(one)),
            "ours_mixed": timed(lambda: mixed(one)),
            "gemm": timed(products(model)),
            "plain_gemm": timed(plain_products(model)),
        }
        single = interleaved(sides | _timed_peers(peers, 1), SINGLE_ROUNDS, REPEATS, skipped=2)
        chosen["batch"] = peers["numpy_tuned"].ask("prepare", number=20)
        sides = {"ours": timed(lambda: model.predict(positions))} | _timed_peers(peers, len(positions))
        batch = interleaved(sides, BATCH_ROUNDS, dict.fromkeys(sides, 1), skipped=0)
    figures: dict[str, tuple[float, str]] = {
        f"evaluation_ratio.{kind}": (ratio(single[kind], single["ours"]), "1") for kind in PEERS
    }
    figures["evaluation_over_gemm"] = (ratio(single["ours"], single["gemm"]), "1")
    figures["evaluation_over_plain_gemm"] = (ratio(single["ours"], single["plain_gemm"]), "1")
    figures["batch_ratio"] = (ratio(np.minimum(batch["numpy"], batch["torch"]), batch["ours"]), "1")
    figures["batch_ratio_tuned"] = (ratio(batch["numpy_tuned"], batch["ours"]), "1")
    figures |= {f"evaluation.{name}": (float(np.median(times)), "ms") for name, times in single.items()}
    figures |= {f"batch.{name}": (float(np.median(times)), "ms") for name, times in batch.items()}
    return document(
        "sgdml_evaluation",
        figures,
        points=model.n_train,
        permutations=len(model.perms),
        frames_of_a_batch=len(positions),
        threads=torch.get_num_threads(),
        environment=settings(torch.get_num_threads()),
        load_average=os.getloadavg()[0],
        rounds_ms={"evaluation": rounded(single), "batch": rounded(batch)},
        bulk_workers_and_chunk_of_numpy_tuned=chosen,
        largest_force_difference_to_the_peer=differences,
        largest_force_difference_of_mixed=float(np.abs(coarse - exact).max()),
        largest_force=float(np.abs(exact).max()),
    )


def _timed_peers(peers: dict[str, Worker], number: int) -> dict[str, Timed]:
    return {
        kind: lambda repeats, peer=peer: peer.ask("times", number=number, repeats=repeats)  # type: ignore[misc]
        for kind, peer in peers.items()
    }


def main() -> None:
    """Measure and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="Python of an environment with sgdml 1.0.3 and torch")
    parser.add_argument("--threads", type=int, default=THREADS, help="of all sides")
    parser.add_argument("--points", type=int, default=1000, help="number of training points of the model to use")
    options = parser.parse_args()
    use_settings("benchmarks.sgdml_evaluation", options.threads)
    torch.set_num_threads(options.threads)
    data = data_folder()
    model = sgdml.load(data / "sgdml_model_2018_aspirin.npz")
    model = replace(
        model,
        descriptors=model.descriptors[: options.points],
        descriptor_alphas=model.descriptor_alphas[: options.points],
        alphas=None,
        idxs_train=model.idxs_train[: options.points],
    )
    positions = np.array(Frames.load(data / "md17_aspirin.npz").positions[:BATCH])
    with tempfile.TemporaryDirectory(prefix="sgdml-evaluation-") as folder:
        print(to_json(measure(model, positions, options.peer, Path(folder))))


if __name__ == "__main__":
    main()
