"""Progress: plain lines off a terminal, a bar on one."""

from __future__ import annotations

import sys

import pytest

from openmm_hybrid.core import progress as module
from openmm_hybrid.core.progress import progress_bar


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_lines_every_ten_seconds_with_speed_and_time_left(clock, capsys):
    with progress_bar(1000, "sampling", "ps") as advance:
        for _ in range(50):
            clock[0] += 1.0
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "sampling: 0/1000 ps (0 %), started"
    assert lines[1] == "sampling: 10/1000 ps (1 %), 1 ps/s, 0:16:30 left"
    assert len(lines) == 7
    assert lines[-1] == "sampling: 50/1000 ps (5 %), 1 ps/s, took 0:00:50"


def test_lines_every_tenth_when_that_is_sooner(clock, capsys):
    with progress_bar(100, "labelling", "frames") as advance:
        for _ in range(100):
            clock[0] += 0.25
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[1].startswith("labelling: 10/100 frames (10 %), 4 frames/s, 0:00:22 left")


def test_short_work_writes_start_and_end_and_none_is_silent(clock, capsys):
    with progress_bar(3, "work") as advance:
        advance(3)
    start, end = capsys.readouterr().err.splitlines()
    assert start == "work: 0/3 steps (0 %), started"
    assert end == "work: 3/3 steps (100 %), 3000000000 steps/s, took 0:00:00"
    with progress_bar(3, "work", enabled=False) as advance:
        advance(3)
    assert capsys.readouterr().err == ""


def test_what_was_done_before_does_not_count_for_the_speed(clock, capsys):
    with progress_bar(100, "work", done=90) as advance:
        clock[0] += 5.0
        advance(5)
    assert "95/100 steps (95 %), 1 steps/s" in capsys.readouterr().err


def test_preparations_do_not_count_for_the_speed(clock, capsys):
    with progress_bar(1000, "sampling") as advance:
        clock[0] += 40.0
        advance(0)
        for _ in range(20):
            clock[0] += 1.0
            advance(10)
            advance(0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].startswith("sampling: 10/1000 steps (1 %), 10 steps/s, 0:01:39 left")
    assert lines[-1] == "sampling: 200/1000 steps (20 %), 10 steps/s, took 0:01:00"


def test_an_error_passes_through_without_a_false_end(capsys):
    with pytest.raises(KeyboardInterrupt), progress_bar(10, "work"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "work: 0/10 steps (0 %), started\n"


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    with progress_bar(4, "training c1cc[nH]c1", "points") as advance:
        advance(1)
        advance(3)
    shown = capsys.readouterr().err
    assert "training c1cc[nH]c1" in shown
    assert "4/4" in shown
