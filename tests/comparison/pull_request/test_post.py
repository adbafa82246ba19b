""".ci/post with a `gh` that writes down what it is asked: one comment, updated in place."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.comparison.pull_request.comment import MARKER
from tests.small_repository import ENVIRONMENT, ROOT

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
GH = """#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$ASKED"
case "$*" in
  *--paginate*) printf '%s' "$IDS" ;;
  *) echo "$ANSWER" >&2; [[ -z $ANSWER ]] ;;
esac
"""


def post(folder: Path, text: str = f"{MARKER}\nwell\n", ids: str = "", answer: str = ""):
    """What the script did, and the requests it made."""
    (folder / "gh").write_text(GH)
    (folder / "gh").chmod(0o755)
    (folder / "comment.md").write_text(text)
    environment = ENVIRONMENT | {
        "PATH": f"{folder}:{ENVIRONMENT['PATH']}",
        "GITHUB_REPOSITORY": "owner/name",
        "ASKED": str(folder / "asked"),
        "IDS": ids,
        "ANSWER": answer,
    }
    done = subprocess.run(
        [ROOT / ".ci/post", folder / "comment.md", "12"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    asked = folder / "asked"
    return done, asked.read_text().splitlines() if asked.exists() else []


def test_a_first_comment_is_new(tmp_path):
    done, (listed, written) = post(tmp_path)
    assert done.returncode == 0
    assert listed.startswith("api --paginate repos/owner/name/issues/12/comments?per_page=100 --jq")
    assert f'.user.login == "github-actions[bot]" and (.body | startswith("{MARKER}"))' in listed
    assert written == (
        "api --silent --method POST repos/owner/name/issues/12/comments "
        f"--field body=@{tmp_path}/comment.md"
    )


def test_the_next_ones_take_its_place(tmp_path):
    done, (_, written) = post(tmp_path, ids="345\n678\n")
    assert done.returncode == 0
    assert "--method PATCH repos/owner/name/issues/comments/345 --field" in written


def test_a_token_that_may_not_write_is_no_failure(tmp_path):
    done, _ = post(tmp_path, answer="gh: Resource not accessible by integration (HTTP 403)")
    assert done.returncode == 0 and "::notice::this token may not comment here" in done.stdout


def test_any_other_answer_is_one(tmp_path):
    done, _ = post(tmp_path, answer="gh: Server Error (HTTP 502)")
    assert done.returncode == 1 and done.stderr == "error: gh: Server Error (HTTP 502)\n"


def test_of_a_comparison_that_ended_with_an_error_nothing_is_written(tmp_path):
    done, asked = post(tmp_path, "")
    assert done.returncode == 0 and "::notice::no comment" in done.stdout and not asked


@pytest.mark.parametrize("text", ["well\n", '<!-- a") or ("" -->\n'])
def test_without_a_marker_nothing_is_asked(tmp_path, text):
    done, asked = post(tmp_path, text)
    assert done.returncode == 1 and "no marker in line 1" in done.stderr and not asked
