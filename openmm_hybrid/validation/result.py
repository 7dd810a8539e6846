"""The result of a validation: checks with limits, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

from openmm_hybrid.core.result_document import machine, versions
from openmm_hybrid.core.text_table import cell, text_table

_ERRORS = 2.0  # standard deviations by which a value must exceed its limit to fail


@final
@dataclass(frozen=True)
class Check:
    """One number and the limit that it is compared with.

    Parameters
    ----------
    name : str
        What was measured, such as "forces, CPU, HarmonicBondForce".
    value : float
        The smaller its absolute value, the better.
    limit : float
        Largest absolute value that passes.
    unit : str
    compared_with : str
        What the limit comes from.
    error : float
        One standard deviation of `value`.
    """

    name: str
    value: float
    limit: float
    unit: str
    compared_with: str
    error: float = 0.0

    @property
    def status(self) -> str:
        """ "passed", "failed", or "open".

        A check is open if its value is not above the limit by two standard deviations, but an error above the limit
        leaves more than the limit possible. It fails if the value is not finite.
        """
        if not abs(self.value) - _ERRORS * self.error <= self.limit:
            return "failed"
        return "passed" if max(abs(self.value), self.error) <= self.limit else "open"


@final
@dataclass(frozen=True)
class Validation:
    """Checks of one System.

    Parameters
    ----------
    checks : tuple of Check
    settings : mapping
        Settings of the checks.
    notes : tuple of str
        What was left out, and why.
    """

    checks: tuple[Check, ...]
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no check failed. Open checks neither pass nor fail."""
        return not any(check.status == "failed" for check in self.checks)

    @property
    def verdict(self) -> str:
        """One sentence."""
        counts = {status: [check.name for check in self.checks if check.status == status] for status in _STATUSES}
        if counts["failed"]:
            return f"{len(counts['failed'])} of {len(self.checks)} checks failed: {'; '.join(counts['failed'])}."
        text = f"No check failed: {len(counts['passed'])} passed"
        return f"{text}, {len(counts['open'])} need longer runs." if counts["open"] else f"{text}."

    def table(self) -> str:
        """One line for each check, with its limit and the source of the limit."""
        rows = [
            (
                check.name,
                cell(check.value) if not check.error else f"{cell(check.value)} ± {cell(check.error, 2)}",
                f"{check.limit:.2g}",
                check.unit,
                check.status,
                check.compared_with,
            )
            for check in self.checks
        ]
        return text_table(("check", "value", "limit", "unit", "status", "limit from"), rows)

    def __str__(self) -> str:
        return "\n".join((self.table(), *self.notes, self.verdict))

    def as_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary with all checks, the settings, the versions and the machine; NaN becomes null."""
        return {
            "verdict": self.verdict,
            "passed": self.passed,
            "checks": [_described(check) for check in self.checks],
            "notes": list(self.notes),
            "settings": dict(self.settings),
            "versions": versions(),
            "machine": machine(),
        }


def _described(check: Check) -> dict[str, Any]:
    values = {name: None if value != value else value for name, value in asdict(check).items()}
    return {**values, "status": check.status}


_STATUSES = ("passed", "failed", "open")
