"""A kit for the authors of plugins: checks, and guided sampling with a known answer.

::

    from artdiff.testing import check_plugin

    def test_conforms():
        assert not [str(f) for f in check_plugin("my_plugin") if f.level == "wrong"]

Needs nothing that artdiff itself does not need. See docs/plugin-testing.md.
"""

from artdiff.testing.findings import Finding
from artdiff.testing.guiders import check_guider
from artdiff.testing.measures import check_feature_extractor, check_metric
from artdiff.testing.oracles import Posterior, QuadraticLoss, guided_posterior, marginal_loss
from artdiff.testing.pieces import check_dataset, check_effect, check_frame_source
from artdiff.testing.plugin import check_plugin
from artdiff.testing.samplers import check_grid, check_sampler, exact_path, measured_order
from artdiff.testing.terms import check_guidance, gradient_error
from artdiff.testing.toys import toy_pictures, toy_score, toy_setup

__all__ = [
    "Finding",
    "Posterior",
    "QuadraticLoss",
    "check_dataset",
    "check_effect",
    "check_feature_extractor",
    "check_frame_source",
    "check_grid",
    "check_guidance",
    "check_guider",
    "check_metric",
    "check_plugin",
    "check_sampler",
    "exact_path",
    "gradient_error",
    "guided_posterior",
    "marginal_loss",
    "measured_order",
    "toy_pictures",
    "toy_score",
    "toy_setup",
]
