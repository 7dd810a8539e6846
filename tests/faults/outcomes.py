"""Outcomes of the cases of this folder.

A case is a function without arguments that tries an ordinary mistake, or an input that looks like one. It returns
"right" (the value of the case's source, without a warning), "warned", "refused" (a HybridError that names what the case
asks for), "silent" (another value without a word), "raw" (any other error, or a refusal that does not help) or "hang".
A case's name begins with the number of the kind of fault.
"""

from __future__ import annotations

import re
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openmm_hybrid.core.errors import HybridError

PROCESSOR_SECONDS, SECONDS = 60, 600
"""Longest processor time and longest time of one case."""


def attempt(call: Callable[[Path], Any], right: Callable[[Any], bool] = lambda value: False, says: str = "(?!)") -> str:
    """The outcome of `call` with a folder of its own.

    `right` judges the result, by default as wrong. A refusal must match the pattern `says`; by default none does.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught, _alarm():
        warnings.simplefilter("always")
        try:
            value = call(Path(folder))
        except TimeoutError:
            return "hang"
        except HybridError as error:
            return "refused" if re.search(says, str(error)) and "\n" not in str(error) else "raw"
        except Exception:  # noqa: BLE001
            return "raw"
    if any(issubclass(warning.category, UserWarning) for warning in caught):
        return "warned"
    return "right" if right(value) else "silent"


@contextmanager
def _alarm() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError

    kinds = {signal.SIGALRM: (signal.ITIMER_REAL, SECONDS), signal.SIGPROF: (signal.ITIMER_PROF, PROCESSOR_SECONDS)}
    before = {number: signal.signal(number, stop) for number in kinds}
    for timer, seconds in kinds.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for number, (timer, _) in kinds.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])
