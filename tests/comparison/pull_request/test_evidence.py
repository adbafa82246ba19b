"""What is known of a change's noise: from scores, from committed intervals, or from neither."""

import math

import pytest

from pipeline.base.errors import PipelineError
from pipeline.comparison.pairs import compare, pair
from pipeline.comparison.pull_request import evidence
from pipeline.comparison.pull_request.committed import Change
from pipeline.comparison.pull_request.evidence import FILE
from tests.two_runs import table

DRAWS = {"resamples": 150, "seed": 3}
COMMITS = ("a" * 40, "b" * 40)


def figures(**aucs: tuple[float | None, float | None]) -> dict[str, Change]:
    """Metrics of two commits by generator, "mean" among them; _ stands for the dot of an end."""
    names = {name.replace("mean_", "mean.") for name in aucs}
    return {
        f"{FILE}{name if '.' in name else f'{name}.auc'}": Change(
            *aucs[name.replace("mean.", "mean_")]
        )
        for name in sorted(names)
    }


@pytest.fixture
def no_scores(monkeypatch):
    def missing(revision: str) -> None:
        raise PipelineError(f"scores of {revision} are nowhere: push them. And more")

    monkeypatch.setattr(evidence, "read_scores", missing)


def test_scores_give_the_paired_rows_of_the_auc(monkeypatch):
    runs = {"a" * 10: table(1), "b" * 10: table(2, gain=0.3)}
    monkeypatch.setattr(evidence, "read_scores", lambda revision: runs[revision])
    metrics = figures(mean=(0.1, 0.2), ddpm=(0.1, 0.2), sim_b=(0.1, 0.2), other=(None, 0.3))
    got = evidence.gather(metrics, COMMITS, **DRAWS)
    a, b = runs.values()
    paired = pair(a, b, ("the base", "the head"))
    assert got.rows == [row for row in compare(paired, **DRAWS) if row.measure == "auc"]
    assert got.aucs["ddpm"] == (got.rows[2].a, got.rows[2].b)  # of the faces that both have
    assert got.aucs["other"] == (None, 0.3)
    assert got.remarks == paired.remarks


@pytest.mark.usefixtures("no_scores")
def test_two_intervals_add_as_those_of_independent_means():
    ends = {"mean_auc_low": (0.67, 0.76), "mean_auc_high": (0.73, 0.84)}
    metrics = figures(mean=(0.7, 0.8), a=(0.6, 0.7), b=(0.8, 0.9), **ends)
    got = evidence.gather(metrics, COMMITS, **DRAWS)
    (row,) = got.rows
    noise = math.hypot(0.03, 0.04)
    assert (row.of, row.a, row.b) == ("mean", pytest.approx(0.7), pytest.approx(0.8))
    assert (row.low, row.high) == (pytest.approx(0.1 - noise), pytest.approx(0.1 + noise))
    assert got.remarks == [
        "Not paired by face: scores of aaaaaaaaaa are nowhere: push them. From committed figures, "
        "as if each commit had been tested on other faces."
    ]


@pytest.mark.usefixtures("no_scores")
@pytest.mark.parametrize(
    ("low", "high"), [((0.67, None), (0.73, None)), ((None, 0.67), (None, 0.73))]
)
def test_one_interval_stands_for_both(low, high):
    metrics = figures(mean=(0.7, 0.7), a=(0.7, 0.7), mean_auc_low=low, mean_auc_high=high)
    (row,) = evidence.gather(metrics, COMMITS, **DRAWS).rows
    assert row.high == pytest.approx(math.hypot(0.03, 0.03))


@pytest.mark.usefixtures("no_scores")
@pytest.mark.parametrize(("drop", "verdict"), [(0.019, "no difference"), (0.021, "worse")])
def test_without_any_interval_a_fixed_tolerance_decides_and_is_named(drop, verdict):
    metrics = figures(mean=(0.7, 0.7 - drop), a=(0.7, 0.7 - drop))
    got = evidence.gather(metrics, COMMITS, **DRAWS)
    assert got.rows[0].verdict == verdict
    assert "which hold no interval: 0.02 is taken for the noise" in got.remarks[0]


@pytest.mark.usefixtures("no_scores")
def test_the_mean_is_over_the_generators_of_both():
    """A new generator that is hard to find is no drop."""
    metrics = figures(mean=(0.8, 0.65), a=(0.8, 0.8), hard=(None, 0.5), gone=(0.9, None))
    got = evidence.gather(metrics, COMMITS, **DRAWS)
    assert got.aucs["mean"] == (0.8, 0.8) and got.rows[0].difference == 0
    assert list(got.aucs) == ["mean", "a", "gone", "hard"]


@pytest.mark.parametrize("commits", [(None, "b" * 40), COMMITS])
def test_a_base_without_results_has_nothing_to_compare(commits):
    metrics = figures(mean=(None, 0.8), a=(None, 0.8))
    assert evidence.gather(metrics, commits, **DRAWS) == (
        {"mean": (None, 0.8), "a": (None, 0.8)},
        [],
        [],
    )


@pytest.mark.usefixtures("no_scores")
@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({}, "evaluation.json of bbbbbbbbbb has no mean.auc: run `dvc repro`"),
        (figures(mean=(0.8, None)), "evaluation.json of bbbbbbbbbb has no mean.auc"),
        (figures(mean=(0.8, 0.8), a=(0.8, None), b=(None, 0.8)), "no generator in common"),
    ],
)
def test_a_head_that_cannot_be_compared_is_an_error(metrics, message):
    with pytest.raises(PipelineError, match=message):
        evidence.gather(metrics, COMMITS, **DRAWS)
