"""Set a threshold for each chosen false alarm rate, and check on test photographs that the rates
hold.

The thresholds come from calibration photographs, which the mixture has never seen; the test
photographs only check them. Beside them stands the authors' threshold (`paper_protocol`), from the
very photographs that the mixture was fitted on."""

import argparse
import textwrap
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import params, terminal
from pipeline.base.errors import PipelineError
from pipeline.calibration import sizes as calibration_size
from pipeline.calibration import thresholds as calibration
from pipeline.common import artifacts
from pipeline.density.mixture import Mixture
from pipeline.evaluation.measures import roc_auc
from pipeline.face_sets import feature_sets
from pipeline.face_sets.feature_sets import FeatureSet

RULE = "score > threshold; threshold = calibration score of rank ceil((n + 1)(1 - false_alarm_rate)) (split-conformal)"
PAPER_WARNING = "taken from the faces that the mixture was fitted on: on new photographs the false alarm rate is higher than chosen"
RELATIVE_HALF_WIDTH = 0.5  # photographs_needed: so that a chosen 5 % is 2.5 to 7.5 %


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load("seed", "data", "calibration")

    sets = _disjoint({"fit": options.fit, "calibration": options.calibration, "test": options.test})
    mixture = Mixture.from_arrays(artifacts.read_npz(options.gmm), str(options.gmm))
    scores = {name: mixture.anomaly_score(faces.features) for name, faces in sets.items()}
    people = {name: faces.persons for name, faces in sets.items()}
    means, deviations = calibration.head_statistics(sets["calibration"].heads)
    threshold = _thresholds(scores, p.calibration)
    metrics = _metrics(threshold, scores, {name: set(who.tolist()) for name, who in people.items()})
    rates, draws = p.calibration.false_alarm_rates, p.calibration.curve_draws
    sizes = calibration_size.size_curve(
        scores["calibration"],
        people["calibration"],
        scores["test"],
        rates,
        draws=draws,
        seed=p.seed,
    )

    artifacts.write_json(options.threshold, threshold)
    artifacts.write_npz(
        options.calibration_scores,
        scores=np.sort(scores["calibration"]),
        head_means=means,
        head_deviations=deviations,
    )
    artifacts.write_csv(options.sizes, sizes)
    artifacts.write_json(options.metrics, metrics)
    _show(metrics)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gmm", type=Path, required=True, help="mixture, .npz")
    parser.add_argument(
        "--fit", type=Path, required=True, help="features of the fitted photographs, .npz"
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        required=True,
        help="features of the calibration photographs, .npz",
    )
    parser.add_argument(
        "--test", type=Path, required=True, help="features of the test photographs, .npz"
    )
    parser.add_argument("--threshold", type=Path, required=True, help="thresholds to write, .json")
    parser.add_argument(
        "--calibration-scores", type=Path, required=True, help="calibration scores to write, .npz"
    )
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    parser.add_argument(
        "--sizes", type=Path, required=True, help="curve of calibration sizes to write, .csv"
    )
    return parser.parse_args(argv)


def _disjoint(paths: dict[str, Path]) -> dict[str, FeatureSet]:
    """The face sets, of which no two share a face or a picture: the guarantee would be void."""
    sets = {name: feature_sets.read(path, f"photographic_{name}") for name, path in paths.items()}
    for one, other in combinations(sets, 2):
        _, rows, others = np.intersect1d(
            sets[one].digests, sets[other].digests, return_indices=True
        )
        pairs = set(
            zip(sets[one].names[rows].tolist(), sets[other].names[others].tolist(), strict=True)
        )
        pairs |= {
            (name, name) for name in np.intersect1d(sets[one].names, sets[other].names).tolist()
        }
        if pairs:
            raise PipelineError(
                f"{len(pairs)} faces are both in {paths[one]} and in {paths[other]} (first: "
                f"{min(pairs)[0]} and "
                f"{min(pairs)[1]} are the same picture): the false alarm rate would not hold; take "
                "them out of one of the lists"
            )
    return sets


