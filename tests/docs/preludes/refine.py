"""A refinement of few labels and one round, and short runs."""

from tests.docs.preludes.common import limit_refinements, limit_samples

limit_samples()
limit_refinements()
