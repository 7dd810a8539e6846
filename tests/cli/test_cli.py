"""The command line: exit statuses, one-line errors and warnings, verbs that are documented."""

from __future__ import annotations

import errno
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import openmm_hybrid as oh
from openmm_hybrid import Molecule, __version__
from openmm_hybrid.cli import app, doctor
from openmm_hybrid.core.errors import InputError
from tests.helpers.gaff_molecules import gasteiger

ROOT = Path(__file__).parents[2]


def raising(error: BaseException) -> Callable[[], doctor.Report]:
    def examine() -> doctor.Report:
        raise error

    return examine


def report(lacks: tuple[str, ...] = ()) -> doctor.Report:
    checks = {"backends": {"torchforce": doctor.Check("incompatible", "[broken] by SIGSEGV", "pip install 'a[b]'")}}
    return doctor.Report({"python": "3.11"}, {"cores": 2}, checks, lacks)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("the box is a\nsphere", expected="a cuboid"), 2, "error: the box is a sphere; expected a cuboid."),
        (OSError(errno.ENOSPC, "No space left on device", "x.dcd"), 2, "x.dcd: No space left on device; free some"),
        (PermissionError(errno.EACCES, "Permission denied", "/etc/x"), 2, "/etc/x: Permission denied"),
        (KeyboardInterrupt(), 130, "stopped by Ctrl-C"),
        (
            KeyboardInterrupt("stopped at step 5, call again to continue"),
            130,
            "stopped at step 5, call again to continue",
        ),
    ],
)
def test_errors_are_one_line(monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, line: str) -> None:
    monkeypatch.setattr(doctor, "examine", raising(error))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == status
    assert line in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not result.stdout


def test_errors_of_ours_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", raising(ZeroDivisionError()))
    assert isinstance(CliRunner().invoke(app, ["doctor"]).exception, ZeroDivisionError)


@pytest.mark.parametrize("way", ["option", "environment"])
def test_traceback_on_demand(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(doctor, "examine", raising(InputError("no good")))
    if way == "environment":
        monkeypatch.setenv("OPENMM_HYBRID_TRACEBACK", "1")
    result = CliRunner().invoke(app, ["--traceback", "doctor"] if way == "option" else ["doctor"])
    assert isinstance(result.exception, InputError)


def test_warnings_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def examine() -> doctor.Report:
        warnings.warn("two\nlines", stacklevel=1)
        return report()

    monkeypatch.setattr(doctor, "examine", examine)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.stderr == "warning: two lines\n"


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"{__version__}\n")


def test_unknown_verb_is_refused() -> None:
    assert CliRunner().invoke(app, ["doctr"]).exit_code == 2


def test_every_verb_is_documented() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    for name in get_command(app).commands:  # type: ignore[attr-defined]
        assert f"\n## {name}\n" in page


@pytest.mark.parametrize(("lacks", "status"), [((), 0), (("antechamber: not found",), 1)])
@pytest.mark.parametrize("arguments", [["doctor"], ["doctor", "--json"]])
def test_doctor_exit_status(
    monkeypatch: pytest.MonkeyPatch, lacks: tuple[str, ...], status: int, arguments: list[str]
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: report(lacks))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == status
    assert "[broken] by SIGSEGV" in result.stdout
    assert "pip install 'a[b]'" in result.stdout
    if "--json" in arguments:
        assert json.loads(result.stdout)["ready"] is not bool(status)
        assert json.loads(result.stdout)["lacks"] == list(lacks)


def test_a_whole_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From SMILES to a hybrid simulation, verb by verb, as docs/cli.md shows."""
    monkeypatch.chdir(tmp_path)
    # On one platform: "auto" takes the one that is fastest at the moment, and each has random numbers of its own.
    alike = "--duration 0.02 --interval 20 --platform Reference"
    for line, result in {
        "build CO --name methanol -o methanol --charges am1-bcc": "methanol/system.xml",
        "sample methanol -o gaff --duration 0.2 --interval 20": "gaff/trajectory_0.dcd",
        "label gaff -o labels.npz --count 15": "labels.npz",
        "train correction methanol labels.npz -o correction.npz": "correction.npz",
        "train sgdml labels.npz -o model.npz --molecule methanol/molecule.sdf --n-train 10": "model.npz",
        "export correction.npz -o correction.pt": "correction.pt",
        f"sample methanol -o hybrid {alike} --model correction.npz": "hybrid/trajectory_0.dcd",
        "sample methanol -o many --duration 0.02 --interval 20 --model correction.npz --replicas 3": "many/log_2.csv",
        "sample methanol -o ladder --duration 0.02 --interval 20 --exchange 650 --replicas 2": "ladder/log_3.csv",
        f"sample methanol -o outer {alike} --model correction.npz --outer-timestep 1": "outer/trajectory_0.dcd",
        f"sample methanol -o again {alike} --model correction.pt --atoms 0-5": "again/log_0.csv",
    }.items():
        done = CliRunner().invoke(app, line.split())
        assert done.exit_code == 0, done.stderr
        assert f"in {Path(result).parts[0]}" in done.stdout.splitlines()[-1]
        assert len(done.stdout.splitlines()) == (4 if line.startswith("train sgdml") else 1)  # a table of errors
        assert Path(result).is_file()
    assert Path("again/log_0.csv").read_text() == Path("hybrid/log_0.csv").read_text()
    assert json.loads(Path("outer/settings.json").read_text())["respa"] == [[0, 2], [1, 1]]


@pytest.mark.parametrize("options", ["", " --replicas 2"])
def test_a_complete_force_field_replaces_the_terms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    """The run is that in a folder of `replace`, whose bonds, angles and charges act once."""
    monkeypatch.chdir(tmp_path)
    ethanol = Molecule.from_smiles("C(C)O")
    built = oh.gaff.build(ethanol, charges=gasteiger(ethanol))
    oh.save_system("ethanol", built.system, built.topology, built.positions)
    alike = f"--duration 0.02 --interval 20 --platform Reference{options}"
    for line in (
        f"sample ethanol -o direct {alike} --model ethanol-cross",
        "replace ethanol ethanol-cross -o replaced",
        f"sample replaced -o twostep {alike}",
    ):
        done = CliRunner().invoke(app, line.split())
        assert done.exit_code == 0, done.stderr
    assert Path("direct/log_0.csv").read_text() == Path("twostep/log_0.csv").read_text()


def test_a_complete_force_field_takes_no_outer_timestep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ethanol = Molecule.from_smiles("C(C)O")
    built = oh.gaff.build(ethanol, charges=gasteiger(ethanol))
    oh.save_system("ethanol", built.system, built.topology, built.positions)
    line = "sample ethanol -o out --duration 0.02 --model ethanol-cross --outer-timestep 2"
    done = CliRunner().invoke(app, line.split())
    assert done.exit_code == 2
    assert "a complete force field replaces the terms, and takes no outer timestep" in " ".join(done.stderr.split())
    assert not Path("out").exists()


def test_build_with_constraints_and_heavy_hydrogens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = "build CO -o methanol --charges am1-bcc --constraints HBonds --hydrogen-mass 3"
    done = CliRunner().invoke(app, line.split())
    assert done.exit_code == 0, done.stderr
    system = oh.load_system(Path("methanol"))[0]
    assert system.getNumConstraints() == 4
    assert [round(system.getParticleMass(i)._value) for i in range(6)] == [6, 14, 3, 3, 3, 3]
