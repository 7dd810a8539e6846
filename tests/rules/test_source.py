"""Rules that a syntax tree shows: no unsafe reading of files, small files and functions, classes abstract or final."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "openmm_hybrid"
MODULES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in MODULES}
UNSAFE = {"pickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}

each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the text of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@each_module
def test_no_file_is_read_unsafely(path: Path) -> None:
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.partition(".")[0] for alias in node.names} | {getattr(node, "module", None) or ""}
            assert not names & UNSAFE, f"{path}:{node.lineno} imports {names & UNSAFE}"
    for name, call in calls(TREES[path]):
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name == "np.load":
            assert keywords.get("allow_pickle") == "False", f"{path}:{call.lineno}"
            known = ("core/files.py", "data/formats/npz.py")  # which name a damaged file
            assert str(path.relative_to(PACKAGE)) in known, f"{path}:{call.lineno} reads an array without core.files"
        if name == "torch.load":
            assert keywords.get("weights_only") == "True", f"{path}:{call.lineno}"
        assert name not in ("eval", "exec"), f"{path}:{call.lineno}"


@each_module
def test_errors_are_named_and_state_is_passed_on(path: Path) -> None:
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ExceptHandler):
            caught = "everything" if node.type is None else ast.unparse(node.type)
            assert caught not in ("everything", "Exception", "BaseException"), f"{path}:{node.lineno} catches {caught}"
        assert not isinstance(node, ast.Global), f"{path}:{node.lineno} changes module state"
        if isinstance(node, ast.Assert):
            assert path.parent.name == "testing", f"{path}:{node.lineno} asserts"


@each_module
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400, path
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef):
            documented = ast.get_docstring(node) is not None
            start = node.body[1].lineno if documented and len(node.body) > 1 else node.lineno
            assert (node.end_lineno or start) - start < 70, f"{path}:{node.lineno} {node.name} is long"


def test_classes_are_abstract_or_final() -> None:
    classes = {
        node.name: (path, node)
        for path, tree in TREES.items()
        if path.name != "errors.py" and path.parent.name != "testing"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    for path, node in classes.values():
        for base in map(ast.unparse, node.bases):
            if base in classes:
                text = ast.unparse(classes[base][1])
                assert "abstractmethod" in text or "ABC" in text, f"{path}:{node.lineno} inherits from {base}"
