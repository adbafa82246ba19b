"""What file formats alone give away, and the detector's figures without them.

If a classifier that sees no pixel tells generated from photographic files, a detector may have
learnt the same: Grommelt et al. 2024, "Fake or JPEG? Revealing Common Biases in Generated Image
Detection Datasets", arXiv 2403.17608. The size of the files is kept apart: it measures how detailed
the pictures are, which may differ rightly.

Tables of files have a row per file: set, name, person, state (as found or harmonised), and the
columns of perturbation.file_formats.FileFormat."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.audit.scoring import TEST, Sets, tested
from pipeline.common import randomness
from pipeline.common.splits import folds
from pipeline.evaluation.bootstrap import Sample, auc_replicates
from pipeline.evaluation.estimates import Estimate, missing, ranged
from pipeline.evaluation.measures import roc_auc

if TYPE_CHECKING:
    import pandas as pd

STATES = ("as_found", "harmonised")
FORMATS = ("PNG", "JPEG", "WEBP")
CHROMA = ("4:4:4", "4:4:0", "4:2:2", "4:2:0", "4:1:1", "4:1:0", "uneven", "other")
COLUMNS = (*FORMATS, "jpeg_quality", "chroma_subsampling", "width", "height", "with_exif")
SIZES_SHOWN = 5
FOLDS = 5
FEWEST_PERSONS = 4  # of a class: two folds with two persons each
TREES = 50
WARNED = 0.6  # AUC of the classifier above which the report warns; below 0.5 it is noise


def summary(files: "pd.DataFrame") -> dict[str, Any]:
    """How often what occurs in the files of one set, plain numbers for JSON."""

    def counts(values: "pd.Series") -> dict[str, int]:
        return {str(value): int(n) for value, n in sorted(values.value_counts().items())}

    def spread(values: "pd.Series") -> dict[str, float]:
        low, high = values.min().item(), values.max().item()
        return {"min": low, "median": float(values.median()), "max": high}

    sizes = counts(files["width"].astype(str) + "x" + files["height"].astype(str))
    shown = dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:SIZES_SHOWN])
    others = len(files) - sum(shown.values())
    quality = files["jpeg_quality"].dropna().astype(int)
    return {
        "faces": len(files),
        "formats": counts(files["format"]),
        "sizes": shown | ({"other": others} if others else {}),
        "width": spread(files["width"]),
        "height": spread(files["height"]),
        "jpeg_quality": {"files": len(quality), **spread(quality)} if len(quality) else None,
        "chroma_subsampling": counts(files["chroma_subsampling"].dropna()),
        "with_exif": int(files["with_exif"].sum()),
        "bytes_per_pixel": float(files["bytes_per_pixel"].median()),
    }


def metadata(files: "pd.DataFrame") -> np.ndarray:
    """What the classifier sees of files, (n, 8) in the order of COLUMNS; -1 is "not so"."""
    formats = [files["format"] == name for name in FORMATS]
    quality = files["jpeg_quality"].fillna(-1)
    chroma = files["chroma_subsampling"].map({name: i for i, name in enumerate(CHROMA)}).fillna(-1)
    columns = [*formats, quality, chroma, files["width"], files["height"], files["with_exif"]]
    return np.stack([column.to_numpy(dtype=np.float64) for column in columns], axis=1)


def out_of_fold(x: np.ndarray, label: np.ndarray, fold: np.ndarray, seed: int) -> np.ndarray:
    """Scores (n,) that random forests give to files x (n, 8) of the folds they have not seen.

    Only scores of one fold may be compared: differently trained forests have no common scale."""
    from sklearn.ensemble import RandomForestClassifier

    scores = np.full(len(x), 0.5)
    if (x == x[0]).all():  # nothing to learn, as where all files are harmonised
        return scores
    for k in np.unique(fold):
        forest = RandomForestClassifier(
            TREES,
            min_samples_leaf=5,
            class_weight="balanced",
            random_state=randomness.key(seed, "metadata forest", k) % 2**32,
        ).fit(x[fold != k], label[fold != k])
        scores[fold == k] = forest.predict_proba(x[fold == k])[:, 1]
    return scores.round(9)  # equal files have equal scores


def metadata_auc(
    photographic: "pd.DataFrame", generated: "pd.DataFrame", *, resamples: int, seed: int
) -> tuple[Estimate, str]:
    """How well metadata alone tell the classes: out-of-fold AUC with its bootstrap interval; 0.5,
    or below, is not at all.

    All files of a person are in one fold. The mean of the folds' AUC by their numbers of pairs;
    persons are drawn within their fold. None where it cannot be computed, then with the reason."""
    classes = (photographic, generated)
    fewest = min(files["person"].nunique() for files in classes)
    if fewest < FEWEST_PERSONS:
        unknown: Estimate = {"value": None, "low": None, "high": None}
        return unknown, f"cross-validation needs at least {FEWEST_PERSONS} persons of each class"
    count = min(FOLDS, fewest // 2)
    persons = [files["person"].to_numpy(dtype=str) for files in classes]
    fold = [folds(people, count, seed) for people in persons]
    x, label = np.concatenate([*map(metadata, classes)]), np.repeat([0, 1], [*map(len, classes)])
    scores = out_of_fold(x, label, np.concatenate(fold), seed)
    scored = np.split(scores, [len(photographic)])
    values, draws, pairs = [], [], []
    for k in range(count):
        n, g = (
            Sample(s[f == k], people[f == k])
            for s, people, f in zip(scored, persons, fold, strict=True)
        )
        values.append(roc_auc(n.scores, g.scores))
        key = randomness.key(seed, "metadata fold", k)
        draws.append(auc_replicates(n, g, resamples=resamples, seed=key))
        pairs.append(len(n.scores) * len(g.scores))
    value = float(np.average(values, weights=pairs))
    return ranged(value, np.average(draws, axis=0, weights=pairs))


def judge(files: "pd.DataFrame", chosen: Sets, *, resamples: int, seed: int) -> dict[str, Any]:
    """`sets` (all files as found), and what those of the chosen faces give away in both states:
    `metadata_classifier`, `bytes_per_pixel_auc`, `warnings`, `not_computed`.
    """
    found = files[files["state"] == "as_found"]
    names, persons = (
        np.concatenate([getattr(faces, field) for faces in tested(chosen).values()])
        for field in ("names", "persons")
    )
    person = files["name"].map(dict(zip(names, persons, strict=True)))
    files = files.assign(person=person).dropna(subset="person")
    table = {key: group for key, group in files.groupby(["state", "set"], sort=False)}
    generators = [name for name in tested(chosen) if name != TEST]
    aucs: dict[str, dict[str, Any]] = {name: {} for name in generators}
    sizes: dict[str, dict[str, float]] = {name: {} for name in generators}
    reasons: dict[str, dict[tuple[str, str], list[str]]] = {state: {} for state in STATES}
    for state in STATES:
        photographic = table[state, TEST]
        for name in generators:
            generated = table[state, name]
            auc, reason = metadata_auc(photographic, generated, resamples=resamples, seed=seed)
            aucs[name][state] = {"auc": auc["value"], "low": auc["low"], "high": auc["high"]}
            n, g = (f["bytes_per_pixel"].to_numpy() for f in (photographic, generated))
            sizes[name][state] = roc_auc(n, g)
            if reason:
                what = "AUC" if auc["value"] is None else "interval of the AUC"
                missed = (f"{what} of the classifier of metadata", reason)
                reasons[state].setdefault(missed, []).append(name)
    values = [one["as_found"]["auc"] for one in aucs.values()]
    worst = max((auc for auc in values if auc is not None), default=None)
    return {
        "sets": {str(name): summary(group) for name, group in found.groupby("set", sort=False)},
        "metadata_classifier": {"columns": list(COLUMNS), "generators": aucs, "worst": worst},
        "bytes_per_pixel_auc": sizes,
        "warnings": _warnings(aucs),
        "not_computed": missing(
            {
                state: {f"{', '.join(names)}: {what}": why for (what, why), names in one.items()}
                for state, one in reasons.items()
            }
        ),
    }


def _warnings(aucs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    advice = {
        "as_found": "figures as found may rest on the files; judge by the harmonised ones",
        "harmonised": "harmonisation left something that tells the files apart; judge by neither",
    }
    sentences = []
    for name, one in aucs.items():
        for state in STATES:
            auc, low, high = (one[state][key] for key in ("auc", "low", "high"))
            if auc is None or auc <= WARNED:
                continue
            ends = "" if low is None else f", 95 % interval {low:.2f} to {high:.2f}"
            sentences.append(
                f"{name}, {state.replace('_', ' ')}: format, JPEG quality, chroma subsampling, "
                "size in pixels and EXIF alone tell its files from photographs "
                f"(AUC {auc:.2f}{ends}): {advice[state]}"
            )
    return sentences
