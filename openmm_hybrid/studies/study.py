"""The contract of a study: settings in, a result out, and a folder that keeps both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from openmm_hybrid.core.csv_file import write_csv
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded
from openmm_hybrid.core.result_document import write_json
from openmm_hybrid.core.same_job import note_job
from openmm_hybrid.core.text_table import TextTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from openmm_hybrid.data.frames import Frames

JOB = "settings.json"
"""File in the output folder with the settings that decide a study's result (see `claim`)."""

_DPI = 200  # of pictures


def option(default: Any = MISSING, *, help: str, parse: Callable[[str], Any] | None = None, metavar: str = "") -> Any:
    """A field of a study's settings.

    The type may be int, float, str, bool, Path, a Literal of strings, one of these or None, or a tuple of any length of
    them. On the command line a field without a default is an argument and every other field an option; the option of a
    tuple is repeated.

    Parameters
    ----------
    default : int, float, str, bool, None or a tuple of them
        A value that JSON can hold. A field without a default must be given.
    help : str
        One plain sentence for the command line.
    parse : function, optional
        Makes the value from the text of the command line, for any other type.
    metavar : str
        Name of that text in the command line's help.
    """
    return field(default=default, metadata={"help": help, "parse": parse, "metavar": metavar})


@final
@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture of a result.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    caption : str
        What the picture shows, as a sentence without a full stop.
    """

    figure: Figure = field(repr=False)
    caption: str


class StudyResult(ABC):
    """The result of a study."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Stem of the names of the result's files, such as "sampling_ethanol"."""

    @abstractmethod
    def tables(self) -> Sequence[TextTable]:
        """The result for readers."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """The result as a JSON-ready document of `openmm_hybrid.core.result_document.document`."""

    @abstractmethod
    def records(self) -> Sequence[Mapping[str, Any]]:
        """The rows of the CSV file: one observation per row, all with the same keys, which name the columns."""

    def drawings(self) -> Mapping[str, Drawing]:
        """The pictures, by the stem of their files' names; none if there is nothing to draw."""
        return {}

    @final
    def table(self) -> str:
        """All tables as lines of text for a terminal."""
        return "\n\n".join(map(str, self.tables()))

    @final
    def save(self, folder: str | Path) -> list[Path]:
        """Write the JSON document, the CSV file and the pictures, as PNG and SVG, and return their paths.

        Raises
        ------
        HybridError
            A file cannot be written.
        """
        from openmm_hybrid.figures import save_figure

        target = expanded(folder)
        files = [write_json(target / f"{self.name}.json", self.as_dict())]
        files.append(write_csv(target / f"{self.name}.csv", self.records()))
        for stem, drawing in self.drawings().items():
            files += [save_figure(drawing.figure, target / f"{stem}.{kind}", dpi=_DPI) for kind in ("png", "svg")]
        return files


class Study(ABC):
    """A study. An entry in `openmm_hybrid.studies.STUDIES` makes it a command: ``openmm-hybrid study NAME``.

    Attributes
    ----------
    name : str
        Name in the registry.
    summary : str
        One line for the list of studies.
    Settings : type
        Frozen dataclass whose fields `option` makes.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Settings: ClassVar[type[Any]]

    @abstractmethod
    def run(self, settings: Any, output: Path, *, progress: bool = True) -> StudyResult:
        """Carry out the study, and resume it where an earlier run with the same settings stopped.

        Parameters
        ----------
        settings : Settings
        output : Path
            Folder for models, runs and everything else that a later run can use again.
        progress : bool
            Show the progress on standard error.

        Raises
        ------
        InputError
            The settings or the data do not allow the study.
        MismatchError
            The folder belongs to a study of other data or settings. Nothing has been written.
        """


def json_ready(value: Any) -> Any:
    """A setting as JSON holds it: tuples as lists, paths as strings."""
    if isinstance(value, tuple | list):
        return [json_ready(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def settings_as_dict(settings: Any, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """A study's settings as JSON holds them.

    Parameters
    ----------
    settings : dataclass
    without : tuple of str
        Fields to leave out.
    """
    return {
        field.name: json_ready(getattr(settings, field.name)) for field in fields(settings) if field.name not in without
    }


def frames_as_dict(frames: Frames) -> dict[str, Any]:
    """What identifies labelled frames in a study's job: hash of elements, geometries and labels, and level of theory.

    Parameters
    ----------
    frames : Frames
    """
    from openmm_hybrid.data.formats.npz import dataset_md5  # the command line imports this module for its options

    return {"frames": dataset_md5(frames), "theory": frames.theory}


def claim(output: Path, job: Mapping[str, Any], what: str) -> None:
    """Note in a folder what it is used for, or check that an earlier run noted the same.

    Parameters
    ----------
    output : Path
    job : mapping
        Settings and data that decide the result, as JSON holds them.
    what : str
        Name of the study, for messages.

    Raises
    ------
    MismatchError
        The folder belongs to another job; the message names the settings that differ.
    InputError
        The folder's note is damaged.
    """
    note_job(output / JOB, job, what=what, hint="give another folder")


def read_indices(text: str) -> tuple[int, ...]:
    """Indices, counted from 0, from text such as "0-8,12".

    Raises
    ------
    InputError
        The text is not made of indices and ranges.
    """
    chosen: list[int] = []
    try:
        for part in filter(None, text.split(",")):
            first, dash, last = part.partition("-")
            indices = range(int(first), int(last if dash else first) + 1)
            if not indices:
                raise ValueError
            chosen += indices
    except ValueError:
        raise InputError(f"cannot read the atoms {text!r}", expected="indices and ranges such as 0-8,12") from None
    return tuple(chosen)


def read_sigma(text: str) -> float | str:
    """A number, or the word "search".

    Raises
    ------
    InputError
        The text is neither.
    """
    if text == "search":
        return text
    try:
        return float(text)
    except ValueError:
        raise InputError(f"sigma = {text!r}", expected="a number in 1/Å, or search") from None
