"""Parts of the sGDML benchmarks: our side's process, kept parts, growth laws; the peer is not needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.sgdml import load
from tests.helpers.sgdml_data import SWAP, water

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _import_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_our_side_trains_predicts_and_evaluates_on_request(tmp_path: Path) -> None:
    data, model, forces = tmp_path / "water.npz", tmp_path / "m.npz", tmp_path / "f.npz"
    water(20).save(data)
    common = {"data": str(data), "indices": [3, 1, 2, 0, 7]}
    settings = {"sigma": 2.0, "lam": 1e-6, "perms": SWAP.tolist(), "solver": "direct"}
    requests = [
        {"task": "train", **common, **settings, "out": str(model)},
        {"task": "predict", **common, "model": str(model), "out": str(forces)},
        {"task": "evaluate", **common, "model": str(model)},
    ]
    lines = "\n".join(json.dumps(request) for request in requests)
    command = [sys.executable, "-m", "benchmarks.own_sgdml", "1"]
    done = subprocess.run(command, cwd=ROOT, input=lines, capture_output=True, text=True, check=True)
    trained, predicted, evaluated = (json.loads(line) for line in done.stdout.splitlines())
    assert trained["solver"] == "direct"
    assert trained["seconds"] > 0.0
    assert 0.05 < trained["peak_GB"] < 10.0
    assert predicted == {}
    assert set(evaluated) == {"single_ms", "batch_ms"}
    with np.load(forces, allow_pickle=False) as arrays:
        expected = load(model).predict(water(20).positions[common["indices"]])
        np.testing.assert_allclose(arrays["E"], expected[0], atol=1e-9)
        np.testing.assert_allclose(arrays["F"], expected[1], atol=1e-9)
    assert load(model).idxs_train.tolist() == common["indices"]


def test_finished_parts_are_kept_and_those_of_another_commit_measured_again(tmp_path: Path) -> None:
    from benchmarks.parts import measured

    runs: list[str] = []

    def part(name: str) -> dict[str, str]:
        runs.append(name)
        if runs.count(name) == 1 and name == "b":
            raise KeyboardInterrupt
        return {"name": name}

    keep = tmp_path / "parts.json"
    tasks = {name: (lambda name=name: part(name)) for name in ("a", "b", "c")}
    with pytest.raises(KeyboardInterrupt):
        measured("", tasks, keep)
    assert list(measured("b", tasks, keep)) == ["a", "b"]
    assert runs == ["a", "b", "b"]
    keep.write_text(keep.read_text().replace('"commit": "', '"commit": "other-'))
    measured("a", tasks, keep)
    assert runs == ["a", "b", "b", "a"]
    with pytest.raises(SystemExit, match="no part 'd'"):
        measured("d", tasks, keep)


def test_growth_laws_are_found() -> None:
    """Known powers; the smallest sizes, where fixed costs show, do not count, and what cost nothing has no power."""
    from benchmarks.sgdml_accuracy import MEASURES, exponents

    sizes = [100, 200, 400, 800, 1600]
    powers = dict(zip(MEASURES, (3.0, 2.5, 2.0, 1.5, 1.0, 0.0), strict=True))
    rows: list[dict[str, float]] = [
        {"points": size} | {name: 2e-6 * size**power for name, power in powers.items()} for size in sizes
    ]
    rows[0] |= dict.fromkeys(MEASURES, 7.0)
    assert exponents(rows, "points") == pytest.approx(powers, abs=1e-9)
    rows[1]["direct_extra_GB"] = 0.0
    assert "direct_extra_GB" not in exponents(rows, "points")


def test_errors_compare_two_sides(tmp_path: Path) -> None:
    from benchmarks.parts import errors

    frames = water(6)
    energies, forces = frames.labels()
    rest = [1, 4]
    np.savez(tmp_path / "ours.npz", E=energies[rest] + 0.5, F=forces[rest] - 0.25)
    np.savez(tmp_path / "peer.npz", E=energies[rest], F=forces[rest])
    found = errors(frames, rest, tmp_path / "ours.npz", tmp_path / "peer.npz")
    assert (found["energy_mae"], found["force_mae"]) == (pytest.approx(0.5), pytest.approx(0.25))
    assert (found["peer_energy_mae"], found["peer_force_mae"]) == (0.0, 0.0)
    assert found["force_difference"] == pytest.approx(0.25 / np.abs(forces[rest]).max())
