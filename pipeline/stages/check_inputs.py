"""Look, before anything is trained, whether the inputs are there and can carry what params.yaml
asks of them.

What is wrong with them would otherwise stop a stage after the training. All listed photographs are
looked at, whichever of them extract_features will choose. They are hashed, not decoded: those that
turn out to be unreadable are counted there, and calibrate counts the photographs that are left."""

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.base import params, terminal
from pipeline.base.errors import PipelineError
from pipeline.calibration import thresholds as calibration
from pipeline.common import artifacts, pictures
from pipeline.face_sets import listing, people


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the data root")
    parser.add_argument(
        "--train",
        required=True,
        help="list of photographs to fit and to calibrate with, relative to the root",
    )
    parser.add_argument(
        "--test", required=True, help="list of photographs to test with, relative to the root"
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="file to write when all is well; it always says the same",
    )
    options = parser.parse_args(argv)
    p = params.load("seed", "data", "split", "features", "calibration", "generators")

    train, test = (
        listing.read_list(options.root / name, options.root)
        for name in (options.train, options.test)
    )
    if both := sorted(set(train) & set(test)):
        raise PipelineError(
            f"{options.root}: {len(both)} photographs are both in {options.train} and in "
            f"{options.test} (first: {both[0]}): "
            "the false alarm rate would not hold; take them out of one of the lists"
        )
    split = {"pattern": p.data.person_pattern, "seed": p.seed, "calibration": p.split.calibration}
    fit, calibrate = (people.of_split(train, name, **split) for name in ("fit", "calibration"))
    if not fit:
        raise PipelineError(
            f"{options.root / options.train}: none of its {len(train)} photographs is left to fit "
            "the mixture; list more "
            "persons, or lower split.calibration"
        )
    for rate in p.calibration.false_alarm_rates:
        calibration.conformal_rank(min(len(calibrate), p.features.maximum_fit_faces), rate)
    listed = {
        "photographs to fit": len(fit),
        "photographs to calibrate": len(calibrate),
        "photographs to test": len(test),
    }
    for name in p.generators:
        listed[name] = len(listing.list_pictures(options.root / "data" / name))

    terminal.table([{"set": name, "pictures": count} for name, count in listed.items()], "Inputs")
    who = [
        {people.person_of(name, p.data.person_pattern) for name in names} for names in (train, test)
    ]
    if met := sorted(who[0] & who[1]):
        warning = (
            f"warning: persons both in {options.train} and in {options.test}: {len(met):,} (first: "
            f"{met[0]}). On faces of "
            "persons whom mixture or threshold know, fewer false alarms are counted than there "
            "will be: list each person once"
        )
        print(textwrap.fill(warning, terminal.WIDTH))
    _check_different(options.root, {"fit": fit, "calibrate": calibrate, "test": test})
    with artifacts.atomic(options.output) as temporary:
        temporary.write_text("The inputs are there.\n", encoding="utf-8")


def _check_different(root: Path, sets: Mapping[str, Sequence[str]]) -> None:
    """Raise PipelineError where the same picture, by SHA-256, is in two of the sets, under any
    names.
    """
    first: dict[str, tuple[str, str]] = {}
    pairs = []
    named = [(purpose, name) for purpose, names in sets.items() for name in names]
    for purpose, name in terminal.progress(named, what="check_inputs"):
        try:
            other, twin = first.setdefault(artifacts.sha256(root / name), (purpose, name))
            if other != purpose:
                pictures.read_picture(root / name)  # broken files are alike too, and no picture
        except (OSError, pictures.UnreadablePicture):
            continue
        if other != purpose:
            pairs.append(f"{twin} (to {other}) and {name} (to {purpose})")
    if pairs:
        more = f", and {len(pairs) - 10:,} more" if len(pairs) > 10 else ""
        raise PipelineError(
            f"{root}: the same picture is listed for two purposes, and the false alarm rate would "
            "not hold; take one of each "
            f"pair out of its list: {', '.join(pairs[:10])}{more}"
        )


if __name__ == "__main__":
    terminal.run(main)
