"""``openmm-hybrid study NAME``: one generic command for every study in the registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, final

import typer
from typer.core import TyperGroup

from openmm_hybrid.cli.error_lines import print_result, progress_wanted
from openmm_hybrid.cli.options import Json, OutputFolder, Verb
from openmm_hybrid.cli.settings_options import command, parameter
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.studies import STUDIES
from openmm_hybrid.studies.options_file import read_toml
from openmm_hybrid.studies.study import Study

_CONFIG = "TOML file with options by name; those of the command line count if both are given."


@final
class Studies(TyperGroup):
    """The studies as commands, each made from its class when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the registry."""
        return list(STUDIES.names())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a study.

        Raises
        ------
        InputError
            Unknown name.
        """
        study: Study = STUDIES.load(cmd_name)()

        def configure(ctx: typer.Context, path: Path | None) -> None:
            if path is not None:
                ctx.default_map = _options_in(path, study.Settings)

        def run(settings: Any, ctx: typer.Context, output: Path, as_json: bool, config: None) -> None:
            result = study.run(settings, output, progress=progress_wanted(ctx))
            files = result.save(output)
            text = f"{result.table()}\n{_listed(files)} in {output}"
            print_result(text, result.as_dict(), as_json=as_json)

        others = [
            parameter("ctx", typer.Context),
            parameter("output", OutputFolder),
            parameter("as_json", Json, False),
            parameter(
                "config",
                Annotated[Path | None, typer.Option(help=_CONFIG, callback=configure, is_eager=True)],
                None,
            ),
        ]
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name, cls=Verb)(command(study.Settings, run, others, study.summary))
        return typer.main.get_command(alone)


app = typer.Typer(
    cls=Studies, help="Run a study: a comparison with a table, a JSON document and pictures as its result."
)


@app.callback(invoke_without_command=True)
def _list(
    ctx: typer.Context,
    wanted: Annotated[bool, typer.Option("--list", help="List the studies.")] = False,
    as_json: Json = False,
) -> None:
    """Run a study: a comparison with a table, a JSON document and pictures as its result."""
    if ctx.invoked_subcommand is not None and not wanted:
        return
    summaries = {name: STUDIES.load(name).summary for name in STUDIES.names()}
    width = max(map(len, summaries))
    text = "\n".join(f"{name:{width}}  {summary}" for name, summary in summaries.items())
    print_result(text, summaries, as_json=as_json)
    raise typer.Exit


def _options_in(path: Path, kind: type[Any]) -> dict[str, Any]:
    """Name of a setting → its value in a TOML file, where hyphens may stand for underscores.

    Raises
    ------
    InputError
        The file cannot be read, or has a name that is no setting.
    """
    names = [field.name for field in fields(kind)]
    found = {key.replace("-", "_"): value for key, value in read_toml(path).items()}
    for name, value in found.items():
        if name not in names or isinstance(value, dict):
            raise InputError(f"{path} has {name!r}", expected=f"options of the study: {', '.join(names)}")
    return found


def _listed(files: Sequence[Path]) -> str:
    return ", ".join(path.name for path in files)
