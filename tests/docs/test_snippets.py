"""Every Python snippet of README and docs runs, page by page, in one namespace and an empty folder.

``tests/docs/preludes/<page>.py`` defines what a page's snippets take for granted (files, systems, frames), with small
data; it runs first, in the same namespace.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.snippets import ROOT, pages, snippets

PRELUDES = Path(__file__).parent / "preludes"
_FORGET = "globals().pop('oh', None)  # the page imports the package itself\n"


@pytest.mark.torchforce
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_snippets_run(page: Path, tmp_path: Path) -> None:
    prelude = PRELUDES / f"{page.stem.lower()}.py"
    parts = [prelude.read_text(encoding="utf-8"), _FORGET] if prelude.is_file() else []
    for snippet in snippets(page):
        if not snippet.skipped:
            # The empty lines make the line numbers of tracebacks those of the page.
            parts.append(f"exec(compile({snippet.line - 1} * '\\n' + {snippet.code!r}, {page.name!r}, 'exec'))")
    script = tmp_path / "page.py"
    script.write_text("\n".join(parts), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENMM_HYBRID_QUICK": "1", "MPLBACKEND": "Agg"}
    run = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"{page.name}:\n{run.stdout[-2000:]}{run.stderr[-4000:]}"


def test_few_snippets_are_not_run() -> None:
    every = [snippet for page in pages() for snippet in snippets(page)]
    assert sum(not snippet.skipped for snippet in every) >= 0.9 * len(every)
