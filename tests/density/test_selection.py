"""Oracles: scikit-learn's own BIC and a cross-validation of its own parts, and naive counting."""

import csv
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.common.randomness import key
from pipeline.common.splits import folds
from pipeline.density import selection
from pipeline.density.mixture import COVARIANCE_TYPES
from pipeline.density.selection import Candidate, advice
from tests.small_features import SETTINGS, clusters, fit, write_set

MORE = "device: cpu, shrinkage: none, residual: false, input: features"
PERSONS = np.array([f"p{i // 2}" for i in range(240)])
FOLD = folds(PERSONS, 3, 1)


def judge(x, candidate, fold=FOLD):
    return selection.judge(x, fold, candidate, **SETTINGS)


def compare(x, candidates, current):
    return selection.compare(x, PERSONS, candidates, current, fold=FOLD, settings=SETTINGS)


CANDIDATES = [Candidate(d, kind, k) for d in (0, 3) for kind in COVARIANCE_TYPES for k in (1, 2)]


@pytest.mark.parametrize("candidate", CANDIDATES, ids=repr)
def test_bic_is_scikit_learns(candidate):
    x = clusters(240)
    figures, _ = judge(x, candidate)
    mixture = fit(x, **candidate._asdict()).mixture
    model = GaussianMixture(candidate.components, covariance_type=candidate.covariance_type)
    model.weights_, model.means_ = mixture.weights, mixture.means
    model.precisions_cholesky_ = mixture.precisions_cholesky
    model.covariances_ = mixture.precisions_cholesky  # only its shape counts
    assert figures["bic"] == pytest.approx(model.bic(mixture.transform(x)))
    dimensions = candidate.pca_components or 6
    assert figures["n_over_k_d"] == pytest.approx(240 / (candidate.components * dimensions))


@pytest.mark.parametrize("kind", ["full", "diag"])
@pytest.mark.parametrize("dimensions", [0, 3])
def test_likelihood_of_unseen_faces_by_scikit_learns_parts(kind, dimensions):
    x, fold, each = clusters(240).astype(np.float64), FOLD, np.empty(240)
    for i in range(3):
        scaler = StandardScaler().fit(x[fold != i])
        fitted, unseen = scaler.transform(x[fold != i]), scaler.transform(x[fold == i])
        if dimensions:
            pca = PCA(dimensions).fit(fitted)
            fitted, unseen = pca.transform(fitted), pca.transform(unseen)
        model = GaussianMixture(1, covariance_type=kind, reg_covar=1e-6).fit(fitted)
        each[fold == i] = model.score_samples(unseen)
    candidate = Candidate(dimensions, kind, 1)
    np.testing.assert_allclose(judge(x, candidate)[1], each)
    row = compare(x, [candidate], candidate)[candidate]
    assert row["log_likelihood"] == pytest.approx(each.mean())
    of_person = each.reshape(120, 2).mean(axis=1)  # all have two faces: a plain mean of persons
    assert row["standard_error"] == pytest.approx(of_person.std(ddof=1) / np.sqrt(120))


def test_the_gain_is_paired_by_face_and_stays_in_one_space():
    x, current, better = clusters(240, count=3), Candidate(0, "full", 2), Candidate(0, "full", 3)
    rows = compare(x, [current, better, Candidate(3, "full", 2)], current)
    gains = (judge(x, better)[1] - judge(x, current)[1]).reshape(120, 2).mean(axis=1)
    assert rows[better]["gain"] == pytest.approx(gains.mean())
    error = gains.std(ddof=1) / np.sqrt(120)
    assert rows[better]["gain_standard_error"] == pytest.approx(error)
    assert (rows[current]["gain"], rows[current]["gain_standard_error"]) == (0, 0)
    assert rows[Candidate(3, "full", 2)]["gain"] is None


def test_the_standard_error_by_person_is_that_of_drawn_persons():
    draw = np.random.default_rng(0)
    means, errors = [], []
    for _ in range(2000):
        count = draw.integers(1, 6, size=40)  # faces of each person, who are alike
        values = np.repeat(draw.normal(size=40), count) + 0.3 * draw.normal(size=count.sum())
        mean, error = selection.mean_by_person(values, np.repeat(np.arange(40), count))
        means.append(mean)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.06)


