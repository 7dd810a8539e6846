"""Every command line of openmm-hybrid in README and the documentation is one that the program takes."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from openmm_hybrid.cli import app
from tests.docs.snippets import ROOT, TEXTS, blocks, inline

_PROGRAM = "openmm-hybrid "
_SECTION = re.compile(r"^#{2,3} (?P<verb>[a-z -]+)\n(?P<text>.*?)(?=^#|\Z)", re.DOTALL | re.MULTILINE)


def _parse(line: str) -> None:
    """Read a command line without running it; a verb alone need not have its arguments."""
    command, rest = _leaf(shlex.split(line)[1:])
    if isinstance(command, TyperGroup):
        known = {*_options(command), "--help", "VERB"}
        unknown = [word for word in rest if word not in known]
        assert not unknown, f"{unknown} is neither a verb nor an option"
    elif rest:
        command.make_context(command.name, rest)


def _leaf(words: list[str]) -> tuple[Any, list[str]]:
    """The command that some words name, and the words after its name; options before a verb are checked."""
    command: Any = typer.main.get_command(app)
    while words and isinstance(command, TyperGroup):
        context = typer.Context(command)
        if words[0] in _options(command):
            if len(words) == 1:
                break
            words = words[1:]
            continue
        if words[0] not in command.list_commands(context):
            break
        command, words = command.get_command(context, words[0]), words[1:]
    return command, words


def _options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def _command_lines() -> list[Any]:
    found = []
    for page in TEXTS:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in blocks(text) for line in block.replace("\\\n", " ").splitlines()]
        found += [pytest.param(line, id=f"{page.stem}: {line}") for line in lines if line.startswith(_PROGRAM)]
        # Inline code may name a verb alone.
        found += [
            pytest.param(code, id=f"{page.stem}: {code}")
            for code in dict.fromkeys(inline(text))
            if code.startswith(_PROGRAM)
        ]
    return found


def _sections() -> list[Any]:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    return [
        pytest.param(match["verb"], match["text"], id=match["verb"])
        for match in _SECTION.finditer(text)
        if _leaf(match["verb"].split())[1] == []
    ]


@pytest.mark.parametrize("line", _command_lines())
def test_command_lines_parse(line: str) -> None:
    _parse(line)


@pytest.mark.parametrize(("verb", "text"), _sections())
def test_options_in_a_section_of_cli_belong_to_its_verb(verb: str, text: str) -> None:
    command, _ = _leaf(verb.split())
    known = _options(command)
    if isinstance(command, TyperGroup):
        context = typer.Context(command)
        for name in command.list_commands(context):
            known |= _options(command.get_command(context, name))
    named = {code.split()[0] for code in inline(text) if code.startswith("-") and not code.startswith("--traceback")}
    assert named <= known


def test_wrong_command_lines_are_found() -> None:
    for line in ("learn a.npz", "sample aspirin --duratoin 5", "sample", "train sgdml a.npz -o b.npz --selection odd"):
        with pytest.raises(Exception, match=r"."):
            _parse(f"{_PROGRAM}{line} --json")
