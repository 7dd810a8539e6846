"""The engine "pyscf" against PySCF run by hand, and its forces against differences of its energies."""

from __future__ import annotations

from ctypes import c_double

import numpy as np
import pytest
from pyscf import cc, dft, gto, mp, scf
from pyscf.cc import ccsd_t_lambda
from pyscf.grad import ccsd_t

from openmm_hybrid import reference
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR, KCAL_PER_HARTREE
from openmm_hybrid.reference.pyscf_methods import METHODS
from openmm_hybrid.testing import ReferenceEngineSuite

NUMBERS = np.array([8, 1, 1])
WATER = np.array([[0.0, 0.03, 0.127], [0.02, 0.787, -0.459], [0.06, -0.757, -0.469]])
STATES = [(0, 1), (1, 2), (-1, 2), (0, 3)]


class TestMp2(ReferenceEngineSuite):
    def make(self, charge=0, multiplicity=1):
        return reference.engine("pyscf:mp2/sto-3g", charge=charge, multiplicity=multiplicity)


class TestCoupledCluster(ReferenceEngineSuite):
    def make(self, charge=0, multiplicity=1):
        return reference.engine("pyscf:ccsd/sto-3g", charge=charge, multiplicity=multiplicity)


class TestTriples(ReferenceEngineSuite):
    def make(self, charge=0, multiplicity=1):
        return reference.engine("pyscf:ccsd(t)/6-31g", charge=charge, multiplicity=multiplicity)


class TestDensityFitting(ReferenceEngineSuite):
    energy_tolerance = 0.01  # the integration grid does not turn with the molecule

    def make(self, charge=0, multiplicity=1):
        return reference.engine("pyscf:pbe/sto-3g?density_fit=true", charge=charge, multiplicity=multiplicity)


class TestDispersion(ReferenceEngineSuite):
    energy_tolerance = 0.01  # the integration grid does not turn with the molecule

    def make(self, charge=0, multiplicity=1):
        pytest.importorskip("pyscf.dispersion")
        return reference.engine("pyscf:b3lyp-d3bj/sto-3g", charge=charge, multiplicity=multiplicity)


def _by_hand(functional, charge, multiplicity, *, fit=False, dispersion=None, basis="6-31g", grid=4):
    """A converged mean field of water; atoms are given to PySCF in Å."""
    mol = gto.M(atom=list(zip("OHH", WATER, strict=True)), basis=basis, charge=charge, spin=multiplicity - 1, verbose=0)
    closed = multiplicity == 1
    if functional:
        field = (dft.RKS if closed else dft.UKS)(mol)
        field.xc, field.grids.level, field.nlc = functional, grid, False
    else:
        field = (scf.RHF if closed else scf.UHF)(mol)
    if dispersion:
        field.disp = dispersion
    if fit:
        field = field.density_fit()
    field.conv_tol, field.chkfile = 1e-9, None
    field._chkfile.close()
    field.kernel()
    return field


def _same(text, energy, gradient, charge=0, multiplicity=1):
    """Hartree and hartree/bohr: the numbers are those of PySCF to 1e-8."""
    engine = reference.engine(text, charge=charge, multiplicity=multiplicity)
    found, forces = engine.compute(NUMBERS, WATER)
    assert found / KCAL_PER_HARTREE == pytest.approx(energy, abs=1e-8)
    np.testing.assert_allclose(-forces * ANGSTROM_PER_BOHR / KCAL_PER_HARTREE, gradient, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("charge", "multiplicity"), STATES)
@pytest.mark.parametrize(
    ("text", "functional", "options"),
    [
        ("pyscf:hf/6-31g", "", {}),
        ("pyscf:hf/6-31g?density_fit=true", "", {"fit": True}),
        ("pyscf:b3lyp/6-31g", "b3lyp", {}),
        ("pyscf:pbe/6-31g?density_fit=true", "pbe", {"fit": True}),
        ("pyscf:pbe/6-31g?grid=2", "pbe", {"grid": 2}),
    ],
)
def test_mean_fields_are_pyscf_s(text, functional, options, charge, multiplicity):
    field = _by_hand(functional, charge, multiplicity, **options)
    gradient = field.nuc_grad_method()
    gradient.grid_response = True
    _same(text, field.e_tot, gradient.kernel(), charge, multiplicity)


@pytest.mark.parametrize(("charge", "multiplicity"), STATES)
def test_mp2_and_ccsd_are_pyscf_s(charge, multiplicity):
    field = _by_hand("", charge, multiplicity)
    second = mp.MP2(field).run()
    _same("pyscf:mp2/6-31g", second.e_tot, second.nuc_grad_method().kernel(), charge, multiplicity)
    cluster = cc.CCSD(field)
    cluster.conv_tol, cluster.conv_tol_normt = 1e-9, 1e-7
    cluster.run()
    _same("pyscf:ccsd/6-31g", cluster.e_tot, cluster.nuc_grad_method().kernel(), charge, multiplicity)


