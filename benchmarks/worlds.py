"""The sample's recipe in several simulated worlds: `python -m benchmarks.worlds --seeds 11 12 13`.

A world is the last commit with another `seed`: other persons, cameras, backgrounds, splits and
weights. Each has a clone of its own in .worlds, which shares DVC's cache, so that a world
that is finished is not run again and one that was interrupted continues. What was chosen by looking
at some worlds is to be reported from others: 1 to 3 are for choosing, 11 to 13 for the report."""

import argparse
import re
import subprocess
from pathlib import Path

from benchmarks import stages, world_figures, worlds_table
from benchmarks.__main__ import machine
from pipeline.base import profile, terminal
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts

ROOT = Path(__file__).resolve().parents[1]
WORLDS = ROOT / ".worlds"  # which git and DVC ignore
GOALS = ("evaluate", "audit")
HEAD = """# Simulated worlds

What the sample's recipe finds in several simulated worlds, as `make worlds` wrote it
(`benchmarks/worlds.py`). A world is another `seed`: other persons, cameras, backgrounds, splits and
starting weights. Nothing was chosen by looking at these.

In brackets are 95 % intervals. They cover which faces were tested; what chance does in training,
the spread among worlds shows. Of a mean over some generators the ends are the means of their ends.
A false alarm rate is consistent with 5 % where its interval contains 5 % or lies below; under a
perturbation its trials are photographs, not persons, which makes it somewhat too narrow. *Bytes per
pixel* counts in each generator's better direction; compare it, and the controls, with the detector
that is fitted as they are, on the same faces.
"""


def main(argv: list[str] | None = None) -> None:
    """Run the worlds one after the other and show the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worlds", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help="a world each")
    parser.add_argument("--profile", default="", help="a file of profiles/, without .yaml")
    parser.add_argument("--output", type=Path, help="write <output>.md and <output>.json too")
    options = parser.parse_args(argv)
    commit = git(ROOT, "rev-parse", "HEAD")
    if git(ROOT, "status", "--porcelain", "--untracked-files=no"):
        print(f"note: what is not committed is not in the worlds, which are {commit[:8]}")
    found = {}
    for seed in dict.fromkeys(options.seeds):
        folder = WORLDS / "-".join(filter(None, (options.profile, str(seed))))
        prepare(folder, commit, seed, options.profile)
        run(folder)
        found[seed] = world_figures.read(folder)
    summary = worlds_table.summary(found)
    origin = {"commit": commit, "machine": machine(), "profile": options.profile}
    text = f"{worlds_table.markdown(summary)}\nCommit {commit[:8]} on {origin['machine']}.\n"
    print(text)
    if options.output:
        options.output.with_suffix(".md").write_text(f"{HEAD}\n{text}", encoding="utf-8")
        artifacts.write_json(options.output.with_suffix(".json"), {**origin, "figures": summary})


def prepare(folder: Path, commit: str, seed: int, profile_name: str = "") -> None:
    """A clone at the commit, with its own seed and DVC's cache of this repository. What lies there
    stays if it is of this commit: DVC knows what of it is up to date.
    """
    if not (folder / ".git").is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        git(ROOT, "clone", "--quiet", str(ROOT), str(folder))
    if git(folder, "rev-parse", "HEAD") != commit:
        git(folder, "fetch", "--quiet", str(ROOT), commit)
        git(folder, "checkout", "--quiet", "--force", "--detach", commit)
    cache = ROOT / ".dvc/cache"
    (folder / ".dvc/config.local").write_text(f"[cache]\n    dir = {cache}\n", encoding="utf-8")
    path = folder / "params.yaml"
    if profile_name:
        profile.apply(folder / f"profiles/{profile_name}.yaml", path)
    text, count = re.subn(r"(?m)^seed: *\d+", f"seed: {seed}", path.read_text(encoding="utf-8"))
    if count != 1:
        raise PipelineError(f"{path}: {count} lines begin with `seed: <number>`, 1 is needed")
    path.write_text(text, encoding="utf-8")


def run(folder: Path) -> None:
    """Bring a world up to date; where it trains, note how long that took."""
    try:
        for stage, seconds in stages.run(folder, "repro", *GOALS):
            print(f"{folder.name}: {stage}: {seconds:.0f} s", flush=True)
            if stage == "train_pretext@encoder":
                world_figures.note_training(folder, seconds)
    except subprocess.CalledProcessError as error:
        raise PipelineError(f"{folder}: `dvc repro` ended with {error.returncode}") from None


def git(folder: Path, *arguments: str) -> str:
    """What git prints in a folder; PipelineError with its own words where it fails."""
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PipelineError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    terminal.run(main)
