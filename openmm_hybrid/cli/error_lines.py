"""How the command line fails: in one line on standard error, with an exit status."""

from __future__ import annotations

import errno
import sys
import warnings
from typing import Any, TextIO, final

import typer
from typer.core import TyperGroup

from openmm_hybrid.core.errors import HybridError


@final
class Verbs(TyperGroup):
    """The verbs, with one place that turns errors into one line and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt as stop:
                complain(str(stop) or "stopped by Ctrl-C")
                raise typer.Exit(130) from None
            except BrokenPipeError:
                raise
            except (HybridError, OSError) as error:
                if ctx.params.get("show_traceback"):
                    raise
                complain(f"error: {_one_line(error)}")
                raise typer.Exit(2) from None


def _one_line(error: HybridError | OSError) -> str:
    if isinstance(error, HybridError):
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    hint = "; free some space and start again" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
    return f"{where}{error.strerror or error}{hint}."


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    complain(f"warning: {message}")


def complain(text: str) -> None:
    """Print a text as one line on standard error."""
    print(" ".join(text.split()), file=sys.stderr)
