"""A metrics folder as the stages write it, from normal scores instead of faces; for the tests of the report."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline import artifacts, calibration, evaluation
from pipeline.plots import contact_sheet

SHIFTS = {
    "sim_upsampling": 22,
    "sim_vector_quantised": 45,
    "sim_latent": 18,
    "sim_denoised": 60,
    "sim_asymmetric": 4,
    "sim_rolloff": 30,
}
HEADS = ("iso", "f_number", "exposure_time", "focal_length")
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
calibration: {false_alarm_rate: 0.05}
evaluation: {histogram_bins: 40, faces_shown: 8}
generators: [%s]
"""


def build(folder: Path, shifts: dict[str, int] = SHIFTS, *, faces: int = 300, rate: float = 0.05) -> list[str]:
    """Write params.yaml and metrics/ for the given generators (name to mean shift of the score); returns a command line."""
    rng = np.random.default_rng(7)
    scores = {name: 40 + 8 * rng.normal(size=n) for name, n in (("fit", 700), ("calibration", 480), ("test", 400))}
    threshold = calibration.conformal_threshold(scores["calibration"], rate)
    paper = calibration.paper_protocol_threshold(scores["fit"] - 4, rate)
    metrics = folder / "metrics"
    (folder / "params.yaml").write_text(PARAMS.strip() % ", ".join(shifts))
    write_background(metrics)
    write_calibration(metrics / "calibration.json", scores, threshold, paper, rate)
    for name, n in (("photographic_fit", 700), ("photographic_calibration", 480), ("photographic_test", 400)):
        write_counts(metrics, name, "data/train.txt", n)
    for name, shift in shifts.items():
        generated = 40 + shift + (8 + shift / 4) * rng.normal(size=faces)
        write_generator(metrics, name, scores["test"], generated, (threshold, paper))
        write_counts(metrics, name, f"data/{name}", faces)
    return command()


def command(root: str = "data/sample") -> list[str]:
    """The stage's command line, with paths relative to the folder that was built."""
    json = ("exif", "manipulations", "pretext", "gmm", "calibration")
    parts = {name: f"metrics/{name}.json" for name in json}
    parts |= {"tags": "metrics/exif_tags.csv", "history": "metrics/pretext_history.csv", "pictures": "metrics/faces"}
    parts |= {name: f"metrics/{name}" for name in ("features", "generators", "roc", "histograms")}
    parts |= {"evaluation": "metrics/evaluation.json", "roc-all": "metrics/roc_all.csv", "figure": "metrics/overview.png"}
    parts |= {"root": root, "output": "data/report"}
    return [
        *(text for name, path in parts.items() for text in (f"--{name}", path)),
        *("--sheets", "metrics/sample.png", "metrics/manipulations.png"),
    ]


def write_generator(metrics, name, photographic, generated, thresholds):
    """What evaluate writes, except for the table of scores."""
    ap_generated, ap_photographic = evaluation.average_precisions(photographic, generated)
    ours, paper = (evaluation.at_threshold(photographic, generated, threshold) for threshold in thresholds)
    content = {
        "generator": name,
        "photographic_faces": len(photographic),
        "generated_faces": len(generated),
        "photographic_list_sha256": "0" * 64,
        "auc": evaluation.roc_auc(photographic, generated),
        "ap_generated": ap_generated,
        "ap_photographic": ap_photographic,
        **ours,
        "paper_protocol": paper,
    }
    artifacts.write_json(metrics / "generators" / f"{name}.json", content)
    false_alarms, detections = evaluation.roc_curve(photographic, generated)
    artifacts.write_csv(metrics / "roc" / f"{name}.csv", {"fpr": false_alarms.tolist(), "tpr": detections.tolist()})
    columns = evaluation.histogram(photographic, generated, 40)
    artifacts.write_csv(metrics / "histograms" / f"{name}.csv", {key: value.tolist() for key, value in columns.items()})
    write_sheet(metrics / "faces" / f"{name}.png", ["most anomalous", "least anomalous"])


def write_sheet(path, titles):
    """A contact sheet of plain colours."""
    shades = np.random.default_rng(len(titles)).integers(60, 200, (len(titles), 8, 3))
    rows = [[np.full((100, 100, 3), shade, np.uint8) for shade in row] for row in shades]
    contact_sheet(rows, None, path, titles)


def write_counts(metrics, name, source, n):
    """What extract_features writes."""
    unreadable = {"truncated": 2} if name == "photographic_test" else {}
    content = {"set": name, "source": source, "listed": n + len(unreadable) * 2, "chosen": n + len(unreadable) * 2}
    artifacts.write_json(metrics / "features" / f"{name}.json", {**content, "readable": n, "unreadable": unreadable})


