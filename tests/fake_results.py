"""A metrics folder as the stages write it, from normal scores instead of faces; for the tests of
the report.
"""

import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta, binom, binomtest
from sklearn.metrics import average_precision_score, roc_curve

from pipeline.common import artifacts
from tests import fake_checks
from tests.fake_background import write_background, write_counts, write_sheet
from tests.fake_checks import PERTURBATIONS, auc, ranged

SHIFTS = {
    "sim_upsampling": 22,
    "sim_vector_quantised": 45,
    "sim_latent": 18,
    "sim_denoised": 60,
    "sim_asymmetric": 4,
    "sim_rolloff": 30,
}
RATES = {"at_1_percent": 0.01, "at_5_percent": 0.05}
SIZE_COLUMNS = (
    "rate",
    "faces",
    "guarantee_low",
    "guarantee_high",
    "measured_mean",
    "measured_low",
    "measured_high",
)
PARAMS = """
seed: 1
launcher: python
data: {root: data/sample, person_pattern: '^([^_]+)_'}
simulation: {photographs: 4000, portraits: 2000, generated: 300, bad_share: 0.03}
exif: {iso: [6, 409600], f_number: [0.7, 64], exposure_time_s: [0.00003125, 60], focal_length_mm: [1, 2000]}
split: {validation: 0.12, calibration: 0.4}
manipulation: {source: generate, warp_sigma: [0.04, 0.05], blend_ratios: [0.75, 1, 1, 1]}
pretext: {architecture: resnet18, feature_dim: 256, start: none, input_size: 96, face_scale: 1.3, antialias: true,
  photograph_probability: 0.5, epochs: 8, batch_size: 64, learning_rate: 1e-3, betas: [0.9, 0.98], epsilon: 1e-6,
  weight_decay: 1e-4, schedule_epochs: 8, minimum_learning_rate: 1e-7, device: auto, precision: float32,
  channels_last: true, compile: false}
features: {resize: bilinear, antialias: true, batch_size: 64, device: auto, precision: float32,
  maximum_unreadable_share: 0.01, maximum_fit_faces: 25000,
  maximum_faces: 5000}
gmm: {components: 2, covariance_type: full, standardise: true, pca_components: 32, regularisation: 1e-6,
  maximum_iterations: 200, tolerance: 1e-3, starts: 1, device: auto}
calibration: {false_alarm_rates: [0.01, 0.05], review_rate: 0.05, flag_rate: 0.01, curve_draws: 50}
evaluation: {histogram_bins: 40, faces_shown: 8}
bootstrap: {resamples: 200}
selection: {components: [1, 2, 4, 8], covariance_types: [full, diag], pca_components: [6, 16, 64], folds: 3}
robustness: {faces: 150}
harmonisation: {side: 88, kernel: bicubic, jpeg_quality: 90}
controls: {fit_faces: 1000, faces: 300}
shuffled: {epochs: 1}
explanation: {projected_faces: 60, faces: 3, neighbours: 3, patch: 16}
generators: [%s]
perturbations: [%s]
"""


def build(
    folder: Path,
    shifts: dict[str, int] = SHIFTS,
    *,
    faces: int = 300,
    rates: dict[str, float] = RATES,
    perturbations: Sequence[str] = PERTURBATIONS,
    suspicious: str | None = "metadata_as_found",
) -> list[str]:
    """Write params.yaml, metrics/ and data/explanations for generators (name to mean shift);
    returns a command line.

    suspicious: the control that came out too high; with one, much else is in doubt too
    (`make_doubtful`)."""
    made = _made(
        tuple(shifts.items()), faces, tuple(rates.items()), tuple(perturbations), suspicious
    )
    shutil.copytree(made.name, folder, dirs_exist_ok=True)
    return command()


