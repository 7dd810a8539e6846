"""The structure of the package, measured on its own code.

python -m benchmarks.architecture

files_to_add: files of the package that the example additions of tests/additions change, each applied to a copy and
tested there. cycles: groups of modules that import each other. form_tests_outside: tests on the type or the name of a
functional form outside forms/. longest_body: lines of the longest function without signature and docstring.
median_module: lines of the median module that is no __init__. docstrings: share of the public modules, classes,
functions and methods with a docstring; an override inherits that of its base. snippets_run: share of the Python
snippets of README and docs that the tests run.
"""

from __future__ import annotations

import argparse
import ast
import re
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from openmm_hybrid.core.result_document import document, to_json
from tests.additions.apply import NOUNS, Addition, changed_files, copy_package, run_tests
from tests.docs.snippets import pages, snippets
from tests.rules.test_imports import circles, graph

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "openmm_hybrid"
MODULES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}


def files_to_add(noun: str) -> int:
    """Files of the package that an example addition changes.

    Raises
    ------
    SystemExit
        The tests of the addition fail.
    """
    with tempfile.TemporaryDirectory() as folder:
        addition = Addition.read(noun)
        package = copy_package(Path(folder))
        addition.add_to(package)
        run = run_tests(Path(folder), noun, addition.test)
        if run.returncode:
            raise SystemExit(f"the addition of a {noun} fails:\n{run.stdout}{run.stderr}")
        return len(changed_files(package))


def form_names() -> set[str]:
    """Names of the classes of functional forms."""
    trees = [tree for path, tree in TREES.items() if path.is_relative_to(PACKAGE / "forms")]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    names, grown = {"FunctionalForm"}, set[str]()
    while grown != names:
        grown = set(names)
        names |= {node.name for node in classes if {ast.unparse(base) for base in node.bases} & names}
    return names


def form_tests() -> list[str]:
    """Places outside forms/ and the conformance suites that ask for the type, name or family of a form."""
    names, found = form_names(), []
    for path, tree in TREES.items():
        if path.is_relative_to(PACKAGE / "forms") or "testing" in path.relative_to(PACKAGE).parts[0]:
            continue
        for node in ast.walk(tree):
            if _asks_type(node, names) or _asks_name(node):
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")  # type: ignore[attr-defined]
    return found


def _asks_type(node: ast.AST, names: set[str]) -> bool:
    """isinstance(form, Morse), type(form) is Morse, or a match on such a class."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
        return bool({each.id for each in ast.walk(node.args[1]) if isinstance(each, ast.Name)} & names)
    if isinstance(node, ast.MatchClass):
        return ast.unparse(node.cls) in names
    if isinstance(node, ast.Compare):
        return "type(" in ast.unparse(node) and any(
            isinstance(each, ast.Name) and each.id in names for each in node.comparators
        )
    return False


def _asks_name(node: ast.AST) -> bool:
    """form.name compared with a text, or searched for one."""
    text = r"\b\w*form\.(name|family)\b"
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        texts = any(isinstance(side, ast.Constant | ast.Tuple | ast.Set | ast.List) for side in sides)
        return texts and any(re.search(text, ast.unparse(side)) for side in sides)
    return isinstance(node, ast.Call) and bool(
        re.match(text + r"\.(startswith|endswith|find|partition)\b", ast.unparse(node.func))
    )


def bodies() -> Iterator[tuple[int, str]]:
    """Lines of every function without its signature and docstring."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                if body:
                    yield (body[-1].end_lineno or 0) - body[0].lineno + 1, f"{path.relative_to(PACKAGE)}:{node.name}"


def docstrings() -> float:
    """Share of public names that have or inherit a docstring."""
    with_one, everything = 0, 0
    documented = _documented_methods()
    for tree in TREES.values():
        for node, owner in _public(tree):
            everything += 1
            inherited = owner is not None and any((base, node.name) in documented for base in _bases(owner))  # type: ignore[attr-defined]
            with_one += ast.get_docstring(node) is not None or inherited
    return with_one / everything


Documented = ast.Module | ast.ClassDef | ast.FunctionDef


def _public(tree: ast.Module) -> Iterator[tuple[Documented, ast.ClassDef | None]]:
    yield tree, None
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node, None
            if isinstance(node, ast.ClassDef):
                methods = (each for each in node.body if isinstance(each, ast.FunctionDef))
                yield from ((each, node) for each in methods if not each.name.startswith("_"))


def _classes() -> dict[str, ast.ClassDef]:
    nodes = (node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return {node.name: node for node in nodes}


CLASSES = _classes()


def _bases(owner: ast.ClassDef) -> Iterator[str]:
    """Names of a class's bases in the package, and of theirs."""
    for base in map(ast.unparse, owner.bases):
        if base in CLASSES:
            yield base
            yield from _bases(CLASSES[base])
        elif base.rpartition(".")[2] in ("Module", "Function", "TyperGroup"):
            yield base


def _documented_methods() -> set[tuple[str, str]]:
    return {
        (name, each.name)
        for name, node in CLASSES.items()
        for each in node.body
        if isinstance(each, ast.FunctionDef) and ast.get_docstring(each) is not None
    }


def main() -> None:
    """Print the figures as JSON."""
    argparse.ArgumentParser(description="Print figures on the structure of the source as JSON.").parse_args()
    lengths = [len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES if path.name[:2] != "__"]
    longest, where = max(bodies())
    found, cycles = form_tests(), circles(graph())
    every = [snippet for page in pages() for snippet in snippets(page)]
    figures: dict[str, tuple[float, str]] = {f"files_to_add.{noun}": (files_to_add(noun), "files") for noun in NOUNS}
    figures |= {
        "cycles": (len(cycles), "1"),
        "form_tests_outside": (len(found), "1"),
        "longest_body": (longest, "lines"),
        "median_module": (statistics.median(lengths), "lines"),
        "docstrings": (round(docstrings(), 4), "1"),
        "snippets_run": (round(sum(not snippet.skipped for snippet in every) / len(every), 4), "1"),
    }
    details = {
        "modules": len(lengths),
        "lines": sum(lengths),
        "longest": where,
        "form_tests": found,
        "module_cycles": [sorted(cycle) for cycle in cycles],
        "snippets": len(every),
    }
    print(to_json(document("architecture", figures, **details)))


if __name__ == "__main__":
    main()
