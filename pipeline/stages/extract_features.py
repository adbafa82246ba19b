"""Compute the features of one set of whole face pictures: photographic fit, calibration or test
faces, or a generator's.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import params, processes, terminal
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.encoder import checkpoints
from pipeline.extraction import features
from pipeline.face_sets import listing, people


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        required=True,
        help="the data root; names in the output are relative to it",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--folder", help="folder of pictures, relative to the root")
    source.add_argument("--list", help="text file with one picture per line, relative to the root")
    parser.add_argument(
        "--split",
        choices=("fit", "calibration", "test"),
        help="which part of the list (test: all of it)",
    )
    parser.add_argument("--set-name", required=True, help="name of the set in metrics and tables")
    parser.add_argument(
        "--encoder", type=Path, required=True, help="encoder that train_pretext wrote"
    )
    parser.add_argument("--output", type=Path, required=True, help="features to write, .npz")
    parser.add_argument("--metrics", type=Path, required=True, help="counts to write, .json")
    options = parser.parse_args(argv)
    if bool(options.list) != bool(options.split):
        parser.error("--list needs --split, and --folder takes none")
    p = params.load("seed", "data", "split", "features")

    if options.folder:
        params.check_generator(options.set_name)
    first = processes.rank() == 0  # of several processes it alone lists, judges, prints and writes
    names = list_names(options, p) if first else []
    maximum = (
        p.features.maximum_fit_faces
        if options.split in ("fit", "calibration")
        else p.features.maximum_faces
    )
    chosen = features.choose(names, maximum, seed=p.seed)
    encoder, meta = checkpoints.load_encoder(options.encoder)
    result = features.extract(encoder, meta["input_size"], options.root, chosen, p.features)
    if not first:
        return
    counts = {
        "listed": len(names),
        "chosen": len(chosen),
        "readable": len(result.names),
        "unreadable": result.unreadable,
    }
    source_name = options.folder or options.list
    check_readable(counts, f"{options.root / source_name}", p.features.maximum_unreadable_share)
    artifacts.write_npz(
        options.output,
        names=np.array(result.names),
        features=result.features,
        heads=result.heads,
        source_sha256=np.array(result.sha256),
    )
    recorded = {
        "set": options.set_name,
        "source": source_name,
        **counts,
        "sha256": artifacts.sha256(options.output),
    }
    artifacts.write_json(options.metrics, recorded)
    terminal.table(
        [{"set": options.set_name, **counts, "unreadable": sum(result.unreadable.values())}],
        "Features",
    )
    for reason, count in result.unreadable.items():
        print(f"left out: {count} x {reason}")


def list_names(options: argparse.Namespace, p: Any) -> list[str]:
    """Names of all pictures of the set, relative to the root; PipelineError where there is none."""
    if options.folder:
        return [
            path.relative_to(options.root).as_posix()
            for path in listing.list_pictures(options.root / options.folder)
        ]
    names = listing.read_list(options.root / options.list, options.root)
    if options.split == "test":
        return names
    pattern, share = p.data.person_pattern, p.split.calibration
    part = people.of_split(names, options.split, pattern=pattern, seed=p.seed, calibration=share)
    if not part:
        raise PipelineError(
            f"{options.root / options.list}: none of its {len(names)} pictures falls into "
            f"{options.split}; "
            "list pictures of more persons, or change split.calibration"
        )
    return part


def check_readable(counts: dict[str, Any], source: str, allowed: float) -> None:
    """PipelineError where no picture is readable, or more than the allowed share is not."""
    unreadable = sum(counts["unreadable"].values())
    share = unreadable / counts["chosen"]
    if not counts["readable"] or share > allowed:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in counts["unreadable"].items())
        raise PipelineError(
            f"{source}: {unreadable} of {counts['chosen']} pictures are unreadable ({reasons}), "
            "allowed is a share of "
            f"{allowed:g} (features.maximum_unreadable_share). Replace them, or allow more."
        )


if __name__ == "__main__":
    terminal.run(main)
