"""The sample's recipe in several simulated worlds: `python -m benchmarks.worlds --seeds 11 12 13`.

A world is the recipe with another `seed`: other persons, cameras, backgrounds, splits and weights.
Each is an experiment of dvc. What was chosen by looking at some worlds is to be reported from
others: 1 to 3 are for choosing, 11 to 13 for the report."""

import tempfile
from pathlib import Path

from benchmarks import experiments, world_figures, worlds_table
from benchmarks.__main__ import machine
from pipeline.base import command_line, terminal
from pipeline.common import artifacts

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
    parser = command_line.parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help="a world each")
    parser.add_argument("--output", type=Path, help="write <output>.md and <output>.json too")
    options = parser.parse_args(argv)
    worlds = {seed: {"seed": seed} for seed in options.seeds}
    experiments.check(worlds.values())
    found = {}
    for seed, changes in terminal.progress(worlds.items(), what="worlds", unit="world"):
        revision = experiments.run(f"world-{seed}", changes, *GOALS)
        with tempfile.TemporaryDirectory() as name:
            experiments.fetch(revision, world_figures.FILES, Path(name))
            found[seed] = world_figures.read(Path(name))
    summary = worlds_table.summary(found)
    origin = {"commit": experiments.origin(), "machine": machine()}
    text = f"{worlds_table.markdown(summary)}\nCommit {origin['commit']}; {origin['machine']}.\n"
    print(text)
    if options.output:
        options.output.with_suffix(".md").write_text(f"{HEAD}\n{text}", encoding="utf-8")
        artifacts.write_json(options.output.with_suffix(".json"), {**origin, "figures": summary})


if __name__ == "__main__":
    terminal.run(main)
