"""Figures of face sets under a density, and side by side in two states; for all of the audit."""

from collections.abc import Mapping
from typing import Any

from pipeline.common.names import PHOTOGRAPHIC
from pipeline.density.density import Density
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.estimates import Estimates, estimate
from pipeline.face_sets.feature_sets import FeatureSet

FIT, CALIBRATION, TEST = PHOTOGRAPHIC
Sets = Mapping[str, FeatureSet]  # by name: TEST and the generators, perhaps FIT and CALIBRATION


def tested(sets: Sets) -> dict[str, FeatureSet]:
    """The photographs to test with, and the generators."""
    return {name: faces for name, faces in sets.items() if name not in (FIT, CALIBRATION)}


def samples(sets: Sets, density: Density) -> dict[str, Sample]:
    """Anomaly scores and persons of the tested sets."""
    return {
        name: Sample(density.anomaly_score(faces.features, faces.heads), faces.persons)
        for name, faces in tested(sets).items()
    }


def estimated(
    sets: Sets, density: Density, thresholds: Mapping[str, float], *, resamples: int, seed: int
) -> Estimates:
    """AUC, detection and false alarm rates of the tested sets at the thresholds."""
    scored = samples(sets, density)
    return estimate(scored.pop(TEST), scored, thresholds, resamples=resamples, seed=seed)


def by_state(states: Mapping[str, Any]) -> dict[str, Any]:
    """Equal trees of figures by state -> one tree with a figure, or an interval, of each state."""
    first = next(iter(states.values()))
    if not isinstance(first, dict) or "low" in first:
        return dict(states)
    return {key: by_state({state: tree[key] for state, tree in states.items()}) for key in first}
