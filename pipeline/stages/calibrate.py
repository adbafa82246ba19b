"""Set a threshold for each chosen false alarm rate, and check the rates on test photographs.

The thresholds come from calibration photographs, which the mixture has never seen; the test
photographs only check them. No picture is in two sets, list_faces has seen to that. Beside them
stands the authors' threshold (`paper_protocol`), from the photographs that the mixture was fitted
on.

With calibration.histories a rate holds for photographs with each of these: the mixture is fitted on
photographs as they are, and each threshold is the largest of those that the histories set."""

import io
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import command_line, params, terminal
from pipeline.base.perturbation_names import CLEAN
from pipeline.calibration import thresholds
from pipeline.calibration.rates import CONSISTENT, Size, check
from pipeline.calibration.sizes import size_curve
from pipeline.calibration.thresholds import conformal_threshold
from pipeline.common import artifacts
from pipeline.density.density import TYPICAL, Density
from pipeline.evaluation.measures import roc_auc
from pipeline.face_sets import face_list, feature_sets
from pipeline.face_sets.feature_sets import FeatureSet

SETS = ("fit", "calibration", "test")


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = command_line.paths(
        __doc__,
        gmm="mixture, .npz",
        **{name: f"features of the {name} photographs, .npz" for name in SETS},
        threshold="thresholds to write, .json",
        scores="calibration scores to write, .npz",
        output="folder to write calibration.json, sizes.csv to",
    )
    text = "data root of the photographs, whose sizes are then kept"
    parser.add_argument("--root", type=Path, help=text)
    options = parser.parse_args(argv)
    p = params.load("seed", "calibration", "features")

    density = Density.from_arrays(artifacts.read_npz(options.gmm), str(options.gmm))
    read = {
        name: feature_sets.read_histories(
            vars(options)[name],
            f"photographic_{name}",
            p.calibration.histories if name != "fit" else [CLEAN],
        )
        for name in SETS
    }
    by_history = {
        name: {h: density.anomaly_score(faces.features, faces.heads) for h, faces in one.items()}
        for name, one in read.items()
    }
    sets = {name: one[CLEAN] for name, one in read.items()}
    scores = {name: one[CLEAN] for name, one in by_history.items()}
    persons = {name: faces.persons for name, faces in sets.items()}
    own = np.stack(list(by_history["calibration"].values()))  # (histories, n)
    threshold = _thresholds(own, scores["fit"], p.calibration)
    threshold |= {"precision": p.features.precision}  # for who scores faces with these thresholds
    checks = {"sides": density.sides, **_checks(threshold, scores, persons)}
    checks["histories"] = _of_histories(threshold, by_history, persons)
    side = density.side(sets["test"].features, sets["test"].heads)
    for at in checks["rates"].values():
        alarms = scores["test"] > at["threshold"]
        at["too_typical"] = int((side[alarms] == TYPICAL).sum())
    heads = sets["calibration"].heads
    rates = p.calibration.false_alarm_rates
    curve = size_curve(own, persons["calibration"], scores["test"], rates, seed=p.seed)

    artifacts.write_json(options.threshold, threshold)
    artifacts.write_npz(
        options.scores,
        scores=np.sort(own),
        head_means=heads.mean(axis=0),
        head_deviations=heads.std(axis=0, ddof=1),
        head_names=np.array(sets["calibration"].head_names),
        **({"sizes": _sizes(options.root, sets["calibration"])} if options.root else {}),
    )
    artifacts.write_csv(options.output / "sizes.csv", curve)
    artifacts.write_json(options.output / "calibration.json", checks)
    _show(checks)


def _sizes(root: Path, faces: FeatureSet) -> np.ndarray:
    """Width and height of each photograph as it is stored (n, 2), from the files' headers."""
    from PIL import Image

    contents = (face_list.read_face(root, faces.face(row)) for row in range(len(faces)))
    return np.array([Image.open(io.BytesIO(content)).size for content in contents])


