"""Score faces: a row for each with its anomaly score, p-value and verdict.

PATH: picture files, folders (with all below them), glob patterns, or - for a list on standard
input. Rows go to --out, or, without --page, as CSV to standard output; all else goes to standard
error.
Exit status: 0 all scored, 1 some could not be read, 2 wrong usage, 3 no usable model, 4 stopped by
an error such as a full disk."""

import argparse
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base import command_line, terminal
from pipeline.base.errors import PipelineError
from pipeline.detect.errors import FINE, SOME_UNREADABLE, STOPPED, Unusable
from pipeline.detect.sources import STANDARD_INPUT

if TYPE_CHECKING:
    from pipeline.detect.crops import Whole
    from pipeline.detect.detector import Detector
    from pipeline.detect.page import Page


EXPLAINED = 20  # faces on a page; each costs as much as scoring some hundred


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = _options(argv)
    try:
        return _calibrate(options) if options.calibrate else _score(options)
    except BrokenPipeError:  # who read the rows has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (PipelineError, OSError) as error:
        _say(f"error: {error}")
        return error.status if isinstance(error, Unusable) else STOPPED
    except KeyboardInterrupt:
        _say("interrupted" + "; go on with --resume" * bool(options.out and not options.calibrate))
        return 128 + signal.SIGINT


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="what to score; see above")
    add("--out", type=Path, metavar="FILE", help="rows to write: .csv, .jsonl or .parquet")
    add("--resume", action="store_true", help="go on with --out where an earlier run ended")
    add(
        "--false-alarm-rate", type=_rate, metavar="R", help="flag at most this share of photographs"
    )
    add("--model", type=Path, default=Path("models"), metavar="DIR", help="trained model (models)")
    add(
        "--crop",
        default="none",
        metavar="none|auto|FILE",
        help="none: a picture is a face; auto: find them; or boxes, .csv",
    )
    add(
        "--face-detector",
        metavar="NAME",
        help="of --crop auto: yunet:FILE, or centerface, which is taken without this option",
    )
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="that --calibrate wrote, for the model's own",
    )
    add("--calibrate", action="store_true", help="PATHs are your photographs: write a calibration")
    add("--page", type=Path, metavar="FILE.html", help="page to go through the faces by hand")
    add(
        "--explain",
        type=_count,
        metavar="N",
        help=f"on the page, so many faces that do not pass get an occlusion map ({EXPLAINED})",
    )
    add(
        "--photographs",
        metavar="PATH",
        help="on the page, show the nearest of these, known to be photographs",
    )
    options = parser.parse_args(argv)
    _check(parser, options)
    return options


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.resume and not options.out:
        parser.error("--resume needs the --out of the run to go on with")
    if options.calibrate and (options.resume or options.calibration):
        parser.error("--calibrate goes neither with --resume nor with --calibration")
    if options.calibrate and options.page:
        parser.error("--calibrate makes no --page: score the photographs for one")
    if options.face_detector and options.crop != "auto":
        parser.error("--face-detector needs --crop auto")
    if options.photographs == STANDARD_INPUT and STANDARD_INPUT in options.paths:
        parser.error("PATH and --photographs cannot both be -: standard input holds one list")
    if not options.page and (options.explain is not None or options.photographs):
        parser.error("--explain and --photographs say what is on the --page")


def _score(options: argparse.Namespace) -> int:
    from pipeline.detect.computing import computing
    from pipeline.detect.crops import Written, identity
    from pipeline.detect.model import check_framing
    from pipeline.detect.rows import Rows
    from pipeline.detect.scoring import score
    from pipeline.detect.sources import find
    from pipeline.detect.summary import Summary

    detector, crops = _detector(options, options.false_alarm_rate), _crops(options)
    check_framing(detector.model, crops.framing)
    page = _page(options, detector, crops)
    summary, written = Summary(crops.framing), Written(crops)
    quiet, name = page is not None, identity(detector.identity, crops)
    rows = Rows(options.out, name, resume=options.resume, quiet=quiet)
    paths, passed_over = find(options.paths)
    readers = [summary.add, *([page.add] if page else [])]
    for row in rows.before():
        for read in (written.add, *readers):
            read([row])
    todo = written.left(paths)
    on_terminal = not (options.out or quiet) and sys.stdout.isatty()
    with computing(), _bar(len(todo), quiet=on_terminal) as bar:
        for some in score(detector, todo, crops):
            new = written.new(some)
            rows.write(new)
            for read in readers:
                read(new)
            bar.update(len({row["path"] for row in some}))
    rows.close()
    _say(summary.text(detector.model, passed_over))
    if page:
        _say(page.write(paths, summary.sentences(detector.model, passed_over)))
    return SOME_UNREADABLE if summary.errors else FINE


def _page(options: argparse.Namespace, detector: "Detector", crops: "Whole") -> "Page | None":
    """The page that is asked for; what cannot be done is said before anything is scored."""
    if not options.page:
        return None
    from pipeline.detect.explaining import Explainer
    from pipeline.detect.page import Page, check_name

    check_name(options.page, replace=options.resume)
    explained = EXPLAINED if options.explain is None else options.explain
    return Page(options.page, Explainer(detector, crops, options.photographs), explained)


def _calibrate(options: argparse.Namespace) -> int:
    from pipeline.detect.computing import computing
    from pipeline.detect.own_calibration import Photographs, check_name, write
    from pipeline.detect.scoring import encoded
    from pipeline.detect.sources import find

    out, photographs = check_name(options.out), Photographs()
    detector, crops = _detector(options, None), _crops(options)
    paths, passed_over = find(options.paths)
    with computing(), _bar(len(paths)) as bar:
        for faces, outputs in encoded(detector, paths, crops):
            photographs.add(faces, outputs)
            bar.update(len({face.row["path"] for face in faces}))
        text = write(out, detector, photographs, crops.framing, options.false_alarm_rate)
    _say("\n".join([text, *(f"passed over: {n:,} x {why}" for why, n in passed_over.items())]))
    return SOME_UNREADABLE if photographs.errors else FINE


def _detector(options: argparse.Namespace, rate: float | None) -> "Detector":
    from pipeline.detect.detector import Detector

    warnings.filterwarnings("ignore", module="PIL")  # of pictures: their rows say what matters
    how = {"calibration": options.calibration, "false_alarm_rate": rate, "device": options.device}
    return Detector.load(options.model, **how)


def _crops(options: argparse.Namespace) -> "Whole":
    from pipeline.detect.crops import Found, Given, Whole
    from pipeline.face_detection import detectors

    if options.crop == "none":
        return Whole()
    if options.crop != "auto":
        return Given(Path(options.crop))
    try:
        name = options.face_detector or detectors.CENTERFACE
        return Found(detectors.load(name), detectors.identity(name))
    except PipelineError as error:
        raise Unusable(str(error)) from error


def _bar(total: int, *, quiet: bool = False) -> Any:
    """A progress bar with pictures per second and the time left; none beside rows on a terminal."""
    from tqdm import tqdm

    return tqdm(disable=True) if quiet else terminal.progress((), total=total, unit="image")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0
    if not 0 < rate < 1:
        raise argparse.ArgumentTypeError(f"a share between 0 and 1, such as 0.01, not {text}")
    return rate


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number, 0 or more, not {text}")
    return int(text)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
