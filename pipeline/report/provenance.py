"""Where a result comes from: the revision of the code and the versions of what it ran on."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

CODE = ("pipeline", "dvc.yaml", "params.yaml", "requirements.txt")
PACKAGES = (
    "torch", "torchvision", "scikit-learn", "scipy", "numpy", "pandas", "pillow", "matplotlib",
    "dvc",
)  # fmt: skip


def revision(folder: str | Path = ".") -> str:
    """The last git commit that touched CODE, with `-modified` where CODE differs from it; "unknown"
    without git.

    Not HEAD: a commit of results alone must leave the report, and so dvc.lock, as they are. In a
    shallow clone git knows no older commit than the first it holds."""
    commit = _git(folder, "log", "-1", "--format=%H", "--", *CODE)
    changes = _git(folder, "status", "--porcelain", "--", *CODE)
    if not commit or changes is None:
        return "unknown"
    return f"{commit}-modified" if changes else commit


def versions() -> dict[str, str]:
    """Version of Python and of PACKAGES, without importing any."""
    return {"python": platform.python_version()} | {p: metadata.version(p) for p in PACKAGES}


def _git(folder: str | Path, *arguments: str) -> str | None:
    """What git prints, or None where it is absent, fails, or `folder` is in no repository."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 (no shell)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
