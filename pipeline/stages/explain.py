"""Show the feature space: a map of photographs and generated faces, and why the most anomalous
faces are anomalous.

For each of them: the nearest photographs that the mixture was fitted on, the EXIF head that
deviates most from calibration photographs, and the parts of the picture that carry the anomaly. The
map of parts: red = covering this part makes the face less anomalous, so it carries the anomaly;
blue = the opposite."""

import argparse
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import params, terminal
from pipeline.base.errors import PipelineError
from pipeline.calibration.decisions import Decisions
from pipeline.common import artifacts, pictures
from pipeline.common.contact_sheet import contact_sheet
from pipeline.common.names import HEADS
from pipeline.density.mixture import Mixture
from pipeline.encoder import checkpoints
from pipeline.explanation import neighbours as explanation
from pipeline.explanation import occlusion
from pipeline.face_sets import feature_sets
from pipeline.face_sets.feature_sets import FeatureSet

CELL = 128  # pixels of a picture on a sheet


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    options = _options(argv)
    p = params.load("seed", "features", "explanation", "generators")
    names = ("photographic_fit", "photographic_test", *p.generators)
    sets = feature_sets.read_all(options.features, options.counts, names)
    files = options.threshold, options.calibration
    decisions = Decisions.from_contents(
        artifacts.read_json(files[0]), artifacts.read_npz(files[1]), files
    )
    mixture = Mixture.from_arrays(artifacts.read_npz(options.gmm), str(options.gmm))
    encoder, meta = checkpoints.load_encoder(options.encoder)
    scorer = occlusion.PictureScorer(encoder, meta["input_size"], p.features, mixture)
    with threadpool_limits(
        1
    ):  # the last bits of a product of matrices depend on the threads that share it
        fit = sets.pop("photographic_fit")
        found = _explain(
            options.root,
            scorer,
            decisions,
            [fit, *(sets[name] for name in p.generators)],
            p.explanation,
        )
        _write_projection(options.projection, mixture, list(sets.values()), p)
    with artifacts.atomic(options.output) as folder:
        folder.mkdir()
        artifacts.write_json(
            folder / "faces.json", {name: faces for name, (faces, _) in found.items()}
        )
        neighbours = min(p.explanation.neighbours, len(fit))
        columns = ["most anomalous", "red: carries it", *(_ordinal(i) for i in range(neighbours))]
        for name, (faces, rows) in found.items():
            titles = [explanation.row_title(face) for face in faces]
            contact_sheet(rows, columns, folder / f"{name}.png", titles, side=CELL, enlarge=True)
    _show({name: faces[0] for name, (faces, _) in found.items()})


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        required=True,
        help="data root, which names in the feature files are relative to",
    )
    parser.add_argument("--features", type=Path, required=True, help="folder of the feature files")
    parser.add_argument(
        "--counts", type=Path, required=True, help="folder of their counts and SHA-256"
    )
    parser.add_argument(
        "--encoder", type=Path, required=True, help="encoder that train_pretext wrote"
    )
    parser.add_argument("--gmm", type=Path, required=True, help="mixture, .npz")
    parser.add_argument("--threshold", type=Path, required=True, help="thresholds, .json")
    parser.add_argument(
        "--calibration", type=Path, required=True, help="calibration scores and heads, .npz"
    )
    parser.add_argument(
        "--projection", type=Path, required=True, help="map of the feature space to write, .csv"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of explained faces to write"
    )
    return parser.parse_args(argv)


def _write_projection(path: Path, mixture: Mixture, sets: list[FeatureSet], p: Any) -> None:
    """Table of set, x, y; only its header where the map cannot be computed, and the reason is
    printed.
    """
    shown = [
        each.at_most(p.explanation.projected_faces, seed=p.seed, purpose="explain") for each in sets
    ]
    places, reason = explanation.projection(
        mixture, np.concatenate([each.features for each in shown]), seed=p.seed
    )
    if places is None:
        print(reason)
    names = [] if places is None else [each.name for each in shown for _ in range(len(each))]
    x, y = ([], []) if places is None else np.round(places, 3).T.tolist()
    artifacts.write_csv(path, {"set": names, "x": x, "y": y})


def _explain(
    root: Path,
    scorer: occlusion.PictureScorer,
    decisions: Decisions,
    sets: list[FeatureSet],
    chosen: Any,
) -> dict[str, tuple[list[dict[str, Any]], list[list[np.ndarray]]]]:
    """For each generator the entries of its most anomalous faces, and a row of pictures for each;
    sets: fit, generators.
    """
    fit, *generators = sets
    tops = [_most_anomalous(scorer.mixture, each, chosen.faces) for each in generators]
    pictures = [_picture(root, top, row) for top, _ in tops for row in range(len(top))]
    mapped = iter(zip(pictures, occlusion.maps(scorer, pictures, chosen.patch), strict=True))
    found = {}
    for top, scores in tops:
        near, distances = explanation.nearest(
            scorer.mixture, top.features, fit.features, chosen.neighbours
        )
        said = decisions.columns(scores, top.heads)
        faces, rows = [], []
        for i, name in enumerate(top.names.tolist()):
            picture, (seen, drop) = next(mapped)
            face = explanation.entry(
                name=name,
                score=float(scores[i]),
                p_value=float(said["p_value"][i]),
                verdict=str(said["verdict"][i]),
                z={head: float(said[f"z_{head}"][i]) for head in HEADS},
                neighbours=list(
                    zip(fit.names[near[i]].tolist(), distances[i].tolist(), strict=True)
                ),
                covered=occlusion.strongest(drop),
            )
            faces.append(face)
            rows.append(
                [
                    picture,
                    occlusion.overlay(seen, drop),
                    *(_picture(root, fit, row) for row in near[i]),
                ]
            )
        found[top.name] = (faces, rows)
    return found


def _most_anomalous(
    mixture: Mixture, faces: FeatureSet, count: int
) -> tuple[FeatureSet, np.ndarray]:
    """The `count` most anomalous faces, most anomalous first, equal ones by name, and their scores."""
    scores = mixture.anomaly_score(faces.features)
    order = np.argsort(-scores, kind="stable")[:count]
    return faces[order], scores[order]


def _picture(root: Path, faces: FeatureSet, row: int) -> np.ndarray:
    """A face of the set, uint8 (H, W, 3). Raises PipelineError where it is unreadable or not the
    one that has the feature.
    """
    path = root / str(faces.names[row])
    content = pictures.read_picture_file(path)
    if sha256(content).hexdigest() != faces.digests[row]:
        raise PipelineError(
            f"{path}: not the picture whose features are in {faces.name}: run `dvc repro`"
        )
    return pictures.decode_picture(content, path)


def _ordinal(i: int) -> str:
    return "nearest photo" if i == 0 else f"{i + 1}{ {1: 'nd', 2: 'rd'}.get(i, 'th') } nearest"


def _show(first: dict[str, dict[str, Any]]) -> None:
    rows = [
        {
            "generator": name,
            "anomaly_score": face["anomaly_score"],
            "p_value": face["p_value"],
            "verdict": face["verdict"],
            "head": face["deviating_head"],
            "carried": face["covered"]["where"],
        }
        for name, face in first.items()
    ]
    terminal.table(rows, "The most anomalous face of each generator")


if __name__ == "__main__":
    terminal.run(main)
