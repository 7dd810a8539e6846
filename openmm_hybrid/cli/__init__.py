"""The command line: thin verbs over the library.

Every error that a user can resolve is one line on standard error and exit status 2, without a traceback
(``--traceback`` or OPENMM_HYBRID_TRACEBACK=1 shows it); Ctrl-C is exit status 130.
"""

from __future__ import annotations

from typing import Annotated

import typer

from openmm_hybrid import __version__
from openmm_hybrid.cli import files, info, prepare, refine, refine_batch, run, study, train, validate
from openmm_hybrid.cli.error_lines import Verbosity, Verbs
from openmm_hybrid.cli.options import Verb

app = typer.Typer(
    cls=Verbs,
    help="Force fields for small organic molecules: GAFF or OpenFF, fitted to a more accurate method, for OpenMM.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show neither progress nor warnings.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also show where an error arose, and the time taken.")
    ] = False,
    show_traceback: Annotated[
        bool, typer.Option("--traceback", envvar="OPENMM_HYBRID_TRACEBACK", help="Show the traceback of an error.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of every verb."""
    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose exclude each other")
    ctx.obj = Verbosity(quiet, verbose)


app.command(cls=Verb)(refine.refine)
app.command("refine-batch", cls=Verb)(refine_batch.refine_batch)
app.command(cls=Verb)(prepare.build)
app.command(cls=Verb)(prepare.label)
app.add_typer(train.app, name="train")
app.command(cls=Verb)(files.replace)
app.command(cls=Verb)(files.export)
app.command(cls=Verb)(files.convert)
app.command(cls=Verb)(run.sample)
app.command(cls=Verb)(validate.validate)
app.add_typer(study.app, name="study")
app.command(cls=Verb)(info.info)
app.command(cls=Verb)(run.doctor)


def main() -> None:
    """Run the command line; the entry point ``openmm-hybrid``."""
    app()
