"""The commit where a branch left another one, in shallow checkouts too."""

import subprocess

from pipeline.base.errors import PipelineError

REMOTE = "origin"
FIRST_DEPTH, TIMES = 50, 4  # commits to fetch at first, and how many times more each time


def find(branch: str) -> str | None:
    """SHA of the last commit that HEAD shares with a branch of `origin` or of here.

    Fetches the branch where it is not here, and history until it meets that of HEAD where the
    checkout is shallow. None where they share none. Raises PipelineError for an unknown branch."""
    if not branch or branch.startswith("-"):
        raise PipelineError(f"{branch!r} is no branch; name the one to merge into, such as main")
    base = _known(branch) or _fetched(branch)
    depth = FIRST_DEPTH
    while not (found := _git("merge-base", base, "HEAD")):
        if _git("rev-parse", "--is-shallow-repository") != "true":
            return None
        # The server deepens only what it is asked for: both sides.
        fetch = ("fetch", "--quiet", f"--deepen={depth}", REMOTE, branch, commit("HEAD"))
        if _git(*fetch) is None:
            raise PipelineError(
                f"{REMOTE} gives no history of {branch} and HEAD, and this checkout is shallow: "
                f"run `git fetch --unshallow {REMOTE}`"
            )
        depth *= TIMES
    return found


def commit(revision: str) -> str:
    """SHA of a revision. Raises PipelineError where git does not know it."""
    found = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not found:
        raise PipelineError(f"git knows no commit {revision!r} here; see `git log`")
    return found


def _known(branch: str) -> str | None:
    names = (f"refs/remotes/{REMOTE}/{branch}", f"refs/heads/{branch}")
    known = (name for name in names if _git("rev-parse", "--verify", "--quiet", name))
    return next(known, None)


def _fetched(branch: str) -> str:
    """Its remote-tracking name, once its last commit is here."""
    name = f"refs/remotes/{REMOTE}/{branch}"
    if _git("fetch", "--quiet", "--depth=1", REMOTE, f"+refs/heads/{branch}:{name}") is None:
        raise PipelineError(
            f"no branch {branch!r} here or in {REMOTE}; see `git branch -a` and `git remote -v`"
        )
    return name


def _git(*arguments: str) -> str | None:
    """What git prints, None where it fails."""
    command = ["git", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else None