@given(
    st.lists(st.integers(0, 30), min_size=5, max_size=80), st.integers(2, 5), st.integers(0, 2**63)
)
def test_folds_keep_persons_together_and_are_even(persons, count, seed):
    names = np.array([f"p{i}" for i in persons])
    if len(set(persons)) < count:
        with pytest.raises(PipelineError, match=f"{count} folds need as many persons, got"):
            folds(names, count, seed)
        return
    fold = folds(names, count, seed)
    of_person = dict(zip(persons, fold.tolist(), strict=True))
    assert [of_person[person] for person in persons] == fold.tolist()
    sizes = np.bincount(list(of_person.values()), minlength=count)
    assert len(sizes) == count and sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(folds(names[::-1], count, seed), fold[::-1])


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (
            0.05,
            "of 2 comparable mixtures none is more likely than the current one, 1 full, by more",
        ),
        (0.60, r"2 full is more likely than .*, 1 full, by 0\.600 nats per unseen face .*0\.100"),
    ],
)
def test_advice_weighs_the_gain_by_its_standard_error(gain, words):
    current, other, apart = (
        Candidate(4, "full", 1),
        Candidate(4, "full", 2),
        Candidate(3, "full", 1),
    )
    rows = {
        current: {"gain": 0.0, "gain_standard_error": 0.0},
        other: {"gain": gain, "gain_standard_error": 0.1},
        apart: {"gain": None, "gain_standard_error": None},
    }
    assert re.search(words, advice(rows, current))
    assert "1 diag, cannot be fitted" in advice(rows, Candidate(4, "diag", 1))


# --- the command


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gmm = ", ".join(f"{name}: {value}" for name, value in SETTINGS.items() if name != "seed")
    gmm = gmm.replace("True", "true").replace("pca_components: 0", "pca_components: 4")
    (tmp_path / "params.yaml").write_text(f"seed: 3\ngmm: {{{gmm}, {MORE}}}\n")
    write_set(tmp_path / "fit.npz", clusters(240, d=12))

    def run(options="--components 1 --pca-components 4 8"):
        selection.main(f"--features fit.npz --output table.csv {options}".split())
        with open("table.csv") as file:
            return list(csv.DictReader(file))

    return run


def test_the_table_has_the_current_mixture_of_fit_gmm(run, capsys):
    table = run()
    ids = [(row["pca_components"], row["covariance_type"], row["components"]) for row in table]
    grid = [("4", "diag", "1"), ("4", "full", "1"), ("8", "diag", "1"), ("8", "full", "1")]
    assert ids == sorted([*grid, ("4", "full", "2")])
    x = artifacts.read_npz("fit.npz")["features"]
    mixture = fit(x, pca_components=4, seed=key(3, "fit_gmm")).mixture
    expected = (2 * (4 + 10) + 1) * np.log(240) - 2 * mixture.log_likelihood(x).sum()
    assert float(table[2]["bic"]) == pytest.approx(expected, rel=1e-8)
    shown = capsys.readouterr().out
    assert "advice: " in shown and f"{round(expected):,}" in shown
    assert max(len(line) for line in shown.splitlines() if "advice" not in line) <= 90


def test_candidates_that_cannot_be_fitted_are_said_with_the_reason(run, capsys):
    table = run("--components 1 170 --pca-components 4 13 --covariance-types diag")
    assert len(table) == 2  # 170 components exceed the faces of a fold, 13 directions the features
    shown = capsys.readouterr().out
    assert "not fitted: 170 diag in 4 dimensions: gmm.components: 170 components need" in shown
    assert "not fitted: 1 diag in 13 dimensions: gmm.pca_components: 13 directions" in shown


def test_a_shrunk_mixture_is_compared_with_others_in_its_space(run, capsys, tmp_path):
    path = tmp_path / "params.yaml"
    text = path.read_text().replace("components: 2", "components: 1", 1)
    path.write_text(text.replace("shrinkage: none", "shrinkage: oas"))
    table = run("--components 1 2")
    ids = [(row["covariance_type"], row["components"], row["bic"] == "") for row in table]
    assert ids == [("diag", "1", False), ("diag", "2", False), ("full", "1", True),
                   ("full", "2", False)]  # fmt: skip
    assert "advice: " in capsys.readouterr().out


def test_features_without_persons_are_refused(run):
    arrays = artifacts.read_npz("fit.npz")
    arrays.pop("persons")
    artifacts.write_npz("fit.npz", **arrays)
    with pytest.raises(PipelineError, match=r"fit\.npz: missing .*persons.*: run extract_features"):
        run()
