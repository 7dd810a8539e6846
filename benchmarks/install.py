"""The pip lines of docs/install.md, each in a clean environment: does it work, how large is it, how long does it take.

python -m benchmarks.install --python python3.11 --python python3.12 --keep parts.json

A line works if pip succeeds, `openmm-hybrid doctor` reports that the main job can run, and `openmm-hybrid build` makes
methanol with GAFF and with OpenFF. --keep makes a second run continue where the first one stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.parts import Part, measured
from openmm_hybrid.core.result_document import document, to_json

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "install.md"
BUILDS = (
    ("build", "CO", "-o", "gaff", "--charges", "am1-bcc"),
    ("build", "CO", "-o", "sage", "--base", "openff-2.3.0", "--charges", "nagl"),
)


def lines() -> list[str]:
    """The pip lines of the page that install from a clone, in their order."""
    return re.findall(r'^pip install (?:-e )?"\.\[.*$', PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def main() -> None:
    """Install every line with every interpreter, and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help="interpreter; may be repeated")
    parser.add_argument("--only", default="", help="names of parts (python3.11:1), separated by commas")
    parser.add_argument("--keep", type=Path, default=None, help="file of the parts that are finished")
    options = parser.parse_args()
    tasks = {
        f"{Path(python).name}:{number}": partial(tried, python, line)
        for python in options.python or ["python3"]
        for number, line in enumerate(lines(), 1)
    }
    parts = measured(options.only, tasks, options.keep)
    working = sum(part["works"] for part in parts.values())
    figures = {
        "install.lines": (len(parts), "1"),
        "install.lines_working": (working, "1"),
        "install.largest": (max(part["gigabytes"] for part in parts.values()), "GB"),
    }
    print(to_json(document("install", figures, lines=lines(), parts=parts)))


def tried(python: str, line: str) -> Part:
    """One line in a new environment, which is removed afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = folder / "venv"
        subprocess.run([python, "-m", "venv", str(environment)], check=True)
        programs = environment / "bin"
        subprocess.run([str(programs / "pip"), "install", "--quiet", "--upgrade", "pip"], check=True)
        start = time.perf_counter()
        pip = _run([str(programs / "pip"), *shlex.split(line)[1:], "--quiet"], ROOT, folder)
        part: Part = {"python": Path(python).name, "line": line, "seconds": round(time.perf_counter() - start, 1)}
        part["gigabytes"] = round(_size(environment) / 1e9, 2)
        if pip.returncode:
            return part | {"works": False, "problem": f"pip: {_last(pip)}"}
        command = str(programs / "openmm-hybrid")
        doctor = _run([command, "doctor", "--json"], folder, folder)
        if doctor.returncode:
            return part | {"works": False, "problem": f"doctor: {_lacks(doctor)}"}
        found = json.loads(doctor.stdout)
        backends = {name: check["status"] for name, check in found["checks"]["backends"].items()}
        part |= {"versions": found["versions"], "backends": backends}
        for arguments in BUILDS:
            built = _run([command, *arguments], folder, folder)
            if built.returncode:
                return part | {"works": False, "problem": f"{' '.join(arguments)}: {_last(built)}"}
    return part | {"works": True}


def _run(command: list[str], folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a new user would: without this checkout's environment, with an empty home."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    pip_cache = os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip"))
    environment = kept | {"HOME": str(home), "PATH": "/usr/bin:/bin", "PIP_CACHE_DIR": pip_cache}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _last(run: subprocess.CompletedProcess[str]) -> str:
    told = (run.stderr.strip() or run.stdout.strip()).splitlines()
    return told[-1] if told else f"exit status {run.returncode}"


def _lacks(run: subprocess.CompletedProcess[str]) -> str:
    try:
        return "; ".join(json.loads(run.stdout)["lacks"])
    except ValueError:
        return _last(run)


if __name__ == "__main__":
    main()
