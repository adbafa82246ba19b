"""Map the feature space, and explain the most anomalous faces of each generator.

For each of them: the nearest photographs that the mixture was fitted on, the EXIF head that
deviates most from calibration photographs, and the parts of the picture that carry the anomaly."""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import command_line, params, terminal
from pipeline.calibration.decisions import Decisions
from pipeline.common import artifacts
from pipeline.common.contact_sheet import contact_sheet
from pipeline.density.density import Density
from pipeline.encoder import checkpoints
from pipeline.explanation import entries, feature_map, neighbours, occlusion
from pipeline.face_sets import feature_sets
from pipeline.face_sets.face_list import read_picture
from pipeline.face_sets.feature_sets import FeatureSet

NEIGHBOURS = 3  # nearest photographs shown: as many as fit beside a face and its map
CELL = 128  # pixels of a picture on a sheet
COLUMNS = ("most anomalous", "red: carries it", "nearest photo", "2nd nearest", "3rd nearest")


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    # Its modules import each other, which fails where two threads do it first at the same time.
    import scipy.spatial  # noqa: F401
    from threadpoolctl import threadpool_limits

    options = _options(argv)
    p = params.load("seed", "features", "explanation", "generators")
    names = ("photographic_fit", "photographic_calibration", "photographic_test", *p.generators)
    sets = feature_sets.read_all(options.features, names)
    files = options.threshold, options.calibration
    contents = artifacts.read_json(files[0]), artifacts.read_npz(files[1])
    decisions = Decisions.from_contents(*contents, files)
    density = Density.from_arrays(artifacts.read_npz(options.gmm), str(options.gmm))
    scorer = occlusion.Scorer(*checkpoints.load_encoder(options.encoder), p.features, density)
    generators = [sets[name] for name in p.generators]
    tops = [_most_anomalous(density, each, p.explanation.faces) for each in generators]
    # The last bits of a product depend on the threads that share it. The map is computed meanwhile.
    with threadpool_limits(1), ThreadPoolExecutor(1) as pool:
        shown = [sets["photographic_test"], *generators]
        places = pool.submit(_map, density, shown, p.explanation.projected_faces, p.seed)
        explained = _explain(options.root, scorer, decisions, sets["photographic_fit"], tops)
    with artifacts.atomic(options.output) as folder:
        folder.mkdir()
        artifacts.write_csv(folder / "projection.csv", places.result())
        faces = {name: entry for name, (entry, _) in explained.items()}
        artifacts.write_json(folder / "faces.json", faces)
        for name, (entry, rows) in explained.items():
            titles, path = [entries.row_title(face) for face in entry], folder / f"{name}.png"
            contact_sheet(rows, COLUMNS[: len(rows[0])], path, titles, side=CELL, enlarge=True)
    _show(faces)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = command_line.paths(
        __doc__,
        root="data root, which names in the feature files are relative to",
        features="folder of the feature files",
        encoder="encoder that train_pretext wrote, .safetensors",
        gmm="mixture, .npz",
        threshold="thresholds, .json",
        calibration="calibration scores and heads, .npz",
        output="folder to write: faces.json, <generator>.png, projection.csv",
    )
    return parser.parse_args(argv)


def _map(density: Density, sets: list[FeatureSet], most: int, seed: int) -> dict[str, Any]:
    """Columns set, x, y of at most so many faces of each set; without rows where there is no map,
    and the reason is printed.
    """
    shown = [each.at_most(most, seed=seed, purpose="explain") for each in sets]
    features = np.concatenate([getattr(each, density.space) for each in shown])
    places, reason = feature_map.feature_map(density.mixtures[density.space], features, seed=seed)
    if places is None:
        print(reason)
        return {"set": [], "x": [], "y": []}
    x, y = np.round(places, 3).T.tolist()
    return {"set": [each.name for each in shown for _ in range(len(each))], "x": x, "y": y}


def _most_anomalous(
    density: Density, faces: FeatureSet, count: int
) -> tuple[FeatureSet, np.ndarray]:
    """The `count` most anomalous faces, most anomalous first, equal ones by name; their scores."""
    scores = density.anomaly_score(faces.features, faces.heads)
    order = np.argsort(-scores, kind="stable")[:count]
    return faces[order], scores[order]


def _explain(
    root: Path,
    scorer: occlusion.Scorer,
    decisions: Decisions,
    fit: FeatureSet,
    tops: list[tuple[FeatureSet, np.ndarray]],
) -> dict[str, tuple[list[dict[str, Any]], list[list[np.ndarray]]]]:
    """Of the chosen faces of each generator and their scores: the entries of faces.json, and a row
    of pictures each.
    """
    explained: dict[str, tuple[list[dict[str, Any]], list[list[np.ndarray]]]] = {}
    faces = [read_picture(root, top.face(row)) for top, _ in tops for row in range(len(top))]
    mapped = iter(zip(faces, occlusion.maps(scorer, faces), strict=True))
    space, mixture = scorer.density.space, scorer.density.mixtures[scorer.density.space]
    for top, scores in tops:
        side = scorer.density.side(top.features, top.heads)
        judged = decisions.columns(scores, top.heads)
        shown, known = (getattr(each, space) for each in (top, fit))
        near, distances = neighbours.nearest(mixture, shown, known, NEIGHBOURS)
        explained[top.name] = [], []
        for i, name in enumerate(top.names.tolist()):
            picture, (seen, drop) = next(mapped)
            beside = list(zip(fit.names[near[i]].tolist(), distances[i].tolist(), strict=True))
            z = {head: float(judged[f"z_{head}"][i]) for head in decisions.head_names}
            entry = entries.explanation(z, beside, occlusion.strongest(drop))
            entry |= {"name": name, "anomaly_score": float(scores[i])}
            entry |= {"p_value": float(judged["p_value"][i]), "verdict": str(judged["verdict"][i])}
            entry |= {"side": str(side[i])}
            photographs = [read_picture(root, fit.face(row)) for row in near[i]]
            explained[top.name][0].append(entry)
            explained[top.name][1].append([picture, occlusion.overlay(seen, drop), *photographs])
    return explained


def _show(faces: dict[str, list[dict[str, Any]]]) -> None:
    rows = [
        {
            "generator": name,
            "anomaly_score": first["anomaly_score"],
            "p_value": first["p_value"],
            "verdict": first["verdict"],
            "head": first["deviating_head"],
            "carried": first["covered"]["where"],
        }
        for name, (first, *_) in faces.items()
    ]
    terminal.table(rows, "The most anomalous face of each generator")


if __name__ == "__main__":
    terminal.run(main)
