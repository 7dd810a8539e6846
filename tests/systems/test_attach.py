"""attach(): OpenMM's forces against torch's, and every refusal. Source of the expected numbers: the model's own
predict() on whole molecules (tests/helpers/morse.py); bounds: those of the project's acceptance."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray

import openmm_hybrid as oh
from openmm_hybrid.core.errors import HybridError, InputError, MismatchError, MissingDependencyError
from openmm_hybrid.models.compose import OnAtoms, Sum
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.systems.backends import torchforce
from tests.helpers import ROOT
from tests.helpers.boxes import BONDS, NUMBERS, RECTANGULAR, TRICLINIC, Case, derivative, evaluate, make
from tests.helpers.morse import PairMorse, UnscriptableMorse

PLATFORMS = [openmm.Platform.getPlatform(k).getName() for k in range(openmm.Platform.getNumPlatforms())]
BACKENDS = [
    pytest.param("torchforce", marks=pytest.mark.torchforce),
    pytest.param("pythonforce", marks=pytest.mark.pythonforce),
]
MODEL = PairMorse(NUMBERS)


def _agree(got: tuple[float, NDArray[np.float64]], case: Case, model: object, platform: str) -> None:
    """|ΔE| ≤ 1e-6 kcal/mol and |ΔF| ≤ 1e-5 kcal/mol/Å; 2e-4 relative on OpenCL, which computes in float32."""
    energy, forces = case.labels(model)
    single = platform == "OpenCL"
    assert abs(got[0] - energy) <= (2e-4 * abs(energy) if single else 1e-6)
    assert np.abs(got[1] - forces).max() <= (2e-4 * np.abs(forces).max() if single else 1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("platform", ["Reference", "CPU", "OpenCL"])
@pytest.mark.parametrize(
    ("box", "n_copies", "n_waters"),
    [(None, 1, 0), (RECTANGULAR, 1, 60), (TRICLINIC, 2, 60)],
    ids=["vacuum", "water box", "triclinic, two copies"],
)
def test_openmm_and_torch_agree(
    backend: str, platform: str, box: NDArray[np.float64] | None, n_copies: int, n_waters: int
) -> None:
    if platform not in PLATFORMS:
        pytest.skip(f"OpenMM has no platform {platform} here")
    case = make(box=box, n_copies=n_copies, n_waters=n_waters)
    if box is not None:
        spread = np.ptp(case.wrapped[case.atoms[0]], axis=0)
        assert spread.min() > 10.0, "the first molecule is meant to lie across every face"
    atoms = case.atoms if n_copies > 1 else case.atoms[0]
    forces = oh.attach(case.system, case.topology, MODEL, atoms=atoms, backend=backend, force_group=7)
    assert [force.getForceGroup() for force in forces] == [7]
    _agree(evaluate(case.system, case.wrapped, platform, group=7), case, MODEL, platform)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("platform", ["Reference", "OpenCL"])
def test_the_published_ethanol_model_agrees(backend: str, platform: str, reference_data: Callable[[str], Path]) -> None:
    """The sGDML authors' model of 2018; its atom order starts at CH2, the System's ethanols at CH3."""
    if platform not in PLATFORMS:
        pytest.skip(f"OpenMM has no platform {platform} here")
    model = oh.sgdml.load(reference_data("sgdml_model_2018_ethanol.npz"))
    made = make(box=TRICLINIC, n_copies=2, n_waters=30)
    case = replace(made, atoms=made.atoms[:, [1, 0, 2, 6, 7, 3, 4, 5, 8]])
    oh.attach(case.system, case.topology, model, atoms=case.atoms, backend=backend, force_group=1)
    _agree(evaluate(case.system, case.wrapped, platform, group=1), case, model, platform)


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_atoms_in_their_own_order_need_no_list(backend: str) -> None:
    case = make()
    in_order = PairMorse(tuple(np.array(NUMBERS)[np.argsort(case.atoms[0])]))
    oh.attach(case.system, case.topology, in_order, backend=backend, force_group=1)
    got = evaluate(case.system, case.wrapped, "Reference", group=1)
    energy, forces = in_order.predict(case.whole)
    assert abs(got[0] - energy) <= 1e-6
    np.testing.assert_allclose(got[1], forces, rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("box", [None, TRICLINIC], ids=["vacuum", "triclinic"])
def test_a_fragment_is_made_whole_through_atoms_outside_it(backend: str, box: NDArray[np.float64] | None) -> None:
    """CH3's carbon and OH: the bond path between them passes through CH2, which the model does not have."""
    case = make(box=box, n_waters=20)
    fragment = PairMorse((8, 6, 1))
    oh.attach(case.system, case.topology, fragment, atoms=case.atoms[0, [2, 0, 8]], backend=backend, force_group=1)
    whole = OnAtoms(fragment, (2, 0, 8), NUMBERS)
    _agree(evaluate(case.system, case.wrapped, "Reference", group=1), case, whole, "Reference")


