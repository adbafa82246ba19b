"""The workflow: what .ci/run does, least permissions, and actions that cannot change."""

import re
import subprocess
from typing import Any

import pytest

from pipeline.base import params
from tests.closure import ROOT

WORKFLOW = params.read_yaml(ROOT / ".github/workflows/ci.yml")
ENVIRONMENT = params.read_yaml(ROOT / ".github/actions/environment/action.yml")
JOBS: dict[str, Any] = WORKFLOW["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]] + ENVIRONMENT["runs"]["steps"]
SCRIPT = (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_every_step_of_the_script_is_a_step_of_the_workflow_and_nothing_else_runs():
    (line,) = re.findall(r"\|\| set -- (.+)", SCRIPT)
    commands = [step["run"] for step in STEPS if "run" in step]
    ours = [command.removeprefix(".ci/run ") for command in commands if ".ci/run" in command]
    assert sorted(ours) == sorted(line.split())
    assert {c.split()[0] for c in commands} == {".ci/run", ".ci/post", "touch"}


def test_actions_are_pinned_by_commit_and_say_their_version():
    for path in (ROOT / ".github").rglob("*.yml"):
        for used in re.findall(r"uses: (.+)", path.read_text(encoding="utf-8")):
            pinned = re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)
            assert pinned or used.startswith("./"), used


def test_only_the_job_that_comments_may_write_and_runs_nothing_of_the_pipeline():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    able = {name: job["permissions"] for name, job in JOBS.items() if "permissions" in job}
    assert able == {"comment": {"contents": "read", "pull-requests": "write"}}
    assert [s["run"] for s in JOBS["comment"]["steps"] if "run" in s] == [
        '.ci/post "$FILE" "$NUMBER"'
    ]
    assert "head.repo.full_name == github.repository" in JOBS["comment"]["if"]


def test_no_secret_is_needed_and_no_text_of_a_pull_request_becomes_a_command():
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert "secrets" not in text and "pull_request_target" not in text
    assert not [step for step in STEPS if "${{" in step.get("run", "")]


@pytest.mark.parametrize("step", ["deploy", "cd", "--help"])
def test_an_unknown_step_is_refused(step):
    done = subprocess.run([ROOT / ".ci/run", step], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: no step '{step}'; see the head of .ci/run\n"
