"""Controls on made-up scores: figures against scikit-learn and plain loops, and what cannot be
computed.
"""

from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score

from pipeline.audit.controls import Refit, compare, file_size, halves, metadata
from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import Sample
from pipeline.face_sets.feature_sets import FeatureSet

DRAWS: Any = {"resamples": 200, "seed": 1}
GMM: Any = {
    **{"components": 1, "covariance_type": "full", "standardise": False, "pca_components": 0},
    **{"regularisation": 1e-6, "maximum_iterations": 100, "tolerance": 1e-4, "starts": 1},
    "device": "cpu",
    **{"shrinkage": "none", "residual": False, "input": "features", "sides": "upper"},
}


def sample(n, mean=0.0, seed=0, groups=None):
    scores = np.random.default_rng(seed).normal(mean, size=n).round(1)  # with ties
    return Sample(scores, np.array([f"{seed}-{i % (groups or n)}" for i in range(n)]))


def auc(photographic, generated):
    labels = np.repeat([0, 1], [len(photographic), len(generated)])
    return roc_auc_score(labels, np.concatenate([photographic, generated]))


# --- figures


def test_figures_are_those_of_each_generator_and_their_mean():
    photographic = sample(60, groups=30)
    generated = {"a": sample(40, 0.5, 1), "b": sample(25, 1.5, 2)}
    found = compare(photographic, generated, "as they are", **DRAWS)
    expected = {name: auc(photographic.scores, one.scores) for name, one in generated.items()}
    assert found.generators == pytest.approx(expected)
    assert found.auc == pytest.approx(np.mean(list(expected.values())))
    assert found.faces == 125 and found.details == ("as they are",)
    each = [bootstrap.auc_replicates(photographic, one, **DRAWS) for one in generated.values()]
    assert found.replicates is not None
    np.testing.assert_allclose(found.replicates, np.mean(each, axis=0))
    assert found.interval == pytest.approx(np.percentile(found.replicates, [2.5, 97.5]))


@pytest.mark.parametrize(
    ("n", "groups", "why"), [(1, 1, "only 1 person,"), (3, 3, "only 3 persons,"), (8, 2, "only 2")]
)
def test_a_generator_of_few_persons_is_left_out_and_the_rest_judged(n, groups, why):
    photographic, enough = sample(20), {"a": sample(9, 1, 1), "b": sample(4, 2, 2)}
    found = compare(photographic, {**enough, "tiny": sample(n, 1, 3, groups)}, **DRAWS)
    without = compare(photographic, enough, **DRAWS)
    assert list(found.left_out) == ["tiny"] and found.left_out["tiny"].startswith(why)
    assert found.left_out["tiny"].endswith("at least 4 are needed") and without.left_out == {}
    assert found.generators == without.generators and found.interval == without.interval
    assert found.auc == without.auc and found.faces == without.faces == 33


def test_photographs_of_few_persons_give_a_figure_without_interval():
    found = compare(sample(12, groups=3), {"a": sample(9, 1, 1)}, **DRAWS)
    assert found.auc is not None and found.interval is None and found.replicates is None
    assert found.details == ("no interval: photographs of only 3 persons, at least 4 are needed",)


# --- photographs against photographs


def test_halves_part_persons_by_a_keyed_hash():
    photographs = sample(60, groups=20)
    found = halves(photographs, **DRAWS)
    place = [randomness.share(who, 1, "controls halves") for who in photographs.groups.tolist()]
    second = np.array(place) >= 0.5
    expected = auc(photographs.scores[~second], photographs.scores[second])
    assert found.auc == pytest.approx(expected)
    assert found.generators == {} and found.faces == 60
    people = [len(set(photographs.groups[rows])) for rows in (~second, second)]
    assert found.details[0].startswith(
        f"{(~second).sum()} photographs of {people[0]} persons against {second.sum()} of "
        f"{people[1]}; by chance"
    )


@pytest.mark.parametrize("persons", [["anna"] * 9, list("abcdefg")])
def test_few_persons_have_no_halves(persons):
    few = Sample(np.arange(float(len(persons))), np.array(persons))
    with pytest.raises(PipelineError, match=r"show \d and \d persons, at least 4 in each"):
        halves(few, **DRAWS)


