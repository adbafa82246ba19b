"""List every face set once: names, persons and SHA-256 of its usable pictures.

What cannot be used is counted with its reason. What would stop a later stage, or make its figures
wrong, stops here, before anything is trained."""

import functools
import itertools
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.base import command_line, params, processes, terminal
from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.calibration import thresholds
from pipeline.common import artifacts
from pipeline.common.names import PHOTOGRAPHIC
from pipeline.face_sets import face_list, inspection, selection
from pipeline.face_sets.listing import Tally, list_pictures, read_list

PICTURES_PER_JOB = 64


class Source(NamedTuple):
    """Where a set comes from."""

    path: str  # list or folder, relative to the data root
    names: list[str]
    maximum: int  # faces to choose, at most


def sources_of(root: Path, train: str, test: str, p: Any, passed_over: Tally) -> dict[str, Source]:
    """Every face set, photographs first."""
    names = read_list(root / train, root)
    split = {"pattern": p.data.person_pattern, "seed": p.seed, "calibration": p.split.calibration}
    fit, calibration = (selection.of_split(names, part, **split) for part in ("fit", "calibration"))
    if not fit:
        raise PipelineError(
            f"{root / train}: none of its {len(names)} photographs is left to fit the mixture; "
            "list more persons, or lower split.calibration"
        )
    sources = [
        Source(train, fit, p.data.maximum_fit_faces),
        Source(train, calibration, p.data.maximum_fit_faces),
        Source(test, read_list(root / test, root), p.data.maximum_faces),
    ]
    for folder in (f"data/{generator}" for generator in p.generators):
        names = list_pictures(folder, root, passed_over)
        sources.append(Source(folder, names, p.data.maximum_faces))
    return dict(zip([*PHOTOGRAPHIC, *p.generators], sources, strict=True))


def inspect_all(names: list[str], root: Path) -> Iterator[inspection.Inspected]:
    """Each picture as it was found, in order; all cores decode."""
    starts = range(0, len(names), PICTURES_PER_JOB)
    jobs = [names[start : start + PICTURES_PER_JOB] for start in starts]
    inspect = functools.partial(inspection.inspect, root=root)
    results = processes.parallel(inspect, jobs, workers=processes.workers())
    pictures = itertools.chain.from_iterable(results)
    yield from terminal.progress(pictures, total=len(names), what="list_faces")


def show(listing: Mapping[str, Any]) -> None:
    """Print the sets as a table, what was left out of them, and the warnings."""
    rows = [
        {"set": name, **{column: entry[column] for column in ("listed", "usable", "persons")}}
        | {"left out": entry["left_out"].total}
        for name, entry in listing["sets"].items()
    ]
    terminal.table(rows, "Face sets")
    for name, entry in listing["sets"].items():
        if entry["left_out"]:
            print(f"left out of {name}: {entry['left_out']}")
    if listing["passed_over"]:
        print(f"passed over: {listing['passed_over']}")
    for warning in listing["warnings"]:
        print(textwrap.fill(f"warning: {warning}", terminal.WIDTH))


def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = command_line.paths(
        __doc__, root="the data root", output="folder of the lists to write"
    )
    parser.add_argument("--train", required=True, help="list of photographs to fit and calibrate")
    parser.add_argument("--test", required=True, help="list of photographs to test with")
    options = parser.parse_args(argv)
    p = params.load("seed", "data", "split", "calibration", "generators")

    passed_over, root, allowed = Tally(), options.root, p.data.maximum_unreadable_share
    sources = sources_of(root, options.train, options.test, p, passed_over)
    chosen = {
        name: selection.choose(source.names, source.maximum, seed=p.seed)
        for name, source in sources.items()
    }
    pictures = inspect_all([name for names in chosen.values() for name in names], root)
    sets, entries, looks, warnings = {}, {}, dict[str, str](), list[str]()
    seen: dict[str, set[str]] = {}  # looks by list or folder: fit and calibration are of one list
    for name, source in sources.items():
        pattern = p.data.person_pattern if name in PHOTOGRAPHIC else None
        inspected = list(itertools.islice(pictures, len(chosen[name])))
        inspection.check_readable(f"{root / source.path}", inspected, allowed)
        of_source = seen.setdefault(source.path, set())
        sets[name], left_out = inspection.usable(inspected, pattern, of_source)
        warnings += inspection.warn_of_transparency(name, inspected)
        looks |= {picture.sha256: picture.look for picture in inspected}
        entries[name] = {
            "source": source.path,
            "listed": len(source.names),
            "chosen": len(inspected),
            "usable": len(sets[name]),
            "persons": len({face.person for face in sets[name]}),
            "left_out": left_out,
        }
    for rate in p.calibration.false_alarm_rates:
        thresholds.conformal_rank(len(sets["photographic_calibration"]), rate)
    warnings += [*inspection.check_shared(sets, looks), *inspection.check_persons(sets)]
    names = {name: source.names for name, source in sources.items()}
    photographs = {name: names.pop(name) for name in PHOTOGRAPHIC}
    inspection.check_classes(photographs, names, root)
    listing = {"sets": entries, "passed_over": passed_over, "warnings": warnings}
    with atomic(options.output) as folder:
        folder.mkdir()
        for name, faces in sets.items():
            face_list.write(folder / f"{name}.csv", faces)
        artifacts.write_json(folder / "listing.json", listing)
        # Always the same: a dependency that orders the training after the lists, and no more.
        (folder / "checked.txt").write_text("The inputs can carry the run.\n", encoding="utf-8")
    show(listing)


if __name__ == "__main__":
    terminal.run(main)
