"""The benchmark for GPUs: parts run to their end on the Reference platform, and failures of parts cost no others."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openmm_hybrid.core.trial import Ended

ROOT = Path(__file__).parents[2]
DEVICE = {"backends": ["native", "torchforce", "pythonforce"], "learned": ["torchforce", "pythonforce"]}


@pytest.fixture(autouse=True)
def _import_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def measured(*arguments: str, status: int = 0) -> dict[str, Any]:
    """The document that the quick form prints."""
    command = [sys.executable, "-m", "benchmarks.cuda", "--quick", "--threads", "1", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr[-2000:]
    content: dict[str, Any] = json.loads(done.stdout)  # nothing else is printed
    assert set(content) >= {"name", "versions", "machine", "commit", "figures", "platform", "parts", "skipped"}
    return content


def test_the_quick_form_measures_parity_and_replicas(tmp_path: Path) -> None:
    output = tmp_path / "cuda.json"
    chosen = "parity.native,replicas.gaff"
    found = measured("--platform", "Reference", "--only", chosen, "--output", str(output))
    assert json.loads(output.read_text(encoding="utf-8")) == found
    assert set(found["parts"]) == {"device", "prepare", "parity.native", "replicas.gaff"}
    assert not any("problem" in part for part in found["parts"].values())
    figures = {name: (figure["value"], figure["unit"]) for name, figure in found["figures"].items()}
    cases = [f"parity.default.native.cross.{place}" for place in ("vacuum", "wrapped")]
    errors = {f"{case}.{what}" for case in cases for what in ("energy", "force")}
    speeds = {f"replicas.gaff.{copies}" for copies in found["settings"]["copies"]}
    assert set(figures) == errors | speeds
    # Native terms are the force field's own functions, and Reference computes in double precision.
    assert all(figures[name][0] < 1e-9 for name in errors)
    assert found["parts"]["parity.native"]["largest_force"]["cross"] > 1.0
    assert all(math.isfinite(figures[name][0]) and figures[name][0] > 0.0 for name in speeds)
    assert {figures[name][1] for name in speeds} == {"ns/day"}


def test_a_platform_that_does_not_exist_is_the_only_finding() -> None:
    found = measured("--platform", "Abacus", status=1)
    assert found["figures"] == {}
    assert set(found["parts"]) == {"device"}
    assert "Abacus" in found["parts"]["device"]["problem"]


def session(folder: Path, seconds: float) -> Any:
    from benchmarks.cuda import Session

    return Session({"platform": "CPU", "threads": 1}, folder, time.monotonic() + seconds, ())


def answering(answers: dict[str, tuple[str, str]]) -> Callable[..., Ended]:
    """In place of `run_python`: writes a part's lines, and returns its problem."""

    def run(_code: str, _root: str, part: str, _folder: str, lines: str, _settings: str, *, time_limit: float) -> Ended:
        assert time_limit > 0.0
        text, problem = answers.get(part, ("", ""))
        Path(lines).write_text(text, encoding="utf-8")
        return Ended("", problem)

    return run


def test_a_crash_keeps_what_was_written_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import cuda

    states = {"pythonforce": {"status": "missing", "detail": "no PythonForce"}}
    written = json.dumps({"figures": {"speed.vacuum.gaff": [5.0, "ns/day"], "speed.water.gaff": [math.nan, "ns/day"]}})
    answers = {
        "device": (json.dumps(DEVICE) + "\n", ""),
        "doctor": (json.dumps({"report": {"checks": {"backends": states}}}) + "\n", ""),
        "speed.gaff": (written + '\n{"figures": {"speed', "the process was ended by SIGSEGV"),
        "parity.torchforce": ("", "no answer after 60 s"),
    }
    monkeypatch.setattr(cuda, "run_python", answering(answers))
    *_, found = session(tmp_path, 1000.0).all()
    assert found.figures == {"speed.vacuum.gaff": (5.0, "ns/day"), "runs.torchforce": (0, "1")}
    assert found.parts["speed.gaff"]["problem"] == "the process was ended by SIGSEGV; speed.water.gaff is nan"
    assert found.skipped == {"pythonforce": "missing: no PythonForce"}
    assert "drift.torchforce" in found.parts
    assert not any("pythonforce" in part for part in found.parts)


def test_parts_without_time_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import cuda

    limit = session(tmp_path, cuda.SHORTEST + cuda.CLOSING + 1.0)
    answer = answering({"device": (json.dumps(DEVICE) + "\n", "")})

    def slow(*arguments: str, time_limit: float) -> Ended:
        if arguments[2] == "doctor":
            monkeypatch.setattr(cuda, "SHORTEST", 2000.0)  # as if the time had passed
        return answer(*arguments, time_limit=time_limit)

    monkeypatch.setattr(cuda, "run_python", slow)
    *_, found = limit.all()
    assert set(found.parts) == {"device", "doctor"}
    assert set(found.skipped) >= {"prepare", "parity.native", "speed.gaff", "drift.gaff"}
    assert all(reason.startswith("no time") for reason in found.skipped.values())
