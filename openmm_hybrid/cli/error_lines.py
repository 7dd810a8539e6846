"""Output of the command line: errors and warnings in one line, exit statuses, and how much is printed."""

from __future__ import annotations

import difflib
import errno
import json
import re
import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO, final

import typer
from typer.core import TyperGroup

from openmm_hybrid.core.errors import HybridError, InputError


@final
@dataclass(frozen=True)
class Verbosity:
    """How much the command line prints.

    Parameters
    ----------
    quiet : bool
        Neither progress nor warnings.
    verbose : bool
        Also the place of an error in the code, and the time that the command took.
    """

    quiet: bool = False
    verbose: bool = False

    @property
    def progress(self) -> bool:
        """Whether progress is shown."""
        return not self.quiet


def progress_wanted(context: typer.Context) -> bool:
    """Whether a command shows its progress."""
    return context.obj.progress if isinstance(context.obj, Verbosity) else True


@final
class Verbs(TyperGroup):
    """All verbs. Only this class turns errors into a line and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        verbosity = Verbosity(bool(ctx.params.get("quiet")), bool(ctx.params.get("verbose")))
        clock = time.monotonic()
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            if verbosity.quiet:
                warnings.simplefilter("ignore")
            try:
                result = super().invoke(ctx)
            except KeyboardInterrupt as stop:
                complain(str(stop) or "stopped by Ctrl-C")
                raise typer.Exit(130) from None
            except BrokenPipeError:
                raise
            except typer.BadParameter as error:
                complain(f"error: {_bad_value(error)}")
                raise typer.Exit(2) from None
            except (HybridError, OSError) as error:
                if ctx.params.get("show_traceback"):
                    raise
                complain(f"error: {_one_line(error)}")
                if verbosity.verbose:
                    complain(_raised_at(error))
                raise typer.Exit(2) from None
        if verbosity.verbose:
            complain(f"took {time.monotonic() - clock:.1f} s")
        return result


def _one_line(error: HybridError | OSError) -> str:
    if isinstance(error, HybridError):
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    hint = "; free some space and start again" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
    return f"{where}{error.strerror or error}{hint}."


def _bad_value(error: typer.BadParameter) -> str:
    """The message of Typer without the words of the library that it uses; a wrong choice also names the nearest one."""
    message = error.format_message().replace("Value error, ", "")
    found = re.fullmatch(r"Invalid value for (?:'(.+?)'|(.+?)): '(.*)' is not one of (.+?)\.?", message)
    if found is None:
        return message
    option, value, choices = found[1] or found[2], found[3], re.findall(r"'(.*?)'", found[4])
    near = difflib.get_close_matches(value, choices, n=1)
    return str(
        InputError(
            f"{option} is {value!r}",
            expected=f"one of {', '.join(choices)}",
            hint=f"did you mean {near[0]}?" if near else "",
        )
    )


def _raised_at(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"raised in {last.name}, {last.filename}:{last.lineno} (--traceback shows the whole way)"


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


def print_result(text: str, content: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a result on standard output, as text or as one JSON object; JSON holds null for NaN."""
    print(json.dumps(_without_nan(content), indent=2, ensure_ascii=False) if as_json else text)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and value != value else value
