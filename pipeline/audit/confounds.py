"""What file formats alone give away, and the detector's figures without them.

If a classifier that sees no pixel tells generated from photographic files, a detector may have
learnt the same: Grommelt et al. 2024, "Fake or JPEG? Revealing Common Biases in Generated Image
Detection Datasets", arXiv 2403.17608. The size of the files is kept apart: it measures how detailed
the pictures are, which may differ rightly."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.audit.formats import READABLE, Description, UnreadableHeader
from pipeline.common import randomness
from pipeline.density.selection import folds
from pipeline.evaluation.bootstrap import Sample, auc_replicates
from pipeline.evaluation.estimates import Estimate, Estimates, mean, missing, ranged
from pipeline.evaluation.measures import roc_auc

File = Description | UnreadableHeader
COLUMNS = (*READABLE, "jpeg_quality", "chroma_subsampling", "width", "height", "with_exif")
CHROMA = ("4:4:4", "4:4:0", "4:2:2", "4:2:0", "4:1:1", "4:1:0", "uneven", "other")
STATES = ("as_found", "harmonised")
FOLDS = 5
FEWEST_GROUPS = 4  # of a class: two folds with two groups each
TREES = 50
WARNED = 0.6  # AUC of the classifier above which the report warns; below 0.5 it is noise


class Files(NamedTuple):
    """n files of one class, and who or which photograph each shows."""

    files: Sequence[File]
    groups: np.ndarray  # (n,) str


def metadata(files: Sequence[File]) -> np.ndarray:
    """What the classifier sees of files, (n, 8) in the order of COLUMNS; -1 where there is no such
    thing.
    """
    return np.array([_row(file) for file in files], dtype=np.float64).reshape(-1, len(COLUMNS))


def out_of_fold(photographic: Files, generated: Files, *, seed: int) -> list[tuple[Sample, Sample]]:
    """Scores that random forests give to files whose groups they have not seen: both classes of
    each fold.

    Folds are apart, since differently trained forests have no common scale. No fold where a class
    has fewer than FEWEST_GROUPS."""
    from sklearn.ensemble import RandomForestClassifier

    classes = (photographic, generated)
    fewest = min(len(np.unique(one.groups)) for one in classes)
    if fewest < FEWEST_GROUPS:
        return []
    count = min(FOLDS, fewest // 2)
    x, dealt = (
        [metadata(one.files) for one in classes],
        [folds(one.groups, count, seed) for one in classes],
    )
    found = []
    for k in range(count):
        known = [rows[fold != k] for rows, fold in zip(x, dealt, strict=True)]
        forest = RandomForestClassifier(
            TREES,
            min_samples_leaf=5,
            class_weight="balanced",
            random_state=randomness.key(seed, "metadata forest", k) % 2**32,
        ).fit(np.concatenate(known), np.repeat([0, 1], [len(rows) for rows in known]))
        samples = [
            Sample(
                forest.predict_proba(rows[fold == k])[:, 1].round(9), one.groups[fold == k]
            )  # round: equal files are equal
            for rows, fold, one in zip(x, dealt, classes, strict=True)
        ]
        found.append((samples[0], samples[1]))
    return found


def metadata_auc(
    photographic: Files, generated: Files, *, resamples: int, seed: int
) -> tuple[Estimate, str]:
    """How well metadata alone tell the classes: out-of-fold AUC with its bootstrap interval; 0.5,
    or below, is not at all.

    The mean of the folds' AUC by their numbers of pairs; groups are drawn within their fold. None
    where it cannot be computed, then with the reason."""
    parts = out_of_fold(photographic, generated, seed=seed)
    if not parts:
        reason = (
            f"cross-validation needs at least {FEWEST_GROUPS} people or photographs of each class"
        )
        return {"value": None, "low": None, "high": None}, reason
    pairs = [len(n.scores) * len(g.scores) for n, g in parts]
    value = np.average([roc_auc(n.scores, g.scores) for n, g in parts], weights=pairs)
    draws = [
        auc_replicates(n, g, resamples=resamples, seed=randomness.key(seed, "metadata fold", k))
        for k, (n, g) in enumerate(parts)
    ]
    return ranged(float(value), np.average(draws, axis=0, weights=pairs))


def classify(
    photographic: Mapping[str, Files],
    generated: Mapping[str, Mapping[str, Files]],
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """`metadata_classifier`, `bytes_per_pixel_auc`, `warnings` and `not_computed` of
    metrics/confounds.json.

    `photographic` by state, as_found and harmonised; `generated` by generator, then by state.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in generated}
    sizes: dict[str, dict[str, float | None]] = {name: {} for name in generated}
    reasons: dict[str, dict[tuple[str, str], list[str]]] = {state: {} for state in STATES}
    for name, states in generated.items():
        for state in STATES:
            value, reason = metadata_auc(
                photographic[state], states[state], resamples=resamples, seed=seed
            )
            found[name][state] = {"auc": value["value"], "low": value["low"], "high": value["high"]}
            sizes[name][state] = _bytes_per_pixel_auc(
                photographic[state].files, states[state].files
            )
            if reason:
                what = "AUC" if value["value"] is None else "interval of the AUC"
                reasons[state].setdefault(
                    (f"{what} of the classifier of metadata", reason), []
                ).append(name)
    values = [
        one["as_found"]["auc"] for one in found.values() if one["as_found"]["auc"] is not None
    ]
    return {
        "metadata_classifier": {
            "columns": list(COLUMNS),
            "generators": found,
            "worst": max(values, default=None),
        },
        "bytes_per_pixel_auc": sizes,
        "warnings": _warnings(found),
        "not_computed": missing(
            {
                state: {
                    f"{', '.join(names)}: {what}": reason for (what, reason), names in one.items()
                }
                for state, one in reasons.items()
            }
        ),
    }


