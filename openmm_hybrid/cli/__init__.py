"""The command line: thin verbs over the library.

Every error that a user can mend is one line on standard error and exit status 2, without a traceback
(``--traceback`` or OPENMM_HYBRID_TRACEBACK=1 shows it); Ctrl-C is exit status 130.
"""

from __future__ import annotations

from typing import Annotated

import typer

from openmm_hybrid import __version__
from openmm_hybrid.cli import files, forcefield, learn, prepare, run, study
from openmm_hybrid.cli.error_lines import Verbs

app = typer.Typer(
    cls=Verbs,
    help="GAFF with machine-learned corrections as OpenMM forces, for small organic molecules.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    show_traceback: Annotated[
        bool, typer.Option("--traceback", envvar="OPENMM_HYBRID_TRACEBACK", help="Show where an error came from.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options of every verb."""


for verb in (
    prepare.build,
    prepare.label,
    learn.train,
    learn.correct,
    forcefield.fit,
    forcefield.replace,
    files.export,
    files.convert,
    run.sample,
    run.doctor,
):
    app.command()(verb)
app.add_typer(study.app, name="study")


def main() -> None:
    """Run the command line; the entry point ``openmm-hybrid``."""
    app()