@pytest.mark.parametrize("atoms", [None, [2, 0, 8]], ids=["all atoms", "chosen atoms"])
def test_a_correction_knows_its_atoms(atoms: list[int] | None) -> None:
    """Given the particles of whole molecules, it acts on the atoms that it is for."""
    case = make(box=TRICLINIC, n_copies=2, n_waters=20)
    model = PairMorse(NUMBERS if atoms is None else (8, 6, 1))
    chosen = None if atoms is None else np.array(atoms)
    correction = Correction(model, chosen, np.array(NUMBERS))
    oh.attach(case.system, case.topology, correction, atoms=case.atoms, force_group=1)
    whole = model if atoms is None else OnAtoms(model, tuple(atoms), NUMBERS)
    _agree(evaluate(case.system, case.wrapped, "Reference", group=1), case, whole, "Reference")
    with pytest.raises(MismatchError, match="8 atoms were given"):
        oh.attach(case.system, case.topology, correction, atoms=case.atoms[0, :8])


def test_a_correction_of_the_only_molecule_needs_no_list() -> None:
    case = make()
    positions = np.argsort(case.atoms[0])
    model = PairMorse(tuple(np.array(NUMBERS)[positions][:4]))
    correction = Correction(model, np.arange(4), np.array(NUMBERS)[positions])
    oh.attach(case.system, case.topology, correction, force_group=1)
    energy, _ = evaluate(case.system, case.wrapped, "Reference", group=1)
    assert energy == pytest.approx(float(model.predict(case.whole[:4])[0]), abs=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_bonds_of_the_system_serve_where_the_topology_has_none(backend: str) -> None:
    case = make(box=RECTANGULAR, n_waters=20)
    case.topology._bonds.clear()
    with pytest.raises(MismatchError, match=r"not connected by bonds.*addBond"):
        oh.attach(case.system, case.topology, MODEL, atoms=case.atoms, backend=backend)
    bonds = openmm.HarmonicBondForce()
    for i, j in BONDS:
        bonds.addBond(case.atoms[0, i], case.atoms[0, j], 0.1, 0.0)
    case.system.addForce(bonds)
    oh.attach(case.system, case.topology, MODEL, atoms=case.atoms, backend=backend, force_group=1)
    _agree(evaluate(case.system, case.wrapped, "Reference", group=1), case, MODEL, "Reference")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_parameter_scales_energy_and_forces(backend: str) -> None:
    case = make(box=RECTANGULAR, n_waters=20)
    oh.attach(case.system, case.topology, MODEL, atoms=case.atoms, backend=backend, scale="lambda", force_group=1)
    _agree(evaluate(case.system, case.wrapped, "Reference", group=1), case, MODEL, "Reference")  # it starts at 1
    energy, forces = case.labels(MODEL)
    for lam in (0.3, 0.0):
        got = evaluate(case.system, case.wrapped, "Reference", group=1, scale=("lambda", lam))
        assert abs(got[0] - lam * energy) <= 1e-6
        np.testing.assert_allclose(got[1], lam * forces, rtol=0, atol=1e-5)


@pytest.mark.torchforce
@pytest.mark.parametrize("platform", ["Reference", "CPU", "OpenCL"])
@pytest.mark.parametrize("box", [None, RECTANGULAR])
def test_the_energy_derivative_of_the_parameter_is_the_energy(platform: str, box: NDArray[np.float64] | None) -> None:
    """E(λ) = λ E, so dE/dλ = E at every λ."""
    if platform not in PLATFORMS:
        pytest.skip(f"OpenMM has no platform {platform} here")
    case = make(box=box)
    oh.attach(case.system, case.topology, MODEL, atoms=case.atoms, backend="torchforce", scale="lambda")
    energy, _ = case.labels(MODEL)
    for lam in (0.0, 0.7):
        got = derivative(case.system, case.wrapped, platform, ("lambda", lam))
        assert abs(got - energy) <= (2e-4 * energy if platform == "OpenCL" else 1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_xml_and_deepcopy_keep_the_forces(backend: str) -> None:
    case = make(box=TRICLINIC, n_copies=2, n_waters=20)
    oh.attach(case.system, case.topology, MODEL, atoms=case.atoms, backend=backend, scale="lam", force_group=3)
    expected = evaluate(case.system, case.wrapped, "Reference", group=3, scale=("lam", 0.5))
    xml = openmm.XmlSerializer.serialize(case.system)
    for again in (openmm.XmlSerializer.deserialize(xml), copy.deepcopy(case.system)):
        got = evaluate(again, case.wrapped, "Reference", group=3, scale=("lam", 0.5))
        assert got[0] == expected[0]
        np.testing.assert_array_equal(got[1], expected[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sum_becomes_one_force(backend: str) -> None:
    case = make()
    model = Sum((MODEL, Sum((PairMorse(NUMBERS, 2.0), OnAtoms(PairMorse((8, 1)), (2, 8), NUMBERS)))))
    forces = oh.attach(case.system, case.topology, model, atoms=case.atoms[0], force_group=1)
    assert len(forces) == 1
    assert case.system.getNumForces() == 2
    _agree(evaluate(case.system, case.wrapped, "Reference", group=1), case, model, "Reference")


@pytest.mark.pythonforce
@pytest.mark.parametrize("box", [None, TRICLINIC])
def test_pythonforce_carries_models_without_torch_form(box: NDArray[np.float64] | None) -> None:
    case = make(box=box, n_copies=2 if box is not None else 1)
    model = UnscriptableMorse(NUMBERS)
    oh.attach(case.system, case.topology, model, atoms=case.atoms, force_group=1)
    _agree(evaluate(case.system, case.wrapped, "Reference", group=1), case, model, "Reference")


@pytest.mark.pythonforce
@pytest.mark.parametrize("platform", ["Reference", "CPU", "OpenCL"])
@pytest.mark.parametrize("kind", [PairMorse, UnscriptableMorse])
@pytest.mark.parametrize("box", [None, RECTANGULAR, TRICLINIC], ids=["vacuum", "rectangular", "triclinic"])
def test_pythonforce_without_a_choice_of_particles(
    box: NDArray[np.float64] | None, kind: type[PairMorse], platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenMM 8.5, whose PythonForce has no setParticles: the force gets all particles and moves its own only."""
    if platform not in PLATFORMS:
        pytest.skip(f"OpenMM has no platform {platform} here")
    monkeypatch.delattr(openmm.PythonForce, "setParticles", raising=False)
    case = make(box=box, n_copies=2 if box is not None else 1, n_waters=40)
    model = kind(NUMBERS)
    atoms = case.atoms if box is not None else case.atoms[0]
    oh.attach(case.system, case.topology, model, atoms=atoms, backend="pythonforce", force_group=1)
    found = evaluate(case.system, case.wrapped, platform, group=1)
    _agree(found, case, model, platform)
    assert not np.delete(found[1], case.atoms, axis=0).any()


@pytest.mark.torchforce
def test_torchforce_refuses_models_without_torch_form() -> None:
    case = make()
    model = UnscriptableMorse(NUMBERS)
    with pytest.raises(MismatchError, match="no backend among torchforce takes UnscriptableMorse"):
        oh.attach(case.system, case.topology, model, atoms=case.atoms, backend="torchforce")
    if not hasattr(openmm, "PythonForce"):
        with pytest.raises(MismatchError, match="no backend among native, spline, torchforce takes UnscriptableMorse"):
            oh.attach(case.system, case.topology, model, atoms=case.atoms)
    assert case.system.getNumForces() == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_float32_is_within_its_rounding(backend: str) -> None:
    case = make(box=TRICLINIC)
    oh.attach(case.system, case.topology, MODEL, atoms=case.atoms, backend=backend, dtype="float32", force_group=1)
    _agree(evaluate(case.system, case.wrapped, "Reference", group=1), case, MODEL, "OpenCL")


@pytest.mark.parametrize("backend", BACKENDS)
def test_constraints_inside_the_model_are_warned_of(backend: str) -> None:
    case = make(box=RECTANGULAR, n_waters=20)  # the waters' constraints are nobody's concern
    case.system.addConstraint(case.atoms[0, 2], case.atoms[0, 8], 0.096)
    with pytest.warns(UserWarning, match="1 constraints lie inside the model's atoms"):
        oh.attach(case.system, case.topology, MODEL, atoms=case.atoms, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_barostat_keeps_molecules_whole(backend: str) -> None:
    """OpenMM finds molecules from the bonds of the System's other forces, which attach leaves in place."""
    case = make(box=RECTANGULAR, n_waters=60)
    bonds = openmm.HarmonicBondForce()
    for i, j in case.atoms[0, np.array(BONDS)]:
        bonds.addBond(i, j, np.linalg.norm(case.whole[i] - case.whole[j]) / 10, 3e5)
    case.system.addForce(bonds)
    model = PairMorse(NUMBERS, 0.5)
    oh.attach(case.system, case.topology, model, atoms=case.atoms, backend=backend, force_group=1)
    barostat = openmm.MonteCarloBarostat(1.0, 300.0, 5)
    barostat.setRandomNumberSeed(1)
    case.system.addForce(barostat)
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.0005)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(case.system, integrator, openmm.Platform.getPlatformByName("CPU"))
    context.setPositions(case.whole / 10)
    assert tuple(sorted(case.atoms[0])) in {tuple(sorted(atoms)) for atoms in context.getMolecules()}
    integrator.step(300)
    state = context.getState(positions=True, energy=True, groups={1})
    assert abs(state.getPeriodicBoxVolume()._value / np.linalg.det(RECTANGULAR / 10) - 1.0) > 1e-3
    moved = 10 * state.getPositions(asNumpy=True)._value
    lengths = np.linalg.norm(np.subtract(*np.moveaxis(moved[case.atoms[0, np.array(BONDS)]], 1, 0)), axis=1)
    assert lengths.max() < 2.0
    expected = float(model.predict(moved[case.atoms[0]])[0])
    assert state.getPotentialEnergy()._value / 4.184 == pytest.approx(expected, abs=1e-4)


def test_order_of_imports_does_not_matter() -> None:
    """A user's script imports openmm first, when torch's libraries are not there yet for the plugin to load."""
    code = (
        "import openmm\n"
        "import openmm_hybrid as oh; from tests.systems.test_attach import MODEL, _agree, evaluate, make\n"
        "case = make(); oh.attach(case.system, case.topology, MODEL, atoms=case.atoms, force_group=1)\n"
        "_agree(evaluate(case.system, case.wrapped, 'Reference', group=1), case, MODEL, 'Reference')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "deprecated" not in ended.stderr


def _other_topology(case: Case) -> dict[str, object]:
    return {"topology": make(box=RECTANGULAR, n_waters=6).topology}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda case: {"atoms": None}, r"System has 9 particles, the model 3 atoms"),
        (lambda case: {"atoms": [0, 1]}, "2 atoms were given; expected 3"),
        (lambda case: {"atoms": range(6)}, r"for 2 molecules give one list for each: shape \(2, 3\)"),
        (lambda case: {"atoms": []}, "there are no atoms; expected 3, the model's; check the residue's name"),
        (lambda case: {"atoms": [0, 1, 9]}, "atom 9 is out of range; expected 0 to 8"),
        (lambda case: {"atoms": [0, 1, -1]}, "atom -1 is out of range"),
        (lambda case: {"atoms": [4, 1, 4]}, "atom 4 is given twice"),
        (lambda case: {"atoms": [0.0, 1.0, 2.0]}, "expected integers of shape"),
        (lambda case: {"atoms": case.atoms[0, [2, 3, 0]]}, r"A3 of ETH 1\) is H; expected C for the model's atom 1"),
        (lambda case: {"force_group": 32}, "force group 32; expected a whole number from 0 to 31"),
        (lambda case: {"force_group": True}, "force group True"),
        (lambda case: {"scale": "1st"}, "'1st' cannot name a global parameter"),
        (lambda case: {"scale": "used"}, "'used' is in use by CustomExternalForce"),
        (lambda case: {"dtype": "float16"}, "unknown dtype 'float16'"),
        (lambda case: {"backend": "torchforc"}, "unknown backend 'torchforc'.*did you mean torchforce"),
        (lambda case: {"model": "m.npz"}, "a str was given as model"),
        (_other_topology, "the topology has 27 atoms, the System 9 particles"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_system_stays_as_it_was(changes: object, message: str) -> None:
    case = make()
    outside = openmm.CustomExternalForce("used*x")
    outside.addGlobalParameter("used", 0.0)
    case.system.addForce(outside)
    before = openmm.XmlSerializer.serialize(case.system)
    arguments = {"topology": case.topology, "model": PairMorse((8, 6, 1)), "atoms": case.atoms[0, [2, 0, 8]]}
    arguments |= changes(case)  # type: ignore[operator]
    with pytest.raises(InputError, match=message) as caught:
        oh.attach(case.system, arguments.pop("topology"), arguments.pop("model"), **arguments)
    assert "\n" not in str(caught.value)
    assert openmm.XmlSerializer.serialize(case.system) == before


@pytest.mark.parametrize("absent", ["torchforce", "pythonforce"])
def test_a_backend_that_is_not_here_is_named_with_a_hint(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchforce, "installed_builds", list)
    monkeypatch.delattr(openmm, "PythonForce", raising=False)
    case = make()
    with pytest.raises(MissingDependencyError, match=r"is missing.*pip install") as caught:
        oh.attach(case.system, case.topology, MODEL, atoms=case.atoms, backend=absent)
    assert isinstance(caught.value, HybridError)
    assert case.system.getNumForces() == 1
