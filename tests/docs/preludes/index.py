"""A refinement of few labels and one round."""

from tests.docs.preludes.common import limit_refinements

limit_refinements()
