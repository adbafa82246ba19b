"""What dvc prints, read: its own texts and JSON."""

import subprocess

import pytest

from pipeline.base.errors import PipelineError
from pipeline.comparison.pull_request import committed

MISSING = """\
Running stage 'data/dvc.yaml:simulate_sample':
> exec python -m pipeline.stages.simulate_sample
Stage 'filter_exif' is cached - skipping run, checking out outputs
Stage 'evaluate' didn't change, skipping
Running stage 'extract_features@sim_latent':
"""


@pytest.fixture
def answer(monkeypatch):
    """Lets dvc answer with a text, an error and an exit status."""

    def set_answer(out: str = "", error: str = "", status: int = 0) -> None:
        done = subprocess.CompletedProcess([], status, out, error)
        monkeypatch.setattr(committed, "_dvc", lambda *_: done)

    return set_answer


def test_stale_stages_are_read_from_the_text_whatever_the_exit_status(answer):
    answer("Stage 'a' didn't change, skipping\nData and pipelines are up to date.\n")
    assert committed.stale_stages() is None
    for status in (0, 255):
        answer(MISSING, "ERROR: no such file", status)
        names = ["simulate_sample", "filter_exif", "extract_features@sim_latent"]
        assert committed.stale_stages() == names


def test_a_stage_that_would_run_on_data_which_are_not_here_is_stale(answer):
    missing = "failed to reproduce 'report': [Errno 2] No such file or directory: 'data/audit'"
    answer("Stage 'explain' didn't change, skipping\n", f"ERROR: {missing}", 255)
    assert committed.stale_stages() == ["report"]


def test_a_dvc_that_says_neither_is_an_error_and_never_fresh(answer):
    answer("", "'./dvc.yaml' is invalid.\n", 255)
    with pytest.raises(PipelineError, match=r"allow-missing` failed: './dvc.yaml' is invalid.$"):
        committed.stale_stages()


def test_figures_and_parameters_have_the_names_of_their_files(answer, capsys):
    answer(
        '{"b.json": {"x": {"old": 1, "new": 2, "diff": 1}}, "a.json": {"y": {"old": null, '
        '"new": 0.5}}}',
        "one file is broken",
    )
    assert committed.metrics("base", "head") == {"a.json:y": (None, 0.5), "b.json:x": (1, 2)}
    assert committed.metrics(None, "head") == {"a.json:y": (None, 0.5), "b.json:x": (None, 2)}
    assert "one file is broken" in capsys.readouterr().err
    answer(
        '{"params.yaml": {"gmm.input": {"old": "both", "new": "heads"}}, "o.yaml": {"z": '
        '{"old": 1, "new": null}}}'
    )
    assert committed.parameters("base", "head") == {
        "o.yaml:z": (1, None),
        "gmm.input": ("both", "heads"),
    }
    assert committed.parameters(None, "head") == {}


def test_a_diff_that_fails_says_why(answer):
    answer("", "ERROR: unknown Git revision", 255)
    with pytest.raises(PipelineError, match=r"`dvc params diff` failed: ERROR: unknown Git"):
        committed.parameters("base", "head")
