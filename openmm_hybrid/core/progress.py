"""Progress of long work, with speed and time left: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

_LINE_EVERY = 10.0  # most seconds between plain lines
_LINE_AFTER = 2.0  # least seconds between the plain lines for two tenths of the work

Advance = Callable[[int], None]


@contextmanager
def progress_bar(
    total: int, description: str, unit: str = "steps", *, done: int = 0, enabled: bool = True
) -> Iterator[Advance]:
    """Show the progress of a piece of work on standard error.

    ``with progress_bar(300, "labelling", "frames") as advance: ... advance(1)``. An exception (Ctrl-C too) ends
    the display and reaches the caller.

    Parameters
    ----------
    total : int
        Total units of work.
    description : str
        The work, in a few words.
    unit : str
        Name of a unit of work, in the plural.
    done : int
        Units that an earlier run has done; the speed leaves them out.
    enabled : bool
        False shows nothing.

    Yields
    ------
    advance : callable
        Call ``advance(n)`` after n more units, and ``advance(0)`` where preparations end: the speed leaves them out.
    """
    if not enabled:
        yield lambda n: None
    elif sys.stderr.isatty():
        with _bar(total, description, unit, done) as advance:
            yield advance
    else:
        lines = _Lines(total, description, unit, done)
        yield lines.advance
        lines.finish()


@contextmanager
def _bar(total: int, description: str, unit: str, done: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),  # a SMILES may hold [nH]
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed_text]}"),
        TimeRemainingColumn(),
    )
    clock = _Clock(total, unit, done)
    with Progress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task(description, total=total, completed=done, speed_text=unit)

        def advance(n: int) -> None:
            clock.count(n)
            display.update(task, advance=n, speed_text=clock.speed_text)

        yield advance


@dataclass
class _Clock:
    """Units done and the speed since the start."""

    total: int
    unit: str
    done: int
    start_done: int = field(init=False)
    start: float = field(init=False)

    def __post_init__(self) -> None:
        self.start_done, self.start = self.done, time.monotonic()

    def count(self, n: int) -> None:
        """Count n units; 0 before the first one starts the time again."""
        self.done += n
        if self.done == self.start_done:
            self.start = time.monotonic()

    @property
    def speed(self) -> float:
        """Units per second; zero before the first one."""
        return (self.done - self.start_done) / max(time.monotonic() - self.start, 1e-9)

    @property
    def speed_text(self) -> str:
        return f"{self.speed:.0f} {self.unit}/s" if self.speed >= 10 else f"{self.speed:.2g} {self.unit}/s"

    @property
    def left_text(self) -> str:
        if not self.speed:
            return "unknown"
        return str(timedelta(seconds=round(max(self.total - self.done, 0) / self.speed)))


class _Lines:
    """Plain lines: one at the start, then about one per tenth of the work or per ten seconds.

    A unit may take minutes, hence the line at the start.
    """

    def __init__(self, total: int, description: str, unit: str, done: int) -> None:
        self._clock = _Clock(total, unit, done)
        self._description = description
        self._began = self._written_at = self._clock.start
        self._written_done = done
        self._write("started")

    def advance(self, n: int) -> None:
        clock = self._clock
        clock.count(n)
        if not n:
            return
        waited = time.monotonic() - self._written_at
        tenth = (clock.done - self._written_done) * 10 >= clock.total
        if clock.done < clock.total and (waited >= _LINE_EVERY or (tenth and waited >= _LINE_AFTER)):
            self._write(f"{clock.speed_text}, {clock.left_text} left")
            self._written_at, self._written_done = time.monotonic(), clock.done

    def finish(self) -> None:
        took = timedelta(seconds=round(time.monotonic() - self._began))
        self._write(f"{self._clock.speed_text}, took {took}")

    def _write(self, rest: str) -> None:
        clock = self._clock
        share = 100 * clock.done // max(clock.total, 1)
        text = f"{self._description}: {clock.done}/{clock.total} {clock.unit} ({share} %), {rest}"
        print(text, file=sys.stderr, flush=True)
