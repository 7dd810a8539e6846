"""RESP charges, which need minutes of Hartree-Fock, become Gasteiger's."""

from tests.docs.preludes.common import limit_charges

limit_charges()
