"""The store of results: whole files, read while others write, claims that end with their process."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.tasks import Store, Task, TaskResult

TASK = Task("package.module:function", {"number": 1, "text": "a"}, name="one")


def test_keys_are_those_of_the_content() -> None:
    assert TASK.key == Task("package.module:function", {"text": "a", "number": 1}, {"folder": "b"}, "two").key
    assert TASK.key != Task("package.module:function", {"number": 2, "text": "a"}).key
    assert TASK.key != Task("package.module:other", {"number": 1, "text": "a"}).key


@pytest.mark.parametrize("value", [{"a": [1, 2.5], "b": None}, {"a": "text", "x": np.eye(2), "n": np.arange(3)}])
def test_what_is_put_is_found(tmp_path: Path, value: dict[str, object]) -> None:
    store = Store(tmp_path)
    assert store.find(TASK.key) is None
    store.put(TaskResult.success(TASK, value, 1.5))
    found = store.find(TASK.key)
    assert found is not None
    assert (found.name, found.seconds, found.reason) == ("one", 1.5, "")
    assert sorted(found.value) == sorted(value)
    for name, part in value.items():
        np.testing.assert_array_equal(found.value[name], part)
    assert [each.key for each in store.outcomes()] == [TASK.key]
    store.remove(TASK.key)
    assert store.find(TASK.key) is None


@pytest.mark.parametrize("value", [{"a": 1}, {"a": np.ones(3)}])
def test_a_result_counts_before_and_after_a_failure(tmp_path: Path, value: dict[str, object]) -> None:
    store, failure = Store(tmp_path), TaskResult.failure(TASK, "it took longer than its limit of 1 s")
    assert not store.put(failure).ok
    late = TaskResult.failure(TASK, "the last reason")
    assert store.put(late) is late
    found = store.find(TASK.key)
    assert found is not None
    assert found.reason == "the last reason"
    for outcome in (TaskResult.success(TASK, value, 1.0), failure):
        assert store.put(outcome).ok
        found = store.find(TASK.key)
        assert found is not None
        assert found.ok
        np.testing.assert_array_equal(found.value["a"], value["a"])
        assert len(list(tmp_path.iterdir())) == 1


def test_the_last_of_two_results_counts_whether_it_has_arrays_or_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for value in ({"a": np.ones(3)}, {"a": 2}, {"a": np.zeros(3)}):
        store.put(TaskResult.success(TASK, value, 1.0))
        (found,) = store.outcomes()
        np.testing.assert_array_equal(found.value["a"], value["a"])


def test_a_crash_between_a_result_and_the_end_of_its_failure_loses_nothing(tmp_path: Path) -> None:
    """Both files are there, as in a folder of an earlier version."""
    store = Store(tmp_path)
    store.put(TaskResult.failure(TASK, "no reason"))
    kept = (tmp_path / f"{TASK.key}.json").read_bytes()
    store.put(TaskResult.success(TASK, {"a": np.ones(3)}, 1.0))
    (tmp_path / f"{TASK.key}.json").write_bytes(kept)
    (found,) = store.outcomes()
    assert found.ok


def test_a_half_filled_store_is_read_while_it_grows(tmp_path: Path) -> None:
    """A reader sees whole results only, and in the end all of them."""
    store, tasks = Store(tmp_path), [Task("a:b", {"number": number}) for number in range(200)]

    def fill() -> None:
        for task in tasks:
            store.put(TaskResult.success(task, {"number": task.arguments["number"], "x": np.arange(9)}, 0.0))

    writer = threading.Thread(target=fill)
    writer.start()
    counts = []
    while writer.is_alive() or not counts or counts[-1] < 200:
        found = list(store.outcomes())
        assert all(len(each.value["x"]) == 9 for each in found)
        counts.append(len(found))
    writer.join()
    assert counts == sorted(counts)
    assert counts[-1] == 200


def test_damaged_files_are_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for text in ("{", "[]", '{"format": "other"}', '{"format": "openmm-hybrid task"}'):
        (tmp_path / f"{TASK.key}.json").write_text(text)
        with pytest.raises(InputError, match=f"{TASK.key}.json"):
            store.find(TASK.key)


def test_objects_are_refused() -> None:
    for value in ({"a": np.array([None])}, {"a": float("nan")}, {1: 2}, None):
        with pytest.raises(InputError, match="returned"):
            TaskResult.success(TASK, value, 0.0)


def test_a_claim_waits_for_the_holder_and_ends_with_its_process(tmp_path: Path) -> None:
    """A process that claims a task is killed: its file stays, and the next claim takes it over."""
    store = Store(tmp_path)
    code = (
        "import sys, time\nfrom openmm_hybrid.tasks import Store\n"
        f"with Store(sys.argv[1]).claim({TASK.key!r}):\n    print('held', flush=True)\n    time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    events: list[str] = []

    def wait() -> None:
        with store.claim(TASK.key):
            events.append("claimed")

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(timeout=0.3)
    assert waiting.is_alive()
    assert list(store.running()) == [TASK.key]
    events.append("killed")
    process.kill()
    process.communicate()
    waiting.join(timeout=60.0)
    assert events == ["killed", "claimed"]
    assert not store.running()