@cache
def _made(
    named: tuple[Any, ...],
    faces: int,
    rated: tuple[Any, ...],
    perturbations: tuple[str, ...],
    suspicious: str | None,
):
    """The folder to copy, removed at the end: to compute and draw it anew for each test would take
    far longer.
    """
    made, shifts, rates = tempfile.TemporaryDirectory(), dict(named), dict(rated)
    folder = Path(made.name)
    rng = np.random.default_rng(7)
    scores = {
        name: 40 + 8 * rng.normal(size=n)
        for name, n in (("fit", 700), ("calibration", 480), ("test", 400))
    }
    thresholds = {
        key: float(np.sort(scores["calibration"])[int(np.ceil(481 * (1 - r))) - 1])
        for key, r in rates.items()
    }
    paper = float(np.quantile(scores["fit"] - 4, 0.95))
    metrics = folder / "metrics"
    (folder / "params.yaml").write_text(
        PARAMS.strip() % (", ".join(shifts), ", ".join(perturbations))
    )
    write_background(metrics, list(shifts))
    write_calibration(metrics, scores, thresholds, paper, rates)
    for name, n in (
        ("photographic_fit", 700),
        ("photographic_calibration", 480),
        ("photographic_test", 400),
    ):
        write_counts(metrics, name, "data/train.txt", n)
    generated = {
        name: 40 + shift + (8 + shift / 4) * rng.normal(size=faces)
        for name, shift in shifts.items()
    }
    for name, values in generated.items():
        write_generator(
            metrics, name, scores["test"], values, {**thresholds, "paper_protocol": paper}
        )
        write_counts(metrics, name, f"data/{name}", faces)
    write_evaluation(metrics, shifts)
    sets = {"photographic_test": scores["test"], **generated}
    fake_checks.write_robustness(metrics, perturbations, sets, thresholds)
    warnings = (
        ["The metadata of the files tell the classes apart (AUC 0.95)."]
        if suspicious == "metadata_as_found"
        else []
    )
    fake_checks.write_confounds(
        metrics / "confounds.json", sets, thresholds["at_5_percent"], warnings
    )
    fake_checks.write_controls(metrics / "controls.json", list(shifts), suspicious)
    fake_checks.write_projection(metrics / "projection.csv", list(sets))
    fake_checks.write_explanations(folder / "data/explanations", list(shifts))
    fake_checks.write_selection(metrics)
    if suspicious:
        fake_checks.make_doubtful(metrics, list(shifts)[-1])
    return made


def command(root: str = "data/sample") -> list[str]:
    """The stage's command line, with paths relative to the folder that was built."""
    json = (
        "exif",
        "manipulations",
        "pretext",
        "gmm",
        "calibration",
        "evaluation",
        "confounds",
        "controls",
        "robustness",
    )
    parts = {name: f"metrics/{name}.json" for name in json}
    parts |= {
        "tags": "metrics/exif_tags.csv",
        "history": "metrics/pretext_history.csv",
        "pictures": "metrics/faces",
    }
    parts |= {
        name: f"metrics/{name}"
        for name in ("features", "generators", "roc", "histograms", "perturbed")
    }
    parts |= {
        "selection": "metrics/mixture_selection.json",
        "selection-table": "metrics/mixture_selection.csv",
    }
    parts |= {
        "calibration-sizes": "metrics/calibration_size.csv",
        "projection": "metrics/projection.csv",
    }
    parts |= {
        "explanations": "data/explanations",
        "figure": "metrics/overview.png",
        "root": root,
        "output": "data/report",
    }
    return [
        *(text for name, path in parts.items() for text in (f"--{name}", path)),
        *("--sheets", "metrics/sample.png", "metrics/manipulations.png"),
    ]


def measured(photographic, generated, thresholds):
    """The measures of metrics/generators/<g>.json without intervals."""
    labels = np.repeat([0, 1], [len(photographic), len(generated)])
    both = np.concatenate([photographic, generated])
    false, true, _ = roc_curve(labels, both)
    values: dict[str, Any] = {
        "auc": auc(photographic, generated),
        "eer": float(np.min(np.maximum(false, 1 - true))),
    }
    values["ap_generated"] = float(average_precision_score(labels, both))
    values["ap_photographic"] = float(average_precision_score(1 - labels, -both))
    for key, threshold in thresholds.items():
        alarms, found = (
            float((photographic > threshold).mean()),
            float((generated > threshold).mean()),
        )
        right = (1 - alarms) * len(photographic) + found * len(generated)
        values[key] = {"accuracy": right / len(both), "balanced_accuracy": (1 - alarms + found) / 2,
                       "false_alarm_rate": alarms, "detection_rate": found}  # fmt: skip
    return values


def around(values, end):
    """The low or the high ends of intervals that look like some."""
    return {
        key: around(v, end) if isinstance(v, dict) else ranged(v, 200)[end]
        for key, v in values.items()
    }


