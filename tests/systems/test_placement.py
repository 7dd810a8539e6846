"""Bond paths and the torch module that makes molecules whole, against molecules known to be whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from openmm_hybrid.systems.placement import locate, whole_copies
from openmm_hybrid.systems.torch_wrapper import wrap_for_openmm
from tests.helpers.boxes import NUMBERS, TRICLINIC, make
from tests.helpers.morse import PairMorse


def _random_box(rng: np.random.Generator) -> np.ndarray:
    """A reduced triclinic box: lower triangular, off-diagonal terms at most half of the diagonal ones."""
    a, b, c = rng.uniform(18.0, 40.0, size=3)
    return np.array([[a, 0, 0], [rng.uniform(-a, a) / 2, b, 0], [rng.uniform(-a, a) / 2, rng.uniform(-b, b) / 2, c]])


def test_any_images_of_the_atoms_in_any_reduced_box_give_the_whole_molecule() -> None:
    rng = np.random.default_rng(3)
    for seed in range(30):
        box = _random_box(rng)
        case = make(box=box, n_copies=2, n_waters=4, seed=seed)
        placement = locate(case.system, case.topology, PairMorse(NUMBERS), atoms=case.atoms)
        moved = case.whole + rng.integers(-3, 4, size=case.whole.shape) @ box
        module = wrap_for_openmm(placement, placement.model.module())
        energy, forces = module(torch.tensor(moved / 10), torch.tensor(box / 10))
        expected_energy, expected_forces = case.labels(PairMorse(NUMBERS))
        assert abs(energy.item() / 4.184 - expected_energy) < 1e-8
        np.testing.assert_allclose(forces.numpy() / 41.84, expected_forces, rtol=0, atol=1e-8)


def test_copies_in_frames_are_made_whole() -> None:
    rng = np.random.default_rng(4)
    case = make(box=TRICLINIC, n_copies=2, n_waters=4)
    moved = np.stack([case.whole, *(case.whole + rng.integers(-3, 4, size=case.whole.shape) @ TRICLINIC for _ in "ab")])
    found = whole_copies(case.system, case.topology, moved, case.atoms)
    assert found.shape == (3, 2, 9, 3)
    expected = case.whole[case.atoms]
    np.testing.assert_allclose(found - found[:, :, :1], np.stack([expected - expected[:, :1]] * 3), rtol=0, atol=1e-9)
    alone = make(n_copies=2)
    np.testing.assert_array_equal(
        whole_copies(alone.system, alone.topology, alone.whole[None], alone.atoms), alone.whole[alone.atoms][None]
    )


def test_copies_with_other_bond_paths_share_a_placement() -> None:
    """The second copy's topology has one bond more; its spanning tree differs, the molecule does not."""
    case = make(box=TRICLINIC, n_copies=2, n_waters=4)
    atoms = list(case.topology.atoms())
    case.topology.addBond(atoms[case.atoms[1, 0]], atoms[case.atoms[1, 2]])
    placement = locate(case.system, case.topology, PairMorse((8, 6)), atoms=case.atoms[:, [2, 0]])
    assert placement.paths is not None
    assert placement.paths.on_path.sum(axis=(1, 2)).tolist() == [2.0, 1.0]
    module = wrap_for_openmm(placement, placement.model.module())
    energy, _ = module(torch.tensor(case.wrapped / 10), torch.tensor(TRICLINIC / 10))
    expected = PairMorse((8, 6)).predict(case.whole[case.atoms[:, [2, 0]]])[0].sum()
    assert abs(energy.item() / 4.184 - expected) < 1e-8


def test_one_atom_is_whole_by_itself() -> None:
    case = make(box=TRICLINIC)
    placement = locate(case.system, case.topology, PairMorse((8,)), atoms=case.atoms[0, [2]])
    energy, forces = wrap_for_openmm(placement, placement.model.module())(
        torch.tensor(case.wrapped / 10), torch.tensor(TRICLINIC / 10)
    )
    assert energy.item() == 0.0
    assert not forces.any()


def test_localised_counts_the_particles_that_matter_alone() -> None:
    case = make(box=TRICLINIC, n_waters=30)
    fragment = [2, 0, 8]
    placement = locate(case.system, case.topology, PairMorse((8, 6, 1)), atoms=case.atoms[0, fragment])
    particles, local = placement.localised()
    assert set(particles) == set(case.atoms[0, [0, 1, 2, 8]])  # CH2's carbon, atom 1, is on the way
    assert local.n_particles == 4
    np.testing.assert_array_equal(particles[local.atoms], placement.atoms)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("finish", [torch.jit.script, lambda module: torch.jit.freeze(torch.jit.script(module))])
def test_only_the_energy_keeps_a_tape_and_only_to_the_scale(periodic: bool, finish: Callable[..., object]) -> None:
    """Frozen as the plugin does it, too: freezing removes detach()."""
    case = make(box=TRICLINIC if periodic else None)
    positions = torch.tensor(case.wrapped / 10, requires_grad=True)
    box = [torch.tensor(TRICLINIC / 10)] if periodic else []
    scale = torch.tensor([0.25], requires_grad=True)  # one number of float32, as the CUDA platform hands it over
    placement = locate(case.system, case.topology, PairMorse(NUMBERS), atoms=case.atoms, scale="lam")
    module = finish(wrap_for_openmm(placement, placement.model.module()).eval())
    for _ in range(3):  # torch rewrites the program after the first calls
        scale.grad = None
        energy, forces = module(positions, *box, scale)  # type: ignore[operator]
        assert not forces.requires_grad
        energy.backward()
        assert positions.grad is None
        assert scale.grad is not None
        assert scale.grad.item() == pytest.approx(4.184 * case.labels(PairMorse(NUMBERS))[0], rel=1e-6)
        assert energy.dtype == torch.float64
    plain = locate(case.system, case.topology, PairMorse(NUMBERS), atoms=case.atoms)
    energy, _ = finish(wrap_for_openmm(plain, plain.model.module()).eval())(positions, *box)  # type: ignore[operator]
    assert not energy.requires_grad


class _ColumnsFirst(torch.nn.Module):
    def forward(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return positions.sum((1, 2)), positions.transpose(1, 2).contiguous().transpose(1, 2)


def test_forces_are_in_memory_as_the_plugin_reads_them() -> None:
    """TorchForce copies the memory from its start, whatever the strides say."""
    case = make()
    model = PairMorse(tuple(np.array(NUMBERS)[np.argsort(case.atoms[0])]))
    _, forces = wrap_for_openmm(locate(case.system, case.topology, model), _ColumnsFirst())(
        torch.tensor(case.whole / 10)
    )
    assert forces.is_contiguous()
    np.testing.assert_allclose(forces.numpy(), 41.84 * case.whole, rtol=1e-12)
