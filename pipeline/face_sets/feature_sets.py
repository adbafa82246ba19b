"""Face sets with their features, as extract_features writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.base.perturbation_names import CLEAN
from pipeline.common import artifacts
from pipeline.common.checks import check_features
from pipeline.common.names import HEADS
from pipeline.face_sets import selection
from pipeline.face_sets.face_list import ListedFace

BY_FACE = ("names", "persons", "features", "heads", "digests")  # a row of each face


@dataclass(frozen=True)
class FeatureSet:
    """n faces of one set, in the order of their names."""

    name: str
    names: np.ndarray  # (n,) paths relative to the data root
    persons: np.ndarray  # (n,) who is on the picture; a generated face is a person of its own
    features: np.ndarray  # (n, feature_dim) float64
    heads: np.ndarray  # (n, h) float64, scores in the order of head_names
    digests: np.ndarray  # (n,) SHA-256 of the pictures' files, hexadecimal
    head_names: tuple[str, ...] = HEADS  # (h,), the last is of manipulations

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: np.ndarray) -> "FeatureSet":
        """The faces of the given rows."""
        arrays = {name: getattr(self, name)[rows] for name in BY_FACE}
        return replace(self, **arrays)

    def face(self, row: int) -> ListedFace:
        """The face of a row as its list has it."""
        return ListedFace(str(self.names[row]), str(self.persons[row]), str(self.digests[row]))

    def at_most(self, maximum: int, *, seed: int, purpose: str) -> "FeatureSet":
        """At most `maximum` of the faces, chosen by a keyed hash of their names, in order."""
        return self[selection.rows(self.names.tolist(), maximum, seed=seed, purpose=purpose)]


def write(
    path: Path, faces: FeatureSet, histories: Mapping[str, FeatureSet] = MappingProxyType({})
) -> None:
    """Write a set as .npz, features and heads in float32, beside it the same faces with histories,
    by the perturbation's name. PipelineError, and no file, on NaN or infinity.
    """
    for one in (faces, *histories.values()):
        for table in _scores("", one).values():
            check_features(table, str(path))
    artifacts.write_npz(
        path,
        names=faces.names,
        persons=faces.persons,
        digests=faces.digests,
        head_names=np.array(faces.head_names),
        **_scores("", faces),
        **{k: v for name, one in histories.items() for k, v in _scores(f"{name}.", one).items()},
    )


def _scores(prefix: str, faces: FeatureSet) -> dict[str, np.ndarray]:
    """What the encoder says of faces, float32, by prefixed names."""
    return {
        f"{prefix}features": faces.features.astype(np.float32),
        f"{prefix}heads": faces.heads.astype(np.float32),
    }


def read(path: Path, name: str) -> FeatureSet:
    """The set that `write` wrote. Raises PipelineError for any other file."""
    arrays = artifacts.read_npz(path)
    if missing := sorted({*BY_FACE, "head_names"} - set(arrays)):
        raise PipelineError(f"{path}: missing {', '.join(missing)}; run extract_features again")
    names, heads = arrays["names"], arrays["heads"].astype(np.float64)
    features = check_features(arrays["features"], str(path))
    head_names = tuple(arrays["head_names"].tolist())
    lengths = {len(arrays[key]) for key in BY_FACE}
    if lengths != {len(np.unique(names))} or heads.shape != (len(names), len(head_names)):
        raise PipelineError(
            f"{path}: columns of different lengths, a name twice, or heads without names; "
            "run extract_features again"
        )
    if not np.isfinite(heads).all():
        raise PipelineError(f"{path}: NaN or infinite head scores; train with precision float32")
    columns = (names, arrays["persons"], features, heads, arrays["digests"])
    return FeatureSet(name, *columns, head_names)


def read_histories(path: Path, name: str, histories: Sequence[str]) -> dict[str, FeatureSet]:
    """The faces with each of the histories that `write` wrote them with; CLEAN as they are."""
    faces, arrays = read(path, name), artifacts.read_npz(path)
    found = {}
    for history in histories:
        own = {key: arrays.get(f"{history}.{key}") for key in ("features", "heads")}
        if history == CLEAN:
            found[history] = faces
        elif any(table is None or len(table) != len(faces) for table in own.values()):
            raise PipelineError(f"{path}: no features of {history}; run extract_photographs again")
        else:
            features, heads = (
                check_features(np.asarray(table), f"{path}, {history}") for table in own.values()
            )
            found[history] = replace(faces, features=features, heads=heads)
    return found


def read_all(folder: Path, names: Sequence[str]) -> dict[str, FeatureSet]:
    """The sets `names` from <folder>/<name>.npz.

    Removes files of sets that params.yaml no longer has: the folder is a dependency of the stages
    that call this, and its hash must not depend on earlier lists. DVC's cache keeps the files.
    """
    for path in folder.glob("*.npz"):
        if path.stem not in names:
            print(f"removed {path}: no set of params.yaml (DVC's cache keeps it)")
            path.unlink()
    return {name: read(folder / f"{name}.npz", name) for name in names}


def joined(sets: Mapping[str, FeatureSet]) -> dict[str, np.ndarray]:
    """Several sets as one file has them: sets (n,), names (n,), features and heads float32."""
    return {
        "sets": np.concatenate([np.full(len(faces), name) for name, faces in sets.items()]),
        "names": np.concatenate([faces.names for faces in sets.values()]),
        **{
            key: np.concatenate([getattr(f, key) for f in sets.values()]).astype(np.float32)
            for key in ("features", "heads")
        },
    }


def split(
    arrays: Mapping[str, np.ndarray], sets: Mapping[str, FeatureSet]
) -> tuple[dict[str, FeatureSet], dict[str, FeatureSet]]:
    """Of each set the faces in `joined` arrays: as they are, and with the arrays' features and
    heads.
    """
    before, after = {}, {}
    for name, faces in sets.items():
        mine = arrays["sets"] == name
        rows = {face: row for row, face in enumerate(faces.names.tolist())}
        before[name] = faces[np.array([rows[n] for n in arrays["names"][mine].tolist()], dtype=int)]
        features, heads = (arrays[key][mine].astype(np.float64) for key in ("features", "heads"))
        after[name] = replace(before[name], features=features, heads=heads)
    return before, after
