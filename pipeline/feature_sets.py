"""Face sets with their features, for stages that look at several sets at once.

Such a stage depends on the folder of the sets' counts: it lies in git and carries the SHA-256 of each feature file, so that
DVC sees every change without a dependency on a folder that several stages write into.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from pipeline.base import artifacts, randomness
from pipeline.base.errors import PipelineError
from pipeline.mixture import feature_set
from pipeline.people import person_of

PHOTOGRAPHIC = ("photographic_fit", "photographic_calibration", "photographic_test")


@dataclass(frozen=True)
class FeatureSet:
    """n readable faces of one set, in the order of their names."""

    name: str
    names: np.ndarray  # (n,) paths relative to the data root
    features: np.ndarray  # (n, feature_dim) float64
    heads: np.ndarray  # (n, 5) float64, scores in the order of the encoder's heads
    digests: np.ndarray  # (n,) SHA-256 of the pictures' files, hexadecimal

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: np.ndarray) -> "FeatureSet":
        """The faces of the given rows."""
        arrays = {field.name: getattr(self, field.name)[rows] for field in fields(self) if field.name != "name"}
        return replace(self, **arrays)

    def at_most(self, maximum: int, *, seed: int, purpose: str) -> "FeatureSet":
        """At most `maximum` of the faces in the order of their names, chosen by a keyed hash of the names."""
        draw = randomness.uniforms(seed, purpose, randomness.hashes(self.names.tolist()))
        return self[np.sort(np.argsort(draw, kind="stable")[:maximum])]

    def people(self, pattern: str) -> np.ndarray:
        """Who is on each picture (n,), by data.person_pattern; every generated face is a person of its own."""
        photographs = self.name in PHOTOGRAPHIC
        return np.array([person_of(name, pattern) if photographs else name for name in self.names.tolist()])


def read(path: Path, name: str) -> FeatureSet:
    """One set from its feature file. Raises PipelineError where the file is not one that extract_features writes."""
    arrays = artifacts.read_npz(path)
    names, features = feature_set(arrays, str(path))
    heads, digests = arrays.get("heads"), arrays.get("source_sha256")
    if heads is None or digests is None or heads.shape != (len(names), 5) or digests.shape != names.shape:
        raise PipelineError(f"{path}: no scores of five heads, or no digests, for each face; run extract_features again")
    if not np.isfinite(heads).all():
        raise PipelineError(f"{path}: scores of the encoder's heads are NaN or infinite; train with precision float32")
    return FeatureSet(name, names, features, heads.astype(np.float64), digests)


def read_all(features: Path, counts: Path, names: Sequence[str]) -> dict[str, FeatureSet]:
    """The sets `names` from <features>/<name>.npz, each the very file whose SHA-256 stands in <counts>/<name>.json."""
    return {
        name: read(check(features / f"{name}.npz", artifacts.read_json(counts / f"{name}.json"), counts), name)
        for name in names
    }


def sums(counts: Path, names: Sequence[str]) -> dict[str, str]:
    """The SHA-256 of each set's feature file, as its counts have it."""
    return {name: artifacts.read_json(counts / f"{name}.json").get("sha256", "") for name in names}


def changed_arrays(sets: Mapping[str, FeatureSet]) -> dict[str, np.ndarray]:
    """Features of changed pictures as one file has them: sets (n,), names (n,), features (n, d) float32."""
    return {
        "sets": np.concatenate([np.full(len(faces), name) for name, faces in sets.items()]),
        "names": np.concatenate([faces.names for faces in sets.values()]),
        "features": np.concatenate([faces.features for faces in sets.values()]).astype(np.float32),
    }


def unchanged(arrays: Mapping[str, np.ndarray], sets: Mapping[str, FeatureSet]) -> dict[str, FeatureSet]:
    """Of each set the faces that `changed_arrays` has, in its order and as they were; the sets have them all."""
    found = {}
    for name, faces in sets.items():
        rows = {face: row for row, face in enumerate(faces.names.tolist())}
        wanted = arrays["names"][arrays["sets"] == name].tolist()
        found[name] = faces[np.array([rows[face] for face in wanted], dtype=int)]
    return found


def changed(arrays: Mapping[str, np.ndarray], sets: Mapping[str, FeatureSet]) -> dict[str, FeatureSet]:
    """The same faces with the features of their changed pictures."""
    return {
        name: replace(faces, features=arrays["features"][arrays["sets"] == name].astype(np.float64))
        for name, faces in unchanged(arrays, sets).items()
    }


def check(path: Path, recorded: Mapping[str, str], source: Path) -> Path:
    """The path, if the file has the SHA-256 that is recorded for it. Raises PipelineError with the remedy."""
    if not path.is_file() or artifacts.sha256(path) != recorded.get("sha256"):
        raise PipelineError(
            f"{path} is missing or not the file that {source} tells of: get it with `dvc checkout`, or make it with `dvc repro`"
        )
    return path