def side_by_side(
    found: Mapping[str, Estimates], generators: Sequence[str], key: str
) -> dict[str, Any]:
    """The detector's figures at the threshold `key` by state; those of a state that is not in
    `found` are None.
    """
    nothing: Estimate = {"value": None, "low": None, "high": None}

    def both(choose: Any) -> dict[str, Estimate]:
        return {state: choose(found[state]) if state in found else nothing for state in STATES}

    each = {
        name: {
            "auc": both(lambda one, name=name: one.aucs[name]),
            "detection_rate": both(lambda one, name=name: one.detection_rates[name][key]),
        }
        for name in generators
    }
    means = {
        measure: {
            state: mean({name: one[measure][state] for name, one in each.items()})
            for state in STATES
        }
        for measure in ("auc", "detection_rate")
    }
    alarms = both(lambda one: one.false_alarm_rates[key])
    return {"false_alarm_rate": alarms, "generators": each, "mean": means}


def _row(file: File) -> list[float]:
    if isinstance(file, UnreadableHeader):
        return [0.0] * len(READABLE) + [-1.0] * (len(COLUMNS) - len(READABLE))
    formats = [float(file.format == name) for name in READABLE]
    quality = -1 if file.jpeg_quality is None else file.jpeg_quality
    chroma = -1 if file.chroma_subsampling is None else CHROMA.index(file.chroma_subsampling)
    return [*formats, quality, chroma, file.width, file.height, file.has_exif]


def _bytes_per_pixel_auc(photographic: Sequence[File], generated: Sequence[File]) -> float | None:
    """Chance that a generated file has more bytes per pixel than a photographic one."""
    n, g = (
        np.array([file.bytes_per_pixel for file in files if isinstance(file, Description)])
        for files in (photographic, generated)
    )
    return roc_auc(n, g) if len(n) and len(g) else None


def _warnings(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    advice = {
        "as_found": "what is measured as found may be the files; judge by the harmonised figures",
        "harmonised": "harmonisation has left something that tells the files apart; judge by neither",
    }
    return [
        f"{name}, {state.replace('_', ' ')}: format, JPEG quality, chroma subsampling, size in "
        "pixels and EXIF alone tell its "
        f"files from photographs (AUC {one[state]['auc']:.2f}{_range(one[state])}): {advice[state]}"
        for name, one in found.items()
        for state in STATES
        if (one[state]["auc"] or 0) > WARNED
    ]


def _range(one: Mapping[str, Any]) -> str:
    return "" if one["low"] is None else f", 95 % interval {one['low']:.2f} to {one['high']:.2f}"
