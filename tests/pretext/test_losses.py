import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from pipeline.pretext import losses


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def naive_ranking_loss(scores, values, tolerance=0.0):
    """The published formula, pair by pair, with scipy's normal distribution; without the pairs of
    which a value is not known.
    """
    terms = []
    for i in range(len(scores)):
        for j in range(i + 1, len(scores)):
            if math.isnan(values[i]) or math.isnan(values[j]):
                continue
            p = norm.cdf(2 * (scores[i] - scores[j]))
            gap = values[i] - values[j]
            g = 0.5 if abs(gap) <= tolerance else (np.sign(gap) + 1) / 2
            terms.append(1 - math.sqrt(p * g + 1e-8) - math.sqrt((1 - p) * (1 - g) + 1e-8))
    return sum(terms) / len(terms) if terms else 0.0


def naive_accuracy(scores, values, gap):
    right = pairs = 0.0
    for i in range(len(scores)):
        for j in range(i):
            if abs(values[i] - values[j]) >= gap - 1e-9:
                pairs += 1
                product = (scores[i] - scores[j]) * (values[i] - values[j])
                right += 1.0 if product > 0 else 0.5 if product == 0 else 0.0
    return right / pairs if pairs else None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_ranking_loss_is_the_published_formula(seed, tolerance):
    rng = np.random.default_rng(seed)
    scores, values = rng.normal(size=17) * 3, rng.integers(0, 6, 17).astype(float)  # many ties
    ours = losses.ranking_loss(double(scores), double(values), tolerance=tolerance)
    assert float(ours) == pytest.approx(naive_ranking_loss(scores, values, tolerance), abs=1e-9)


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.none() | st.integers(-3, 3)), min_size=2, max_size=12),
    st.sampled_from([0.0, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_pairs_without_a_value_are_left_out_of_loss_gradient_and_accuracy(pairs, tolerance):
    scores = np.array([p[0] for p in pairs])
    values = np.array([math.nan if p[1] is None else p[1] for p in pairs], dtype=float)
    known = np.isfinite(values)
    found = torch.tensor(scores, requires_grad=True)
    loss = losses.ranking_loss(found, double(values), tolerance=tolerance)
    loss.backward()
    expected = naive_ranking_loss(scores, values, tolerance)
    assert loss.item() == pytest.approx(expected, abs=1e-9)
    alone = torch.tensor(scores[known], requires_grad=True)
    losses.ranking_loss(alone, double(values[known]), tolerance=tolerance).backward()
    assert found.grad is not None and alone.grad is not None
    np.testing.assert_allclose(found.grad[known], alone.grad, atol=1e-12)
    assert not found.grad[~known].any()
    accuracy = losses.ranking_accuracy(scores, values)
    assert accuracy == losses.ranking_accuracy(scores[known], values[known])
    has_pairs = losses.has_pairs(double(values)[:, None]).tolist()
    assert has_pairs == [known.sum() > 1]


def test_with_all_values_known_the_loss_has_the_bits_of_the_plain_mean():
    rng = np.random.default_rng(2)
    for n in (2, 3, 32, 33, 64):
        scores, values = (torch.from_numpy(rng.normal(size=n)).float() for _ in range(2))
        p = torch.special.ndtr(2 * (scores[:, None] - scores[None, :]))
        q = torch.special.ndtr(2 * (scores[None, :] - scores[:, None]))
        truth = (values[:, None] > values[None, :]).float()
        terms = losses.fidelity(p, q, truth).triu(diagonal=1)
        assert losses.ranking_loss(scores, values).equal(terms.sum() / (n * (n - 1) / 2))


@given(st.lists(st.none() | st.integers(0, 12), max_size=14), st.sampled_from([0.0, 0.1667, 0.25]))
def test_tie_rate_agrees_with_counting_pairs(twelfths, tie_stops):
    values = [math.nan if k is None else k / 12 for k in twelfths]
    known = [value for value in values if not math.isnan(value)]
    tied = [abs(a - b) <= tie_stops for a, b in itertools.combinations(known, 2)]
    found = losses.tie_rate(values, tie_stops)
    assert found == (pytest.approx(np.mean(tied)) if tied else None)


def test_ranking_loss_in_float32_stays_close():
    rng = np.random.default_rng(0)
    scores, values = rng.normal(size=64), rng.normal(size=64)
    ours = losses.ranking_loss(torch.tensor(scores).float(), torch.tensor(values).float())
    assert float(ours) == pytest.approx(naive_ranking_loss(scores, values), abs=1e-6)


def test_ranking_loss_by_hand():
    assert float(losses.ranking_loss(double([9.0, 0.0]), double([2.0, 1.0]))) == pytest.approx(
        -1e-4, abs=1e-6
    )  # right
    assert float(losses.ranking_loss(double([0.0, 9.0]), double([2.0, 1.0]))) == pytest.approx(
        1 - 2e-4, abs=1e-6
    )  # wrong
    assert float(losses.ranking_loss(double([1.0, 1.0]), double([3.0, 3.0]))) == pytest.approx(
        0, abs=1e-6
    )  # tied
    assert float(losses.ranking_loss(double([1.0]), double([3.0]))) == 0
    assert float(losses.ranking_loss(double([]), double([]))) == 0


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.integers(-3, 3)), min_size=2, max_size=12),
    st.floats(-5, 5),
)
@settings(max_examples=50, deadline=None)
def test_ranking_loss_ignores_shifts_order_and_monotone_units(pairs, shift):
    scores, values = double([p[0] for p in pairs]), double([float(p[1]) for p in pairs])
    loss = losses.ranking_loss(scores, values)
    assert -2.1e-4 <= float(loss) <= 1
    torch.testing.assert_close(losses.ranking_loss(scores + shift, values), loss, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        losses.ranking_loss(scores.flip(0), values.flip(0)), loss, atol=1e-9, rtol=0
    )
    torch.testing.assert_close(
        losses.ranking_loss(scores, torch.exp(values)), loss, atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 1.0, 1e3, 1e6])
