"""What the stages write that ask how far the results can be trusted, from normal scores instead of
faces.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.stats import binomtest

from pipeline.base.perturbation_names import parse
from pipeline.common import artifacts
from pipeline.common.contact_sheet import contact_sheet

HEADS = ("iso", "f_number", "exposure_time_s", "focal_length_mm", "manipulation")
PERTURBATIONS = ("jpeg_95", "jpeg_75", "jpeg_40", "webp_80", "resize_0.75", "resize_0.5", "blur_0.5", "blur_1", "blur_2",
                 "noise_2", "noise_5", "crop_0.9", "double_jpeg_75")  # fmt: skip
Scores = Mapping[str, np.ndarray]


def auc(photographic, generated):
    """Share of pairs in the right order, ties counting half."""
    below = np.sign(generated[:, None] - photographic[None, :])
    return float((below.mean() + 1) / 2)


def ranged(value, n, key="value"):
    """A share with an interval that looks like one."""
    half = 1.96 * np.sqrt(max(value * (1 - value), 0.002) / n)
    return {key: value, "low": max(0.0, value - half), "high": min(1.0, value + half)}


def counted(scores, threshold, key):
    """Share above the threshold with its exact interval."""
    interval = binomtest(int((scores > threshold).sum()), len(scores)).proportion_ci(method="exact")
    return {
        key: float((scores > threshold).mean()),
        "low": float(interval.low),
        "high": float(interval.high),
    }


def write_robustness(metrics, perturbations, scores: Scores, thresholds: Mapping[str, float]):
    """What robustness writes: the stronger, the higher all scores."""
    test, *_ = scores.values()
    contents: dict[str, Any] = {}
    for i, name in enumerate(perturbations):
        kind, strength = parse(name)
        shift = 1.5 + 2 * (i % 4) if kind != "crop" else -6
        moved = {g: s + shift for g, s in scores.items()}
        generators = [g for g in scores if g != "photographic_test"]
        content: dict[str, Any] = {"kind": kind, "strength": strength, "photographs": {"faces": len(test)},
                   "generators": {}, "mean": {}}  # fmt: skip
        for key, threshold in thresholds.items():
            content["photographs"][key] = _both(
                "false_alarm_rate", threshold, test, moved["photographic_test"]
            )
        for g in generators:
            n = len(scores[g])
            states = {
                "clean": (test, scores[g]),
                "perturbed": (moved["photographic_test"], moved[g]),
            }
            found = {
                "faces": n,
                "auc": {state: ranged(auc(*both), n) for state, both in states.items()},
            }
            found |= {
                key: _both("detection_rate", threshold, scores[g], moved[g])
                for key, threshold in thresholds.items()
            }
            content["generators"][g] = found
        content["mean"] = _means(content["generators"], thresholds)
        contents[name] = content
    artifacts.write_json(metrics / "robustness.json", contents)


def _both(measure, threshold, clean, perturbed):
    return {
        "clean": counted(clean, threshold, measure),
        "perturbed": counted(perturbed, threshold, measure),
    }


def _means(generators, thresholds):
    measures = {"auc": "value", **dict.fromkeys(thresholds, "detection_rate")}
    return {
        part: {
            state: float(np.mean([g[part][state][key] for g in generators.values()]))
            for state in ("clean", "perturbed")
        }
        for part, key in measures.items()
    }


def write_confounds(path, scores: Scores, threshold, warnings):
    """What confounds writes: photographs as JPEG, generators as PNG."""
    test, generated = (
        scores["photographic_test"],
        {g: s for g, s in scores.items() if g != "photographic_test"},
    )
    sets = ("photographic_fit", "photographic_calibration", *scores)
    metadata = {g: {"as_found": ranged(0.95 if warnings else 0.55, 300, "auc"), "harmonised": ranged(0.5, 300, "auc")}
                for g in generated}  # fmt: skip
    state: Callable = lambda make: {"as_found": make(0), "harmonised": make(2)}  # noqa: E731
    parts = {
        g: {
            "auc": state(lambda down, s=s: ranged(auc(test, s - down), len(s))),
            "detection_rate": state(lambda down, s=s: counted(s - down, threshold, "value")),
        }
        for g, s in generated.items()
    }
    mean = {part: state(lambda down, part=part: float(np.mean([p[part]["harmonised" if down else "as_found"]["value"]
            for p in parts.values()]))) for part in ("auc", "detection_rate")}  # fmt: skip
    content = {
        "sets": {name: _files(name in generated, 700 + 10 * i) for i, name in enumerate(sets)},
        "metadata_classifier": {"columns": ["width", "height", "jpeg_quality", "format"], "generators": metadata,
                                "worst": 0.95 if warnings else 0.55},
        "bytes_per_pixel_auc": {g: {"as_found": 0.7, "harmonised": 0.66} for g in generated},
        "harmonised": {"side": 88, "kernel": "bicubic", "jpeg_quality": 90, "fit_faces": 700, "calibration_faces": 300,
                       "faces": {name: len(s) for name, s in scores.items()}, "generators": parts,
                       "mean": mean, "warnings": [],
                       "false_alarm_rate": state(lambda down: counted(test - down, threshold, "value"))},
        "warnings": warnings,
        "not_computed": {},
    }  # fmt: skip
    artifacts.write_json(path, content)


def _files(png, faces):
    sizes = {"88x88": faces} if png else {"88x88": faces - 40, "96x88": 30, "other": 10}
    quality = None if png else {"files": faces, "min": 75, "median": 90, "max": 98}
    return {"faces": faces, "formats": {"PNG" if png else "JPEG": faces}, "sizes": sizes, "jpeg_quality": quality,
            "width": {"min": 88, "median": 88, "max": 88 if png else 96}, "height": {"min": 88, "median": 88, "max": 88},
            "chroma_subsampling": {} if png else {"4:2:0": faces}, "with_exif": 0 if png else faces,
            "bytes_per_pixel": 2.4 if png else 0.8, "unreadable_headers": {}}  # fmt: skip


def write_controls(path, generators, suspicious):
    """What controls writes; `suspicious` is the one that came out too high, or None."""
    names = {
        "real_against_real": ("photographs against photographs", 0.502, "near 0.5"),
        "random_weights": ("random weights", 0.58, "well below the detector"),
        "exif_heads": ("EXIF heads only", 0.71, "below the detector"),
        "manipulation_head": ("manipulation head only", 0.66, "below the detector"),
        "shuffled_exif": ("shuffled EXIF tags", 0.61, "well below the detector"),
        "metadata_as_found": ("file metadata, as found", 0.55, "near 0.5"),
        "metadata_harmonised": ("file metadata, harmonised", 0.5, "0.5 by construction"),
        "file_size_as_found": ("bytes per pixel, as found", 0.7, "below the detector"),
        "file_size_harmonised": ("bytes per pixel, harmonised", 0.66, "below the detector"),
    }
    controls = [
        {"name": name, "title": title, **ranged(value + 0.3 * (name == suspicious), 300, "auc"), "expected": expected,
         "generators": {} if name == "real_against_real" else dict.fromkeys(generators, value), "faces": 300,
         "if_high": "The detector would tell sets of files apart instead of generated from photographic faces.",
         "suspicious": name == suspicious, "detail": f"as the detector, but {title}", "rule": "suspicious above 0.6",
         "left_out": {}}
        for name, (title, value, expected) in names.items()
    ]  # fmt: skip
    mine = {**ranged(0.78, 300, "auc"), "faces": 300, "generators": dict.fromkeys(generators, 0.78), "left_out": {},
            "detail": "mixture of all features, fitted anew", "committed": {"auc": 0.791}}  # fmt: skip
    artifacts.write_json(path, {"detector": mine, "controls": controls})


def make_doubtful(metrics, generator):
    """What could not be judged or computed: a rate, a control, an interval of one generator, which
    the controls leave out.
    """

    def change(name, how):
        content = artifacts.read_json(metrics / name)
        how(content)
        artifacts.write_json(metrics / name, content)

    def few_test_photographs(content):
        content["rates"]["at_1_percent"] |= {"verdict": "too few test photographs", "qualifier": ""}
        content["rates"]["at_5_percent"] |= {"qualifier": "more cautious than chosen"}

    def no_interval(content):
        content["low"]["eer"] = content["high"]["eer"] = None
        content["not_computed"] = {
            "interval of eer": "cannot be computed: all resamples agree on 0.5"
        }
        content["cautions"] = [
            "the generated faces show only 7 persons or pictures: intervals are too narrow"
        ]

    def left_out(content):
        for row in (content["detector"], *content["controls"][1:]):
            row["left_out"] = {
                generator: "one face: a single group does not show how much groups differ"
            }
            del row["generators"][generator]
        content["controls"][1] |= {
            "suspicious": None,
            "low": None,
            "high": None,
            "detail": "not judged: no interval",
        }
        content["controls"][7]["auc"] = 0.81  # file sizes, higher than the detector

    change("calibration.json", few_test_photographs)
    change(f"generators/{generator}.json", no_interval)
    change("controls.json", left_out)
    change(
        "confounds.json",
        lambda content: content["harmonised"].update(warnings=["harmonised: EM did not converge"]),
    )


def write_projection(path, sets):
    """A cloud per face set."""
    rng = np.random.default_rng(3)
    points = np.concatenate(
        [rng.normal(i % 4, 1 + (i > 0) / 2, (60, 2)) for i, _ in enumerate(sets)]
    )
    columns = {
        "set": [name for name in sets for _ in range(60)],
        "x": points[:, 0].tolist(),
        "y": points[:, 1].tolist(),
    }
    artifacts.write_csv(path, columns)


def write_explanations(folder, generators):
    """What explain writes: a sheet and three faces of each generator."""
    faces = [
        {"name": f"data/x/{i:05d}.png", "anomaly_score": 80.2 - i, "p_value": 0.0021 * (i + 1), "verdict": "flag",
         "head_z": {head: round(-2.5 + k, 2) for k, head in enumerate(HEADS)}, "deviating_head": "iso",
         "nearest": [{"name": f"data/train/{i}_1.png", "distance": 3.25}],
         "covered": {"largest_drop": 12.5, "where": "upper left"}}
        for i in range(3)
    ]  # fmt: skip
    for name in generators:
        contact_sheet(
            [[np.full((88, 88, 3), 90 + 40 * i, np.uint8)] * 5 for i in range(3)],
            None,
            folder / f"{name}.png",
        )
    artifacts.write_json(folder / "faces.json", dict.fromkeys(generators, faces))


def write_selection(metrics, components=(1, 2, 4, 8), kinds=("full", "diag"), sizes=(6, 16, 64)):
    """What select_mixture writes; the largest full mixture could not be fitted."""
    rows = [(k, kind, d) for d in sizes for kind in kinds for k in components]
    names = ("components", "covariance_type", "pca_components", "parameters", "n_over_k_d", "bic", "held_out_log_likelihood",
             "held_out_standard_error")  # fmt: skip
    table = []
    for k, kind, d in rows:
        fitted = (k, kind, d) != (8, "full", 64)
        bic, likelihood = (
            30000.0 + k * d,
            -3.0 * d - abs(k - 2) * d / 20 - (kind == "diag") * d / 10,
        )
        values = (k * d * 10, 700 / (k * d), bic, likelihood, 0.05 * d) if fitted else (None,) * 5
        table.append(dict(zip(names, (k, kind, d, *values), strict=True)))
    artifacts.write_csv(
        metrics / "mixture_selection.csv", {name: [row[name] for row in table] for name in names}
    )
    content: dict[str, Any] = {"faces": 700 if rows else 0, "people": 350 if rows else 0, "folds": 3,
               "current": table[1] if rows else None,
               "best": table[1] if rows else None, "not_fitted": [], "advice": ["Not run: no components."]}  # fmt: skip
    if rows:
        content["not_fitted"] = [
            {
                "components": 8,
                "covariance_type": "full",
                "pca_components": 64,
                "reason": "too few faces",
            }
        ]
        content["advice"] = [
            "58 photographs per component and dimension: enough.",
            "The mixture in use is the best of its size.",
        ]
    artifacts.write_json(metrics / "mixture_selection.json", content)
