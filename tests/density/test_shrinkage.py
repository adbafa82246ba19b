"""Oracles: scikit-learn's estimators under scipy's normal density, and the published formula."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.covariance import OAS, LedoitWolf

from pipeline.base.errors import PipelineError
from tests.small_features import clusters, fit

ORACLES = {"ledoit_wolf": LedoitWolf, "oas": OAS}
SHRUNK = {"components": 1, "shrinkage": "ledoit_wolf"}


@pytest.mark.parametrize("kind", ORACLES)
@pytest.mark.parametrize("d", [240, 1000])
def test_log_likelihood_is_that_of_scikit_learns_estimator(kind, d):
    """As many fit photographs as the sample has, in fewer and in more dimensions than that."""
    draw = np.random.default_rng(d)
    low = draw.normal(size=(900, 20)) @ draw.normal(size=(20, d)) + draw.normal(size=(900, d))
    seen, new = low[:824] + 3, 1.5 * low[824:]
    result = fit(seen, components=1, shrinkage=kind)
    a, b = ((x - seen.mean(axis=0)) / seen.std(axis=0) for x in (seen, new))
    oracle = ORACLES[kind]().fit(a)
    expected = multivariate_normal(oracle.location_, oracle.covariance_).logpdf(b)
    np.testing.assert_allclose(result.mixture.log_likelihood(new), expected, rtol=1e-8)
    assert result.warnings == () and result.converged


@pytest.mark.parametrize(("components", "kind"), [(2, "full"), (1, "diag")])
def test_what_cannot_be_shrunk_names_the_keys(components, kind):
    message = rf"gmm.shrinkage oas .* {components} {kind}: set gmm.components to 1 and gmm.covaria"
    with pytest.raises(PipelineError, match=message):
        fit(clusters(), components=components, covariance_type=kind, shrinkage="oas")