def test_gradients_are_finite_however_far_apart_the_scores(dtype, size):
    scores = torch.tensor([size, -size, 0.0, 0.0], dtype=dtype, requires_grad=True)
    loss = losses.ranking_loss(scores, torch.tensor([1.0, 2.0, 2.0, 3.0]))
    loss = loss + losses.manipulation_loss(scores, torch.tensor([0.0, 1.0, 1.0, 0.0]))
    loss.backward()
    assert scores.grad is not None and torch.isfinite(scores.grad).all()


def test_gradient_agrees_with_finite_differences():
    rng = np.random.default_rng(1)
    scores = torch.tensor(rng.normal(size=6), requires_grad=True)
    values, labels = double([1, 2, 2, 4, 0, 3]), double([0, 1, 1, 0, 1, 0])
    assert torch.autograd.gradcheck(lambda s: losses.ranking_loss(s, values), (scores,))
    assert torch.autograd.gradcheck(lambda s: losses.manipulation_loss(s, labels), (scores,))


def test_manipulation_loss_is_the_published_formula():
    logits, labels = np.array([-3.0, 0.0, 0.5, 40.0, -40.0]), np.array([0, 1, 0, 1, 1])
    p = 1 / (1 + np.exp(-logits))
    naive = 1 - np.sqrt(p * labels + 1e-8) - np.sqrt((1 - p) * (1 - labels) + 1e-8)
    assert float(losses.manipulation_loss(double(logits), torch.tensor(labels))) == pytest.approx(
        naive.mean(), abs=1e-9
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("chunk", [1, 7, 512])
def test_ranking_accuracy_is_the_double_loop(seed, chunk):
    rng = np.random.default_rng(seed)
    scores, values = rng.integers(0, 9, 40), rng.integers(0, 12, 40) / 12
    expected = naive_accuracy(scores, values, 1 / 6)
    assert losses.ranking_accuracy(scores, values, chunk=chunk) == pytest.approx(
        expected, abs=1e-12
    )


def test_ranking_accuracy_leaves_close_pairs_out():
    assert losses.ranking_accuracy([1, 2], [0.0, 1 / 6]) == 1  # exactly a sixth counts
    assert losses.ranking_accuracy([1, 2], [0.0, 0.16]) is None
    assert losses.ranking_accuracy([2, 1, 3], [0.0, 0.1, 1.0]) == 1  # the wrong pair is too close
    assert losses.ranking_accuracy([5, 5, 5], [0, 1, 2]) == 0.5
    assert losses.ranking_accuracy([], []) is None
    assert losses.ranking_accuracy([1], [1]) is None


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 9)), min_size=2, max_size=30))
@settings(max_examples=50, deadline=None)
def test_turned_scores_turn_the_accuracy(pairs):
    scores, values = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    accuracy = losses.ranking_accuracy(scores, values)
    if accuracy is not None:
        assert losses.ranking_accuracy(-scores, values) == pytest.approx(1 - accuracy)


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=40))
@settings(max_examples=50, deadline=None)
def test_auc_agrees_with_scikit_learn(pairs):
    scores, labels = [p[0] for p in pairs], [p[1] for p in pairs]
    if len(set(labels)) < 2:
        assert losses.detection_auc(scores, labels) is None
    else:
        assert losses.detection_auc(scores, labels) == pytest.approx(
            roc_auc_score(labels, scores), abs=1e-12
        )


def test_values_a_sixth_of_a_stop_apart_are_ties_of_the_default_wherever_they_lie():
    """Stops in float32, as in a face set: rounding must not decide, unlike with exactly 1/6."""
    low = np.linspace(-15, 20, 999)
    pairs = torch.from_numpy(np.stack([low, low + 1 / 6], axis=1).astype(np.float32))
    scores = torch.tensor([3.0, 0.0])
    tied = [float(losses.ranking_loss(scores, pair, tolerance=0.1667)) for pair in pairs]
    assert len(set(tied)) == 1 and tied[0] > 0.2  # 1 - sqrt(1/2)
    third = torch.tensor([0.0, 1 / 3])
    assert float(losses.ranking_loss(scores, third, tolerance=0.1667)) > 0.9  # a wrong order
    assert losses.ranking_accuracy([3.0, 0.0], [0.0, 1 / 6]) == 0  # counts as different