# --- mixtures fitted anew


def refit(tables, **changes):
    return Refit(GMM, **DRAWS)({n: faces(n, x) for n, x in tables.items()}, "detail", **changes)


def faces(name, features):
    names = np.array([f"{name}{i}" for i in range(len(features))])
    return FeatureSet(name, names, names, features, features[:, :1], names)


@pytest.mark.parametrize("dimensions", [1, 4])
def test_one_gaussian_is_scipys(dimensions):
    rng = np.random.default_rng(0)
    fit = rng.normal(2, 3, (200, dimensions))
    test, generated = (rng.normal(2, spread, (20, dimensions)) for spread in (3, 6))
    tables = {"photographic_fit": fit, "photographic_test": test, "sim": generated}
    found = refit(tables)
    covariance = np.cov(fit.T, ddof=0) + 1e-6 * np.eye(dimensions)
    law = multivariate_normal(fit.mean(axis=0), covariance)
    assert found.auc == pytest.approx(auc(-law.logpdf(test), -law.logpdf(generated)))
    assert found.details == ("detail", "200 photographs fitted")


def test_settings_change_and_the_warnings_of_the_fit_are_told():
    rng = np.random.default_rng(0)
    names = ("photographic_fit", "photographic_test", "sim")
    tables = {name: rng.normal(size=(12, 4)) for name in names}
    found = refit(tables, components=3)
    assert found.details[2].startswith("warning of the fit: 12 faces for 3 full covariances in 4")
    assert refit(tables, pca_components=1).auc != refit(tables).auc
    with pytest.raises(PipelineError, match="components need as many faces"):
        refit(tables, components=13)


# --- file metadata


def confounds(**harmonised):
    """As confounds.json has it."""
    apart, alike = ({"auc": a, "low": a - 0.1, "high": a + 0.1} for a in (0.9, 0.5))
    generators = {
        "a": {"as_found": alike, "harmonised": {"auc": 0.5, "low": 0.5, "high": 0.5}},
        "b": {"as_found": apart, "harmonised": {"auc": 0.5, "low": None, "high": None}},
        "tiny": {"as_found": dict.fromkeys(alike), "harmonised": dict.fromkeys(alike)},
    }
    sizes = {name: {"as_found": auc} for name, auc in (("a", 0.1), ("b", 0.7), ("tiny", 1.0))}
    faces = {"photographic_test": 30, "a": 20, "b": 10, "tiny": 3, **harmonised}
    return {
        "metadata_classifier": {"generators": generators},
        "bytes_per_pixel_auc": sizes,
        "harmonised": {"faces": faces},
    }


def test_metadata_is_the_mean_over_generators():
    found = metadata(confounds(), "as_found")
    assert found.auc == pytest.approx(0.7) and found.interval == pytest.approx((0.6, 0.8))
    assert found.generators == {"a": 0.5, "b": 0.9} and found.faces == 60
    assert found.left_out == {"tiny": "only 3 persons, at least 4 are needed"}


def test_metadata_without_an_interval_of_each_generator_have_none():
    found = metadata(confounds(), "harmonised")
    assert found.auc == 0.5 and found.interval is None and "no interval" in found.details[0]


def test_file_size_counts_in_the_better_direction():
    found = file_size(confounds(), "as_found")
    assert found.generators == pytest.approx({"a": 0.9, "b": 0.7})
    assert found.auc == pytest.approx(0.8) and found.interval is None and found.faces == 60
    assert "max(AUC, 1 - AUC)" in found.details[0]
    assert "files of 1 of 2 generators are smaller than photographs" in found.details[0]


def test_with_all_generators_left_out_there_is_no_figure():
    message = r"no generator with enough faces: a \(only 1 person"
    with pytest.raises(PipelineError, match=message):
        compare(sample(20), {"a": sample(1), "b": sample(3)}, **DRAWS)
    with pytest.raises(PipelineError, match=message):
        file_size(confounds(a=1, b=2), "as_found")
    content = confounds()
    content["metadata_classifier"]["generators"] = {"a": {"as_found": {"auc": None}}}
    with pytest.raises(PipelineError, match="no AUC of the classifier"):
        metadata(content, "as_found")
