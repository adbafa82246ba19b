"""What the stages before the evaluation write, made up; for the tests of the report."""

from typing import Any

import numpy as np

from pipeline.common import artifacts
from pipeline.common.contact_sheet import contact_sheet

HEADS = ("iso", "f_number", "exposure_time", "focal_length")


def write_sheet(path, titles):
    """A contact sheet of plain colours."""
    shades = np.random.default_rng(len(titles)).integers(60, 200, (len(titles), 8, 3))
    rows = [[np.full((100, 100, 3), shade, np.uint8) for shade in row] for row in shades]
    contact_sheet(rows, None, path, titles)


def write_counts(metrics, name, source, n):
    """What extract_features writes."""
    unreadable = {"truncated": 2} if name == "photographic_test" else {}
    content = {
        "set": name,
        "source": source,
        "listed": n + len(unreadable) * 2,
        "chosen": n + len(unreadable) * 2,
    }
    artifacts.write_json(
        metrics / "features" / f"{name}.json", {**content, "readable": n, "unreadable": unreadable}
    )


def write_background(metrics, generators):
    """What filter_exif, manipulate_faces, train_pretext and fit_gmm write."""
    reasons = {"iso_missing": 24, "f_number_empty": 15, "picture_truncated": 21}
    exif = {
        "records": 4000,
        "kept": 3940,
        "rejected": 60,
        "reasons": reasons,
        "photographs": 3940,
        "authors": 1259,
    }
    splits = {"train": 3440, "validation": 500}
    artifacts.write_json(
        metrics / "exif.json", {**exif, "splits": splits, "tied_pairs_share": {"iso": 0.07}}
    )
    write_tags(metrics / "exif_tags.csv")
    manipulations = {
        "faces": 3940,
        "manipulated": 15760,
        "operations": dict.fromkeys(
            ("eye_mirrored", "face_warped", "mouth_mirrored", "mouth_turned"), 3940
        ),
        "unusable_landmarks": {"eyes_too_close": 3},
        "mouth_location_error_px": {"faces": 120, "median": 1.9, "p90": 3.4},
    }
    artifacts.write_json(metrics / "manipulations.json", manipulations)
    write_pretext(metrics)
    gmm = {
        "components": 2,
        "covariance_type": "full",
        "features": 256,
        "dimensions": 32,
        "faces": 700,
        "held_out_faces": 480,
    }
    gmm |= {
        "n_over_k_d": 10.9,
        "converged": True,
        "iterations": 14,
        "log_likelihood_fit": -38.2,
        "held_out_drop": 3.1,
    }
    gmm |= {
        "log_likelihood_held_out": -41.3,
        "paper_protocol_false_alarm_rate_held_out": 0.092,
        "warnings": [],
    }
    artifacts.write_json(metrics / "gmm.json", gmm)
    write_sheet(metrics / "sample.png", ["photographs", "portraits", *generators])
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
    losses = {
        kind: {name: columns[f"{kind}_loss_{name}"][-1] for name in names}
        for kind in ("train", "held_out")
    }
    pretext = {
        "ranking_accuracy": {
            name: columns[f"ranking_accuracy_{name}"][-1] for name in (*HEADS, "mean")
        },
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
    starts = {
        "iso": (90, 19),
        "f_number": (1.12, 12),
        "exposure_time_s": (0.0007, 26),
        "focal_length_mm": (18, 11),
    }
    for tag, (start, bins) in starts.items():
        edges = start * 2 ** (np.arange(bins + 1) / 3)
        columns["tag"] += [tag] * bins
        columns["value_from"] += edges[:-1].tolist()
        columns["value_to"] += edges[1:].tolist()
        columns["faces"] += np.random.default_rng(bins).integers(20, 400, bins).tolist()
    artifacts.write_csv(path, columns)