def test_triples_are_pyscf_s():
    """As in the example of `pyscf.grad.ccsd_t`: with the lambda equations of CCSD(T), not of CCSD."""
    cluster = cc.CCSD(_by_hand("", 0, 1))
    cluster.conv_tol, cluster.conv_tol_normt = 1e-9, 1e-7
    cluster.run()
    integrals = cluster.ao2mo()
    _, *amplitudes = ccsd_t_lambda.kernel(cluster, integrals, cluster.t1, cluster.t2, verbose=0)
    gradient = ccsd_t.Gradients(cluster).kernel(cluster.t1, cluster.t2, *amplitudes, eris=integrals)
    _same("pyscf:ccsd(t)/6-31g", cluster.e_tot + cluster.ccsd_t(), gradient)


@pytest.mark.parametrize(
    ("text", "functional", "dispersion", "state"),
    [
        ("pyscf:hf-d3bj/6-31g", "", "d3bj", (0, 1)),
        ("pyscf:b3lyp-d3bj/6-31g", "b3lyp", "d3bj", (0, 1)),
        ("pyscf:b3lyp-d3(bj)/6-31g", "b3lyp", "d3bj", (1, 2)),
        ("pyscf:pbe-d3zero/6-31g", "pbe", "d3zero", (0, 1)),
        ("pyscf:pbe-d4/6-31g", "pbe", "d4", (-1, 2)),
        ("pyscf:wb97m-d3bj/6-31g", "wb97m_v", "d3bj:wb97m", (0, 1)),
        ("pyscf:wb97x-d4/6-31g", "wb97x_v", "d4:wb97x", (0, 1)),
    ],
)
def test_dispersion_is_pyscf_s(text, functional, dispersion, state):
    pytest.importorskip("pyscf.dispersion")
    field = _by_hand(functional, *state, dispersion=dispersion)
    gradient = field.nuc_grad_method()
    gradient.grid_response = True
    _same(text, field.e_tot, gradient.kernel(), *state)


def test_wb97x_d3_has_the_published_parameters():
    """Lin et al., J. Chem. Theory Comput. 9, 263 (2013): zero damping with s_r,6 = 1.281 and s_r,8 = 1.094."""
    dftd3 = pytest.importorskip("pyscf.dispersion.dftd3")
    field = _by_hand("hyb_gga_xc_wb97x_d3", 0, 1)
    assert field._numint.rsh_and_hybrid_coeff(field.xc)[0] == pytest.approx(0.25)  # ω, 1/bohr, of the same paper
    published = dftd3.DFTD3Dispersion(field.mol, xc="wb97x", version="d3zero")
    make, error = dftd3.libdftd3.dftd3_new_zero_damping, dftd3.libdftd3.dftd3_new_error()
    make.restype = dftd3.libdftd3.dftd3_load_zero_damping.restype
    # s6, s8, s9 (no three-body term), s_r,6, s_r,8 and the exponent of the damping.
    published._param = make(error, *(c_double(value) for value in (1.0, 1.0, 0.0, 1.281, 1.094, 14.0)))
    correction = published.get_dispersion(grad=True)
    gradient = field.nuc_grad_method()
    gradient.grid_response = True
    total = field.e_tot + correction["energy"]
    _same("pyscf:wb97x-d3/6-31g", total, gradient.kernel() + correction["gradient"])


@pytest.mark.parametrize("method", [name for name, parts in METHODS.items() if parts.dispersion])
def test_forces_with_each_dispersion_are_minus_the_gradient(method):
    pytest.importorskip("pyscf.dispersion")
    engine = reference.engine(f"pyscf:{method}/sto-3g")
    numbers, positions, shift = [1, 9], np.array([[0.0, 0.1, 0.0], [0.0, 0.0, 0.95]]), np.zeros((2, 3))
    shift[1, 2] = 1e-3
    up, down = (engine.compute(numbers, positions + sign * shift)[0] for sign in (1, -1))
    assert engine.compute(numbers, positions)[1][1, 2] == pytest.approx((down - up) / 2e-3, abs=0.02)


def test_everything_that_decides_a_label_is_told():
    def told(text, **state):
        engine = reference.engine(text, **state)
        return engine.theory, engine.program, engine.settings

    texts = ["pbe/sto-3g", "pbe0/sto-3g", "pbe/6-31g", "pbe/sto-3g?density_fit=true", "hf/sto-3g", "mp2/sto-3g"]
    keys = [told(f"pyscf:{text}") for text in texts]
    keys += [told("pyscf:pbe/sto-3g", charge=2), told("pyscf:pbe/sto-3g", multiplicity=3)]
    assert len(set(keys)) == len(keys)
    assert "libxc" in keys[0][2]
    assert "grid level 4" in keys[0][2]
    assert keys[3][0] == "PBE/STO-3G, density fitting"
    pytest.importorskip("pyscf.dispersion")
    theory, program, settings = told("pyscf:pbe-d4/sto-3g")
    assert (theory, settings[-6:]) == ("PBE-D4/STO-3G", "d4:pbe")
    assert "pyscf-dispersion" in program
