"""The scores of all test faces of a run, at a revision or in the workspace."""

import io
from typing import TYPE_CHECKING

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts

if TYPE_CHECKING:
    import pandas as pd

SCORES = "data/evaluation/scores.parquet"
WORKSPACE = "workspace"


def read_scores(revision: str) -> "pd.DataFrame":
    """The table that evaluate wrote: of a git commit, branch, tag or dvc experiment from dvc's
    cache or remote, of "workspace" from its file.

    Raises PipelineError with what to do where there is none."""
    if revision == WORKSPACE:
        return artifacts.read_table(SCORES)
    if not revision:
        raise PipelineError(f"a revision is empty: name a commit, an experiment or {WORKSPACE}")
    import pandas as pd

    return pd.read_parquet(io.BytesIO(_read(revision)))


def _read(revision: str) -> bytes:
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    files = DVCFileSystem(rev=revision)
    try:
        _ = files.repo  # raises for an unknown revision; `exists` only says no
        if not files.exists("data/evaluation"):
            raise PipelineError(
                f"{revision} has no {SCORES}: check it out, run `dvc repro` and commit dvc.lock"
            )
        content: bytes = files.read_bytes(SCORES)
        return content
    except DvcException as error:
        raise PipelineError(
            f"{revision}: {error}; see `git log`, `git branch -a` and `dvc exp list -A`. Where a "
            "name stands for several, name its SHA"
        ) from None
    except (FileNotFoundError, DataIndexDirError):
        raise PipelineError(
            f"{SCORES} of {revision} is neither in dvc's cache nor in a remote: run `dvc push` "
            "where it was made. Or check it out here and run `dvc repro`; a run of your own, "
            "committed with its dvc.lock, can be compared with the next one"
        ) from None
