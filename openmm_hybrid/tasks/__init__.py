"""Many independent calculations: tasks, a store of their outcomes, and runners that work through them.

A task is the name of a function and arguments that JSON holds. A runner performs tasks and stores each outcome in a
file of its own, so that a task is done once, whatever is killed, and other processes can read what is finished.
"""

from openmm_hybrid.tasks.dask_runner import DaskRunner
from openmm_hybrid.tasks.runner import Runner
from openmm_hybrid.tasks.serial_runner import SerialRunner
from openmm_hybrid.tasks.store import Store
from openmm_hybrid.tasks.task import Task
from openmm_hybrid.tasks.task_result import TaskResult

__all__ = ["DaskRunner", "Runner", "SerialRunner", "Store", "Task", "TaskResult"]
