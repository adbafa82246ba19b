"""The tags that training ranks: what a stop of each is, and which of them can be ranked at all."""

import sys
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.base.errors import PipelineError
from pipeline.common.names import MANIPULATION


class RankedTag(NamedTuple):
    """A tag as exif.json describes it: `stops` for each doubling on the scale log2, else for each
    unit.
    """

    name: str
    scale: str  # log2 | linear
    stops: float

    def in_stops(self, values: ArrayLike) -> NDArray[np.float64]:
        """Values (any shape, in the tag's unit, NaN where there is none) in stops."""
        values = np.asarray(values, dtype=np.float64)
        return self.stops * (np.log2(values) if self.scale == "log2" else values)

    def value(self, in_stops: float) -> float:
        """The inverse of `in_stops`."""
        position = in_stops / self.stops
        return float(2.0**position if self.scale == "log2" else position)


def rankable(
    tags: NDArray[np.float32], ranked: tuple[RankedTag, ...], tie_stops: float
) -> tuple[tuple[RankedTag, ...], dict[str, str]]:
    """The tags of which two training faces (n, t, in stops) are not tied; by name, why the others
    cannot be ranked. PipelineError where there is none.
    """
    kept, constant = list[RankedTag](), dict[str, str]()
    for column, tag in enumerate(ranked):
        known = tags[np.isfinite(tags[:, column]), column]
        if len(known) and known.max() - known.min() > tie_stops:
            kept.append(tag)
        elif len(known):
            low, high = (f"{tag.value(end):.4g}" for end in (known.min(), known.max()))
            value = low if low == high else f"{low} to {high}"
            constant[tag.name] = f"{value} for all {len(known):,} training faces that have it"
        else:
            constant[tag.name] = "no training face has it"
    if len(tags) and not kept:
        reasons = "; ".join(f"{name}: {why}" for name, why in constant.items())
        raise PipelineError(
            f"exif.tags: none can be ranked ({reasons}); use photographs of other settings, other "
            "tags, or a smaller pretext.tie_stops"
        )
    return tuple(kept), constant


def warn_of_constant_tags(constant: Mapping[str, str]) -> None:
    """Say which tags have no head, and why."""
    for name, why in constant.items():
        text = f"{name}: {why}, so that there is nothing to rank: its head is left out"
        print(text, file=sys.stderr)


def check_weights(ranked: tuple[RankedTag, ...], weights: Mapping[str, float]) -> None:
    """PipelineError unless the faces' tags are those that have a weight."""
    names, weighted = {tag.name for tag in ranked}, set(weights) - {MANIPULATION}
    if names != weighted:
        raise PipelineError(
            f"pretext.loss_weights has the tags {', '.join(sorted(weighted))}, the faces have "
            f"{', '.join(sorted(names))}: run filter_exif again"
        )
