"""Look, before anything is trained, whether the inputs are there and can carry what params.yaml asks of them.

What is wrong with them would otherwise stop a stage after the training. Pictures are listed, not read: those that turn out to
be unreadable are counted by extract_features, and calibrate counts the photographs that are left.
"""

import argparse
from pathlib import Path

from pipeline import calibration, layout, people
from pipeline.base import artifacts, console, params
from pipeline.base.errors import PipelineError


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the data root")
    parser.add_argument("--train", required=True, help="list of photographs to fit and to calibrate with, relative to the root")
    parser.add_argument("--test", required=True, help="list of photographs to test with, relative to the root")
    parser.add_argument("--output", type=Path, required=True, help="file to write when all is well; it always says the same")
    options = parser.parse_args(argv)
    p = params.load("seed", "data", "split", "features", "calibration", "generators")

    train, test = (layout.read_list(options.root / name, options.root) for name in (options.train, options.test))
    if both := sorted(set(train) & set(test)):
        raise PipelineError(
            f"{options.root}: {len(both)} photographs are both in {options.train} and in {options.test} (first: {both[0]}): "
            "the false alarm rate would not hold; take them out of one of the lists"
        )
    split = {"pattern": p.data.person_pattern, "seed": p.seed, "calibration": p.split.calibration}
    fit, calibrate = (people.of_split(train, name, **split) for name in ("fit", "calibration"))
    if not fit:
        raise PipelineError(
            f"{options.root / options.train}: none of its {len(train)} photographs is left to fit the mixture; list more "
            "persons, or lower split.calibration"
        )
    for rate in p.calibration.false_alarm_rates:
        calibration.conformal_rank(min(len(calibrate), p.features.maximum_fit_faces), rate)
    listed = {"photographs to fit": len(fit), "photographs to calibrate": len(calibrate), "photographs to test": len(test)}
    for name in p.generators:
        listed[name] = len(layout.list_pictures(options.root / "data" / name))

    console.table([{"set": name, "pictures": count} for name, count in listed.items()], "Inputs")
    with artifacts.atomic(options.output) as temporary:
        temporary.write_text("The inputs are there.\n", encoding="utf-8")


if __name__ == "__main__":
    console.run(main)
