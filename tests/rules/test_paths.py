"""Every public function expands a leading ~ of the paths that it is given."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError

PACKAGE = Path(__file__).parents[2] / "openmm_hybrid"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in ("cli", "testing"))
#: The function that expands, and one that only names the path in messages.
KNOWN = ("expanded", "from_arrays")


def is_path(annotation: ast.expr | None) -> bool:
    return annotation is not None and ast.unparse(annotation).startswith("str | Path")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_path_is_made_of_an_argument_without_expansion(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef):
            continue
        given = {each.arg for each in (*node.args.args, *node.args.kwonlyargs) if is_path(each.annotation)}
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "Path" and call.args:
                argument = ast.unparse(call.args[0])
                assert argument not in given or node.name in KNOWN, f"{path.name}:{call.lineno} makes Path({argument})"


def test_folders_and_files_in_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    frames = oh.Frames(np.array([1, 1]), np.array([[[0, 0, 0], [0, 0, 0.8]]]))
    assert frames.save("~/a.npz") == tmp_path / "a.npz"
    assert oh.Frames.load("~/a.npz").n_frames == 1
    for name, call in (("a.sdf", oh.Molecule.from_file), ("run", oh.SampleResult.open), ("b.npz", oh.load)):
        with pytest.raises(InputError, match=str(tmp_path)):
            call(f"~/{name}")