def _thresholds(scores: dict[str, np.ndarray], chosen: Any) -> dict[str, Any]:
    """The content of the thresholds' file, from the scores (n,) of fit and calibration photographs."""
    values = calibration.thresholds(scores["calibration"], chosen.false_alarm_rates)
    rates = {calibration.rate_key(rate): rate for rate in chosen.false_alarm_rates}
    return {
        "rates": {
            key: {"false_alarm_rate": rate, "threshold": values[key]} for key, rate in rates.items()
        },
        "review": calibration.rate_key(chosen.review_rate),
        "flag": calibration.rate_key(chosen.flag_rate),
        "calibration_faces": len(scores["calibration"]),
        "rule": RULE,
        "paper_protocol": {
            "threshold": calibration.paper_protocol_threshold(scores["fit"], chosen.review_rate),
            "percentile": 100 * (1 - chosen.review_rate),
            "source": "fit features",
            "warning": PAPER_WARNING,
        },
    }


def _metrics(
    threshold: dict[str, Any], scores: dict[str, np.ndarray], people: dict[str, set[str]]
) -> dict[str, Any]:
    """What was chosen, what is promised, and what the test photographs say; `scores` (n,) and
    `people` of each set.

    The real-against-real AUC sets photographs that the mixture has not seen against each other:
    0.5, were they alike. Its standard error is that of Mann and Whitney (1947) for as many scores
    as persons, sqrt((k + j + 1) / (12 k j)): photographs of one person, being alike, count as one,
    so that it is too wide rather than too narrow."""
    n, m = len(scores["calibration"]), len(scores["test"])
    k, j = len(people["calibration"]), len(people["test"])
    rates = {}
    for key, at in threshold["rates"].items():
        rate, value = at["false_alarm_rate"], at["threshold"]
        rates[key] = {
            "chosen": rate,
            "threshold": value,
            "guarantee_95": calibration.guarantee(n, rate, 0.95),
            **calibration.achieved(scores["test"], value, n, rate),
            "photographs_needed": calibration_size.photographs_needed(rate, RELATIVE_HALF_WIDTH),
        }
    paper = threshold["paper_protocol"]["threshold"]
    paper_alarms = int((scores["test"] > paper).sum())
    return {
        "calibration_faces": n,
        "calibration_people": k,
        "test_faces": m,
        "test_people": j,
        "test_people_known": len(people["test"] & (people["fit"] | people["calibration"])),
        "review": threshold["review"],
        "flag": threshold["flag"],
        "rates": rates,
        "real_against_real_auc": roc_auc(scores["calibration"], scores["test"]),
        "real_against_real_auc_standard_error": float(np.sqrt((k + j + 1) / (12 * k * j))),
        "paper_protocol": {
            "threshold": paper,
            "false_alarms": paper_alarms,
            "false_alarm_rate": paper_alarms / m,
        },
    }


def _show(metrics: dict[str, Any]) -> None:
    rows = [
        {
            "rate": at["chosen"],
            "threshold": at["threshold"],
            "achieved": at["false_alarm_rate"],
            "exact 95 % interval": f"{at['exact_95']['low']:.4f} to {at['exact_95']['high']:.4f}",
            "verdict": at["verdict"],
        }
        for at in metrics["rates"].values()
    ]
    terminal.table(rows, f"False alarms on {metrics['test_faces']:,} test photographs")
    paper = metrics["paper_protocol"]
    print(
        f"paper_protocol: threshold {paper['threshold']:.3f}, false alarm rate "
        f"{paper['false_alarm_rate']:.3f}"
    )
    print(f"real-against-real AUC {metrics['real_against_real_auc']:.3f}")
    for at in metrics["rates"].values():
        kind = "note" if at["verdict"] == "holds" else "warning"
        qualified = f" ({at['qualifier']})" if at["qualifier"] else ""
        if kind == "warning" or qualified:
            text = f"{kind}: false alarm rate {at['chosen']:g}: {at['verdict']}{qualified}: {at['reason']}"
            print(textwrap.fill(text, terminal.WIDTH))


if __name__ == "__main__":
    terminal.run(main)
