"""Set the threshold for the chosen false alarm rate, and check it on test photographs.

The threshold comes from calibration photographs, which the mixture has never seen; the test photographs only check it. Beside
it stands the authors' threshold (`paper_protocol`), from the very photographs that the mixture was fitted on.
"""

import argparse
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import artifacts, calibration, console, params
from pipeline.errors import PipelineError
from pipeline.evaluation import roc_auc
from pipeline.mixture import Mixture, feature_set

RULE = "score > threshold; threshold = calibration score of rank ceil((n + 1)(1 - false_alarm_rate)) (split-conformal)"
PAPER_WARNING = (
    "taken from the faces that the mixture was fitted on: on new photographs the false alarm rate is higher than chosen"
)


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gmm", type=Path, required=True, help="mixture, .npz")
    parser.add_argument("--fit", type=Path, required=True, help="features of the fitted photographs, .npz")
    parser.add_argument("--calibration", type=Path, required=True, help="features of the calibration photographs, .npz")
    parser.add_argument("--test", type=Path, required=True, help="features of the test photographs, .npz")
    parser.add_argument("--threshold", type=Path, required=True, help="threshold to write, .json")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    options = parser.parse_args(argv)
    rate = params.load("calibration").calibration.false_alarm_rate

    scores = _scores(options.gmm, {"fit": options.fit, "calibration": options.calibration, "test": options.test})
    threshold = {
        "false_alarm_rate": rate,
        "threshold": calibration.conformal_threshold(scores["calibration"], rate),
        "calibration_faces": len(scores["calibration"]),
        "rule": RULE,
        "paper_protocol": {
            "threshold": calibration.paper_protocol_threshold(scores["fit"], rate),
            "percentile": 100 * (1 - rate),
            "source": "fit features",
            "warning": PAPER_WARNING,
        },
    }
    metrics = _metrics(threshold, scores)
    artifacts.write_json(options.threshold, threshold)
    artifacts.write_json(options.metrics, metrics)
    _show(metrics)


def _scores(gmm: Path, sets: dict[str, Path]) -> dict[str, np.ndarray]:
    """Anomaly scores (n,) of each face set. Raises PipelineError where a face is in two sets: the guarantee would be void."""
    mixture = Mixture.from_arrays(artifacts.read_npz(gmm), str(gmm))
    loaded = {name: feature_set(artifacts.read_npz(path), str(path)) for name, path in sets.items()}
    for one, other in combinations(sets, 2):
        shared = np.intersect1d(loaded[one][0], loaded[other][0])
        if len(shared):
            raise PipelineError(
                f"{len(shared)} faces are both in {sets[one]} and in {sets[other]} (first: {shared[0]}): the false alarm rate "
                "would not hold; take them out of one of the lists"
            )
    return {name: mixture.anomaly_score(features) for name, (_, features) in loaded.items()}


def _metrics(threshold: dict[str, Any], scores: dict[str, np.ndarray]) -> dict[str, Any]:
    """What was chosen, what is promised, and what the test photographs say; `scores` of fit, calibration, test, each (n,)."""
    rate, n, m = threshold["false_alarm_rate"], threshold["calibration_faces"], len(scores["test"])
    paper_alarms = int((scores["test"] > threshold["paper_protocol"]["threshold"]).sum())
    return {
        "chosen_false_alarm_rate": rate,
        "threshold": threshold["threshold"],
        "calibration_faces": n,
        "guarantee_95": calibration.guarantee(n, rate, 0.95),
        "test": _test_metrics(scores["test"], threshold["threshold"], n, rate),
        # Photographs against photographs, neither seen by the mixture: 0.5, up to this standard error under no difference.
        "real_against_real_auc": roc_auc(scores["calibration"], scores["test"]),
        "real_against_real_auc_standard_error": float(np.sqrt((n + m + 1) / (12 * n * m))),
        "paper_protocol": {
            "threshold": threshold["paper_protocol"]["threshold"],
            "false_alarms": paper_alarms,
            "false_alarm_rate": paper_alarms / m,
        },
    }


def _test_metrics(test_scores: np.ndarray, threshold: float, calibration_faces: int, rate: float) -> dict[str, Any]:
    """The achieved false alarm rate (scores (m,)), and whether it is compatible with the chosen one; ranges are of the rate.

    `binomial_99`: as if the threshold met the chosen rate exactly. `beta_binomial_99`: also counts that the threshold
    rests on `calibration_faces` photographs only. `clopper_pearson_95`: what the test photographs alone say.
    """
    m = len(test_scores)
    alarms = int((test_scores > threshold).sum())
    ranges = {
        "binomial_99": calibration.binomial_range(m, rate, 0.99),
        "beta_binomial_99": calibration.beta_binomial_range(m, calibration_faces, rate, 0.99),
    }
    low, high = calibration.binomial_interval(alarms, m, 0.95)
    metrics: dict[str, Any] = {"test_faces": m, "false_alarms": alarms, "false_alarm_rate": alarms / m}
    for name, (fewest, most) in ranges.items():
        metrics[name] = {"low": fewest / m, "high": most / m, "within": fewest <= alarms <= most}
    return {**metrics, "clopper_pearson_95": {"low": low, "high": high}}


def _show(metrics: dict[str, Any]) -> None:
    test, paper = metrics["test"], metrics["paper_protocol"]
    rows = [
        {"threshold from": "calibration photographs", "threshold": metrics["threshold"], **_rates(metrics, test)},
        {"threshold from": "fit photographs (paper_protocol)", "threshold": paper["threshold"], **_rates(metrics, paper)},
    ]
    console.table(rows, f"False alarms on {test['test_faces']:,} test photographs")
    print(f"real-against-real AUC {metrics['real_against_real_auc']:.3f}")
    if not test["beta_binomial_99"]["within"]:
        print("warning: the false alarm rate on test photographs is outside its 99 % range: the two photographic sets differ")


def _rates(metrics: dict[str, Any], achieved: dict[str, Any]) -> dict[str, float]:
    return {"chosen": metrics["chosen_false_alarm_rate"], "achieved": achieved["false_alarm_rate"]}


if __name__ == "__main__":
    console.run(main)