def write_generator(metrics, name, photographic, generated, thresholds):
    """What evaluate writes, except for what is cached."""
    values = measured(photographic, generated, thresholds)
    flagged, alarms = (
        int((generated > thresholds[key]).sum()) for key in ("at_1_percent", "at_5_percent")
    )
    content = {
        "generator": name,
        "photographic_faces": len(photographic),
        "generated_faces": len(generated),
        "photographic_groups": len(photographic) // 2,
        "generated_groups": len(generated),
        "photographic_list_sha256": "0" * 64,
        "values": values,
        "low": around(values, "low"),
        "high": around(values, "high"),
        "verdicts": {"pass": len(generated) - alarms, "review": alarms - flagged, "flag": flagged},
        "head_z": {
            head: float(i - 2 + generated.mean() / 60) for i, head in enumerate(fake_checks.HEADS)
        },
        "not_computed": {},
        "cautions": [],
    }
    artifacts.write_json(metrics / "generators" / f"{name}.json", content)
    labels = np.repeat([0, 1], [len(photographic), len(generated)])
    false, true, _ = roc_curve(labels, np.concatenate([photographic, generated]))
    artifacts.write_csv(
        metrics / "roc" / f"{name}.csv", {"fpr": false.tolist(), "tpr": true.tolist()}
    )
    edges = np.linspace(10, 110, 41)
    shares = [
        np.histogram(np.clip(s, 10, 110), edges)[0] / len(s) for s in (photographic, generated)
    ]
    columns = {"anomaly_score": (edges[:-1] + edges[1:]) / 2, "low": edges[:-1], "high": edges[1:]}
    columns |= {"photographic": shares[0], "generated": shares[1]}
    artifacts.write_csv(
        metrics / "histograms" / f"{name}.csv",
        {key: value.tolist() for key, value in columns.items()},
    )
    write_sheet(metrics / "faces" / f"{name}.png", ["most anomalous", "least anomalous"])


def write_evaluation(metrics, names):
    """What aggregate writes."""
    table = {}
    for name in names:
        found = artifacts.read_json(metrics / "generators" / f"{name}.json")
        row = dict(found["values"])
        row |= {f"auc_{end}": found[end]["auc"] for end in ("low", "high")}
        for key in RATES:
            row[key] = {
                **row[key],
                **{
                    f"detection_rate_{end}": found[end][key]["detection_rate"]
                    for end in ("low", "high")
                },
            }
        table[name] = row
    first, worst = next(iter(table.values())), min(table, key=lambda name: table[name]["auc"])
    mean = {
        key: {k: float(np.mean([row[key][k] for row in table.values()])) for k in value}
        if isinstance(value, dict)
        else float(np.mean([row[key] for row in table.values()]))
        for key, value in first.items()
    }
    of_worst = {
        "generator": worst,
        **{key: table[worst][key] for key in ("auc", "auc_low", "auc_high")},
    }
    artifacts.write_json(metrics / "evaluation.json", {**table, "mean": mean, "worst": of_worst})


def write_calibration(metrics, scores, thresholds, paper, rates):
    """What calibrate writes."""
    n, m = len(scores["calibration"]), len(scores["test"])
    found = {}
    sizes: dict[str, list[Any]] = {name: [] for name in SIZE_COLUMNS}
    for key, rate in rates.items():
        alarms = int((scores["test"] > thresholds[key]).sum())
        exact = binomtest(alarms, m).proportion_ci(0.95, method="exact")
        holds = exact.low <= rate
        found[key] = {"chosen": rate, "threshold": thresholds[key], "guarantee_95": guarantee(n, rate), "false_alarms": alarms,
                      "false_alarm_rate": alarms / m, "exact_95": {"low": float(exact.low), "high": float(exact.high)},
                      "beta_binomial_99": {**dict(zip(("low", "high"), (binom.interval(0.99, m, rate) / np.array(m)).tolist(),
                                                      strict=True)), "within": holds},
                      "verdict": "holds" if holds else "does not hold", "qualifier": "" if holds else "other photographs",
                      "reason": f"{alarms} of {m} test photographs are above",
                      "photographs_needed": round(19 / rate)}  # fmt: skip
        for size in (100, 200, n, 1000, 10000):
            law, seen = guarantee(size, rate), size <= n
            measured_ends = [rate, rate / 2, 2 * rate] if seen else [None] * 3
            for name, value in zip(
                SIZE_COLUMNS, (rate, size, law["low"], law["high"], *measured_ends), strict=True
            ):
                sizes[name].append(value)
    paper_alarms = int((scores["test"] > paper).sum())
    content = {
        "calibration_faces": n,
        "calibration_people": n // 2,
        "test_faces": m,
        "test_people_known": 0,
        "review": "at_5_percent",
        "flag": "at_1_percent",
        "rates": found,
        "real_against_real_auc": auc(scores["calibration"], scores["test"]),
        "real_against_real_auc_standard_error": float(np.sqrt((n + m + 1) / (12 * n * m))),
        "paper_protocol": {
            "threshold": paper,
            "false_alarms": paper_alarms,
            "false_alarm_rate": paper_alarms / m,
        },
    }
    artifacts.write_json(metrics / "calibration.json", content)
    artifacts.write_csv(metrics / "calibration_size.csv", sizes)


def guarantee(n, rate):
    """Where the true rate lies with n calibration photographs."""
    law = beta(max(1, int((n + 1) * rate)), n + 1 - max(1, int((n + 1) * rate)))
    return {"mean": float(law.mean()), "low": float(law.ppf(0.025)), "high": float(law.ppf(0.975))}
