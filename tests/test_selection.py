"""Oracles: scikit-learn's own BIC and a cross-validation of its own parts, and naive counting."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from pipeline.base.errors import PipelineError
from pipeline.density import fitting as density
from pipeline.density import selection
from pipeline.density.mixture import COVARIANCE_TYPES
from pipeline.density.selection import Candidate

SETTINGS: dict[str, Any] = {
    "standardise": True,
    "regularisation": 1e-6,
    "maximum_iterations": 200,
    "tolerance": 1e-3,
    "starts": 1,
    "device": "cpu",
}


def faces(n=240, d=6, clusters=1):
    draw = np.random.default_rng(3)
    mixing = draw.normal(size=(d, d))
    return draw.normal(size=(n, d)) @ mixing + 30 * (np.arange(n) % clusters)[:, None] * mixing[0]


def fold_of(n=240, count=3):
    return selection.folds(people_of(n), count, 1)


def people_of(n=240):
    return np.array([f"p{i // 2}" for i in range(n)])


def judged(x, candidate, fold=None):
    fold = fold_of(len(x)) if fold is None else fold
    return selection.judge(x, people_of(len(x)), fold, candidate, settings=SETTINGS, seed=5)


def judge(x, candidate, fold=None):
    return judged(x, candidate, fold).row


def fitted(x, candidate):
    return density.fit(x, **candidate._asdict(), **SETTINGS, seed=5).mixture


CANDIDATES = [Candidate(d, kind, k) for d in (0, 3) for kind in COVARIANCE_TYPES for k in (1, 2)]


@pytest.mark.parametrize("candidate", CANDIDATES, ids=str)
def test_bic_and_parameters_are_scikit_learns(candidate):
    row, mixture = judge(faces(), candidate), fitted(faces(), candidate)
    model = GaussianMixture(candidate.components, covariance_type=candidate.covariance_type)
    model.weights_, model.means_ = mixture.weights, mixture.means
    model.precisions_cholesky_ = mixture.precisions_cholesky
    model.covariances_ = (
        mixture.precisions_cholesky
    )  # of it the count of parameters needs the shape alone
    assert row["bic"] == pytest.approx(model.bic(mixture.transform(faces())))
    assert row["parameters"] == model._n_parameters()
    assert row["n_over_k_d"] == pytest.approx(
        240 / (candidate.components * (candidate.pca_components or 6))
    )
    assert Candidate(*(row[name] for name in Candidate._fields)) == candidate


@pytest.mark.parametrize("kind", ["full", "diag"])
@pytest.mark.parametrize("dimensions", [0, 3])
def test_held_out_likelihood_by_scikit_learns_parts(kind, dimensions):
    x, fold, each = faces(), fold_of(), np.empty(240)
    for i in range(3):
        scaler = StandardScaler().fit(x[fold != i])
        fit, held_out = scaler.transform(x[fold != i]), scaler.transform(x[fold == i])
        if dimensions:
            pca = PCA(dimensions).fit(fit)
            fit, held_out = pca.transform(fit), pca.transform(held_out)
        each[fold == i] = (
            GaussianMixture(1, covariance_type=kind, reg_covar=1e-6)
            .fit(fit)
            .score_samples(held_out)
        )
    row, held_out = judged(x, Candidate(dimensions, kind, 1))
    np.testing.assert_allclose(held_out, each)
    assert row["held_out_log_likelihood"] == pytest.approx(each.mean())
    of_person = each.reshape(120, 2).mean(axis=1)  # all have two faces: a plain mean of persons
    assert row["held_out_standard_error"] == pytest.approx(of_person.std(ddof=1) / np.sqrt(120))


def test_held_out_likelihood_of_several_components_by_a_naive_loop():
    x, fold, candidate = faces(clusters=2), fold_of(count=4), Candidate(3, "full", 2)
    found = []
    for i in range(4):
        mixture = fitted(
            np.array([row for row, f in zip(x, fold, strict=True) if f != i]), candidate
        )
        found += [
            mixture.log_likelihood(row[None])[0] for row, f in zip(x, fold, strict=True) if f == i
        ]
    assert judge(x, candidate, fold)["held_out_log_likelihood"] == pytest.approx(sum(found) / 240)


def test_the_true_number_of_clusters_is_found_by_both():
    x = faces(clusters=3)
    rows = [judge(x, Candidate(0, "full", k)) for k in (1, 2, 3, 6)]
    best = selection.best(rows, 0)
    assert best is rows[2] and best is min(rows, key=lambda row: row["bic"])


def test_a_person_in_both_parts_would_flatter_a_mixture_that_learns_by_heart():
    draw = np.random.default_rng(7)
    x = np.repeat(draw.normal(size=(60, 6)), 4, axis=0) + 0.05 * draw.normal(size=(240, 6))
    people = np.array([f"p{i // 4}" for i in range(240)])
    by_person, by_face = (
        selection.folds(who, 3, 1) for who in (people, np.arange(240).astype(str))
    )
    honest, flattered = (
        judge(x, Candidate(0, "full", 8), fold)["held_out_log_likelihood"]
        for fold in (by_person, by_face)
    )
    assert honest < flattered - 1


def test_the_standard_error_by_person_is_that_of_drawn_persons():
    draw = np.random.default_rng(0)
    means, errors = [], []
    for _ in range(2000):
        count = draw.integers(1, 6, size=40)  # faces of each person, who are alike
        values = np.repeat(draw.normal(size=40), count) + 0.3 * draw.normal(size=count.sum())
        mean, error = selection.mean_by_person(values, np.repeat(np.arange(40), count).astype(str))
        assert mean == pytest.approx(values.mean())
        means.append(mean)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.06)


def test_the_difference_to_the_best_is_paired_by_face():
    x, people, current = faces(clusters=3), people_of(), Candidate(0, "full", 2)
    each = [judged(x, Candidate(0, "full", k)) for k in (1, 2, 3)] + [
        judged(x, Candidate(3, "full", 1))
    ]
    here = selection.beside_the_best(each, current, people)
    leader = selection.best([one.row for one in each], 0)
    assert here is not None and leader is each[2].row and {**each[1].row, **here} == here
    assert here["difference"] == pytest.approx(
        leader["held_out_log_likelihood"] - here["held_out_log_likelihood"]
    )
    of_person = (each[2].held_out - each[1].held_out).reshape(120, 2).mean(axis=1)
    assert here["difference_standard_error"] == pytest.approx(of_person.std(ddof=1) / np.sqrt(120))
    ahead = selection.beside_the_best(each, Candidate(0, "full", 3), people)
    assert ahead is not None and (ahead["difference"], ahead["difference_standard_error"]) == (0, 0)
    assert selection.beside_the_best(each, Candidate(0, "diag", 3), people) is None


@given(
    st.lists(st.integers(0, 30), min_size=5, max_size=80), st.integers(2, 5), st.integers(0, 2**63)
)
def test_folds_keep_persons_together_and_are_even(people, count, seed):
    people = np.array([f"p{i}" for i in people])
    if len(set(people)) < count:
        return
    fold = selection.folds(people, count, seed)
    of_person = dict(zip(people, fold, strict=True))
    assert all(of_person[p] == f for p, f in zip(people, fold, strict=True))
    sizes = np.bincount(list(of_person.values()), minlength=count)
    assert len(sizes) == count and sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(selection.folds(people[::-1], count, seed), fold[::-1])


def test_folds_differ_by_seed_and_need_as_many_persons():
    people = np.arange(50).astype(str)
    assert (selection.folds(people, 3, 1) != selection.folds(people, 3, 2)).any()
    with pytest.raises(
        PipelineError,
        match=r"selection\.folds: 5 folds need as many persons, the fit photographs show 2",
    ):
        selection.folds(np.array(["a", "b", "a", "a", "b", "b"]), 5, 1)


def test_the_grid_holds_the_current_mixture_once():
    inside = selection.candidates([1, 2, 2], ["full"], [0, 6], Candidate(6, "full", 2))
    assert inside == [
        Candidate(0, "full", 1),
        Candidate(0, "full", 2),
        Candidate(6, "full", 1),
        Candidate(6, "full", 2),
    ]
    outside = selection.candidates([1], ["full"], [6], Candidate(6, "diag", 3))
    assert outside == [Candidate(6, "diag", 3), Candidate(6, "full", 1)]


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (Candidate(7, "full", 1), "span only 6"),
        (Candidate(0, "diag", 13), "13 components need as many faces"),
        (
            Candidate(0, "full", 1),
            "cannot carry a full covariance",
        ),  # in a fold, though all faces together can
    ],
)
def test_a_candidate_that_some_fold_cannot_carry_is_refused(candidate, message):
    with pytest.raises(PipelineError, match=message):
        judge(faces(8) if candidate.pca_components == 0 else faces(), candidate)
