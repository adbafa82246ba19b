"""Faces of several sets once more through an encoder: another one, or with their pictures changed
on the way.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.base.schema import FeatureExtraction
from pipeline.encoder.network import Encoder
from pipeline.extraction import features
from pipeline.extraction.features import Change, Extracted
from pipeline.face_sets.feature_sets import FeatureSet


def extract(
    encoder: Encoder,
    input_size: int,
    root: Path,
    sets: Mapping[str, FeatureSet],
    settings: FeatureExtraction,
    *,
    change: Change | None = None,
) -> dict[str, FeatureSet]:
    """The same faces with the encoder's features of their pictures, changed or as they are, all
    sets in one go.

    Raises PipelineError where a picture is not the one any more whose features the set holds.
    """
    names = [name for faces in sets.values() for name in faces.names.tolist()]
    found = features.extract(encoder, input_size, root, names, settings, change=change)
    _check_same(
        found, names, [digest for faces in sets.values() for digest in faces.digests.tolist()], root
    )
    ends = np.cumsum([len(faces) for faces in sets.values()])[:-1]
    parts = (np.split(array.astype(np.float64), ends) for array in (found.features, found.heads))
    return {
        name: replace(faces, features=feature, heads=heads)
        for (name, faces), feature, heads in zip(sets.items(), *parts, strict=True)
    }


def _check_same(found: Extracted, names: list[str], digests: list[str], root: Path) -> None:
    remedy = (
        "bring the pictures back, or run `dvc repro` so that extract_features sees them as they are"
    )
    if found.unreadable:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in found.unreadable.items())
        first = sorted(set(names) - set(found.names))[0]
        raise PipelineError(
            f"{root}: {sum(found.unreadable.values())} of {len(names)} pictures cannot be read any "
            f"more ({reasons}; first: "
            f"{first}): {remedy}"
        )
    other = [
        name for name, now, then in zip(names, found.sha256, digests, strict=True) if now != then
    ]
    if other:
        raise PipelineError(
            f"{root}: {len(other)} of {len(names)} pictures have changed since extract_features "
            "read them (first: "
            f"{other[0]}): {remedy}"
        )