def _thresholds(own: np.ndarray, fitted: np.ndarray, chosen: Any) -> dict[str, Any]:
    """The content of the thresholds' file, from the calibration photographs' scores (histories, n)
    and the fit photographs' (m,).
    """
    key = thresholds.rate_key
    by_rate = {
        rate: max(conformal_threshold(scores, rate) for scores in own)
        for rate in chosen.false_alarm_rates
    }
    return {
        "rates": {key(r): {"false_alarm_rate": r, "threshold": t} for r, t in by_rate.items()},
        "review": key(chosen.review_rate),
        "flag": key(chosen.flag_rate),
        "paper_protocol": {
            "threshold": thresholds.paper_protocol_threshold(fitted, chosen.review_rate)
        },
    }


def _checks(
    threshold: dict[str, Any], scores: dict[str, np.ndarray], persons: dict[str, np.ndarray]
) -> dict[str, Any]:
    """What was chosen, what is promised, and what the test photographs say; `scores` and `persons`
    (n,) of each set.

    The real-against-real AUC sets photographs that the mixture has not seen against each other:
    0.5, were they alike. Its standard error is that of Mann and Whitney (1947) for as many scores
    as persons, sqrt((k + j + 1) / (12 k j)): photographs of one person, being alike, count as one,
    so that it is too wide rather than too narrow."""
    people = {name: set(who.tolist()) for name, who in persons.items()}
    test, k, j = scores["test"], len(people["calibration"]), len(people["test"])
    calibration = Size(len(scores["calibration"]), k)
    by_rate = threshold["rates"].items()
    paper = threshold["paper_protocol"]["threshold"]
    return {
        "calibration_faces": calibration.photographs,
        "calibration_people": k,
        "test_faces": len(test),
        "test_people": j,
        "test_people_known": len(people["test"] & (people["fit"] | people["calibration"])),
        "review": threshold["review"],
        "flag": threshold["flag"],
        "rates": {
            key: check(test, **at, persons=j, calibration=calibration) for key, at in by_rate
        },
        "real_against_real_auc": roc_auc(scores["calibration"], test),
        "real_against_real_auc_standard_error": float(np.sqrt((k + j + 1) / (12 * k * j))),
        "paper_protocol": {
            "threshold": paper,
            "false_alarms": int((test > paper).sum()),
            "false_alarm_rate": float((test > paper).mean()),
        },
    }


def _of_histories(
    threshold: dict[str, Any],
    scores: dict[str, dict[str, np.ndarray]],
    persons: dict[str, np.ndarray],
) -> dict[str, dict[str, Any]]:
    """Of each history and rate what the test photographs with that history say of the threshold,
    and the threshold that the calibration photographs with that history would set alone; scores
    (n,) of each set by history.
    """
    k, j = (len(np.unique(persons[name])) for name in ("calibration", "test"))
    return {
        history: {
            key: {
                **check(scores["test"][history], **at, persons=j, calibration=Size(len(own), k)),
                "own_threshold": conformal_threshold(own, at["false_alarm_rate"]),
            }
            for key, at in threshold["rates"].items()
        }
        for history, own in scores["calibration"].items()
    }


def _show(checks: dict[str, Any]) -> None:
    rows = [
        {
            "rate": at["chosen"],
            "threshold": at["threshold"],
            "achieved": at["false_alarm_rate"],
            "95 % interval": _interval(at),
            "verdict": at["verdict"],
        }
        for at in checks["rates"].values()
    ]
    terminal.table(rows, f"False alarms on {checks['test_faces']:,} test photographs")
    if len(checks["histories"]) > 1:
        rows = [
            {"history": history, "rate": at["chosen"], "achieved": at["false_alarm_rate"]}
            | {"95 % interval": _interval(at), "verdict": at["verdict"]}
            for history, rates in checks["histories"].items()
            for at in rates.values()
        ]
        terminal.table(rows, "The same photographs with each history")
    paper = checks["paper_protocol"]
    print(f"false alarm rate of the authors' threshold: {paper['false_alarm_rate']:.3f}")
    print(f"real-against-real AUC {checks['real_against_real_auc']:.3f}")
    for at in checks["rates"].values():
        kind = "note" if at["verdict"] == CONSISTENT else "warning"
        if kind == "warning" or at["qualifier"]:
            text = f"{kind}: false alarm rate {at['chosen']:g} {at['verdict']}: {at['reason']}"
            print(textwrap.fill(text, terminal.WIDTH))


def _interval(rate: dict[str, Any]) -> str:
    return f"{rate['exact_95']['low']:.4f} to {rate['exact_95']['high']:.4f}"


if __name__ == "__main__":
    terminal.run(main)