def write_calibration(path, scores, threshold, paper, rate):
    """What calibrate writes."""
    n, m = len(scores["calibration"]), len(scores["test"])
    alarms = int((scores["test"] > threshold).sum())
    paper_alarms = int((scores["test"] > paper).sum())
    ranges = {
        "binomial_99": calibration.binomial_range(m, rate, 0.99),
        "beta_binomial_99": calibration.beta_binomial_range(m, n, rate, 0.99),
    }
    low, high = calibration.binomial_interval(alarms, m, 0.95)
    test: dict[str, Any] = {name: {"low": a / m, "high": b / m, "within": a <= alarms <= b} for name, (a, b) in ranges.items()}
    test |= {"test_faces": m, "false_alarms": alarms, "false_alarm_rate": alarms / m}
    content = {
        "chosen_false_alarm_rate": rate,
        "threshold": threshold,
        "calibration_faces": n,
        "guarantee_95": calibration.guarantee(n, rate, 0.95),
        "test": {**test, "clopper_pearson_95": {"low": low, "high": high}},
        "real_against_real_auc": evaluation.roc_auc(scores["calibration"], scores["test"]),
        "real_against_real_auc_standard_error": float(np.sqrt((n + m + 1) / (12 * n * m))),
        "paper_protocol": {"threshold": paper, "false_alarms": paper_alarms, "false_alarm_rate": paper_alarms / m},
    }
    artifacts.write_json(path, content)


def write_background(metrics):
    """What filter_exif, manipulate_faces, train_pretext and fit_gmm write."""
    reasons = {"iso_missing": 24, "f_number_empty": 15, "picture_truncated": 21}
    exif = {"records": 4000, "kept": 3940, "rejected": 60, "reasons": reasons, "photographs": 3940, "authors": 1259}
    splits = {"train": 3440, "validation": 500}
    artifacts.write_json(metrics / "exif.json", {**exif, "splits": splits, "tied_pairs_share": {"iso": 0.07}})
    write_tags(metrics / "exif_tags.csv")
    manipulations = {
        "faces": 3940,
        "manipulated": 15760,
        "operations": dict.fromkeys(("eye_mirrored", "face_warped", "mouth_mirrored", "mouth_turned"), 3940),
        "unusable_landmarks": {"eyes_too_close": 3},
        "mouth_location_error_px": {"faces": 120, "median": 1.9, "p90": 3.4},
    }
    artifacts.write_json(metrics / "manipulations.json", manipulations)
    write_pretext(metrics)
    gmm = {"components": 2, "covariance_type": "full", "features": 256, "dimensions": 32, "faces": 700, "held_out_faces": 480}
    gmm |= {"n_over_k_d": 10.9, "converged": True, "iterations": 14, "log_likelihood_fit": -38.2, "held_out_drop": 3.1}
    gmm |= {"log_likelihood_held_out": -41.3, "paper_protocol_false_alarm_rate_held_out": 0.092, "warnings": []}
    artifacts.write_json(metrics / "gmm.json", gmm)
    write_sheet(metrics / "sample.png", ["photographs", "portraits", *SHIFTS])
    write_sheet(metrics / "manipulations.png", [""] * 5)


def write_pretext(metrics):
    """What train_pretext writes: eight epochs that get better."""
    names = (*HEADS, "manipulation", "total")
    epochs = np.arange(1, 9)
    falling = np.exp(-epochs / 4)
    columns = {"epoch": epochs.tolist(), "learning_rate": (1e-3 * falling).tolist()}
    for i, name in enumerate(names):
        scale = 5 if name == "total" else 1
        columns[f"train_loss_{name}"] = (scale * (0.03 + 0.02 * i + 0.2 * falling)).tolist()
        columns[f"held_out_loss_{name}"] = (scale * (0.08 + 0.02 * i + 0.15 * falling)).tolist()
    for i, name in enumerate((*HEADS, "mean")):
        columns[f"ranking_accuracy_{name}"] = (0.95 - 0.04 * i - 0.35 * falling).tolist()
    columns["manipulation_auc"] = (0.92 - 0.4 * falling).tolist()
    artifacts.write_csv(metrics / "pretext_history.csv", columns)
    losses = {kind: {name: columns[f"{kind}_loss_{name}"][-1] for name in names} for kind in ("train", "held_out")}
    pretext = {
        "ranking_accuracy": {name: columns[f"ranking_accuracy_{name}"][-1] for name in (*HEADS, "mean")},
        "manipulation_auc": columns["manipulation_auc"][-1],
        "losses": losses,
        "not_computed": {},
        "epochs": 8,
        "faces": {"train": 3440, "held_out": 500},
    }
    artifacts.write_json(metrics / "pretext.json", pretext)


def write_tags(path):
    """Histograms of the four tags over thirds of a stop."""
    columns: dict[str, list[Any]] = {"tag": [], "value_from": [], "value_to": [], "faces": []}
    starts = {"iso": (90, 19), "f_number": (1.12, 12), "exposure_time_s": (0.0007, 26), "focal_length_mm": (18, 11)}
    for tag, (start, bins) in starts.items():
        edges = start * 2 ** (np.arange(bins + 1) / 3)
        columns["tag"] += [tag] * bins
        columns["value_from"] += edges[:-1].tolist()
        columns["value_to"] += edges[1:].tolist()
        columns["faces"] += np.random.default_rng(bins).integers(20, 400, bins).tolist()
    artifacts.write_csv(path, columns)
