"""What select_mixture says about the current mixture."""

import re

import numpy as np
import pytest

from pipeline.density import selection
from pipeline.density.selection import Candidate


def row(components, held_out, *, error=0.1, pca=4, n=1000, bic=0.0):
    return {
        **Candidate(pca, "full", components)._asdict(),
        "n_over_k_d": n / (components * pca),
        "bic": bic,
        "held_out_log_likelihood": held_out,
        "held_out_standard_error": error,
    }


def test_the_best_is_among_those_with_as_many_principal_components():
    rows = [row(1, -9.0), row(2, -8.0), row(3, -8.5), row(1, -2.0, pca=2)]
    assert (
        selection.row_of(rows, Candidate(2, "full", 1)) is rows[3]
        and selection.row_of(rows, Candidate(2, "diag", 1)) is None
    )
    assert (
        selection.best(rows, 4) is rows[1]
        and selection.best(rows, 2) is rows[3]
        and selection.best(rows, 7) is None
    )


@pytest.mark.parametrize(
    ("held_out", "words"),
    [
        (
            -8.95,
            r"0\.050 nats per face below that of the best, 2 full components, within one standard error .*no reason",
        ),
        (
            -9.50,
            r"0\.600 nats per face below that of the best, 2 full components, more than one .* try that and compare",
        ),
        (-8.80, "the current mixture, 1 full component, has the highest"),
    ],
)
def test_advice_from_the_gap(held_out, words):
    peers = [row(1, held_out, bic=5.0), row(2, -8.9, bic=7.0), row(9, -1.0, pca=3, bic=-9.0)]
    here = {**peers[0], "difference": -8.9 - held_out, "difference_standard_error": 0.1}
    said = selection.advice(peers, here, Candidate(4, "full", 1), 1000)
    assert "250.0 per component and dimension, at least the 10" in said[0]
    assert re.search(words, said[1]) and said[1].endswith("BIC prefers the current mixture")
    assert "same pca_components only" in said[2]


@pytest.mark.parametrize(
    ("components", "pca", "n", "words"),
    [
        (
            8,
            16,
            1000,
            "7.8 per component and dimension, fewer than the 10 of a rule of thumb: set "
            "gmm.components to at most 6, "
            "or set gmm.pca_components to at most 12, or give more faces",
        ),
        (
            1,
            64,
            300,
            "4.7 per component and dimension, .* thumb: set gmm.pca_components to at most 30, or give more faces",
        ),
        (
            4,
            64,
            300,
            "1.2 per component and dimension, .* thumb: set gmm.pca_components to at most 7, or give more faces",
        ),
        (2, 64, 15, "0.1 per component and dimension, .* thumb: give more faces"),
    ],
)
def test_advice_from_faces_per_component_and_dimension(components, pca, n, words):
    alone = row(components, -1.0, pca=pca, n=n)
    said = selection.advice([alone], alone, Candidate(pca, "full", components), n)[0]
    assert re.search(words, said)


def test_advice_says_when_there_is_nothing_to_compare_with():
    rows = [row(1, -1.0), row(1, -1.0, pca=2)]
    alone = selection.advice(rows, rows[0], Candidate(4, "full", 1), 1000)
    assert (
        alone[1]
        == "no other mixture with the current gmm.pca_components was compared: add it to selection.pca_components"
    )
    assert (
        "the current mixture, 3 full components, cannot be fitted"
        in selection.advice([row(1, -1.0)], None, Candidate(4, "full", 3), 9)[0]
    )


def test_what_is_hard_for_both_mixtures_does_not_blur_their_difference():
    hard = 5 * np.random.default_rng(1).normal(size=240)
    noise = 0.1 * np.random.default_rng(2).normal(size=240)
    each = [
        selection.Judged(row(1, hard.mean()), hard),
        selection.Judged(row(2, (hard + 0.2 + noise).mean()), hard + 0.2 + noise),
    ]
    here = selection.beside_the_best(
        each, Candidate(4, "full", 1), np.array([f"p{i // 2}" for i in range(240)])
    )
    assert here is not None and here["difference"] > 5 * here["difference_standard_error"] > 0
    said = selection.advice([one.row for one in each], here, Candidate(4, "full", 1), 1000)[1]
    assert "more than one standard error of this difference (0.0" in said
