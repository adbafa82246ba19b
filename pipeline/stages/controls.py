"""Score the detector's faces in ways that should find nothing or less: what else could its figures rest on?

Every control is judged on the same faces, and the detector beside them. Label 1 = AI-generated, anomaly score higher = more
anomalous. A control that cannot be computed says why; it stops nothing.
"""

import argparse
import textwrap
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import artifacts, checkpoints, console, controls, feature_sets, features, params
from pipeline.bootstrap import Sample
from pipeline.confounds import STATES
from pipeline.controls import Measured
from pipeline.encoder import HEADS, Encoder
from pipeline.errors import PipelineError
from pipeline.evaluation import roc_auc
from pipeline.feature_sets import FeatureSet
from pipeline.mixture import Mixture
from pipeline.randomness import key
from pipeline.schema import FeatureExtraction

FIT, TEST = "photographic_fit", "photographic_test"
Tables = Mapping[str, np.ndarray]  # (n, D) of each set


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load("seed", "data", "features", "gmm", "evaluation", "controls", "generators")
    mixture = Mixture.from_arrays(artifacts.read_npz(options.gmm), str(options.gmm))
    every = feature_sets.read_all(options.features, options.counts, [FIT, TEST, *p.generators])
    job = Job(every, mixture, p)
    measures = job.from_the_same_features() | job.from_other_encoders(options) | job.from_files(options.confounds)

    detector = job.compare({name: mixture.anomaly_score(faces.features) for name, faces in job.tested.items()})
    rows = [controls.attempt(name, measures[name], detector) for name in controls.QUESTIONS]
    artifacts.write_json(options.metrics, {"detector": controls.figures_of(detector), "controls": rows})
    show(detector, rows)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="data root, which names in the feature files are relative to")
    parser.add_argument("--features", type=Path, required=True, help="folder of the sets' features")
    parser.add_argument("--counts", type=Path, required=True, help="folder of the sets' counts, with the features' SHA-256")
    parser.add_argument("--gmm", type=Path, required=True, help="the detector's mixture, .npz")
    parser.add_argument("--encoder", type=Path, required=True, help="the detector's encoder, .safetensors")
    parser.add_argument("--shuffled", type=Path, required=True, help="encoder that train_shuffled wrote, .safetensors")
    parser.add_argument("--confounds", type=Path, required=True, help="metrics that confounds wrote, .json")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    return parser.parse_args(argv)


class Job:
    """The chosen faces of all sets, and how controls on them are scored and judged."""

    def __init__(self, every: Mapping[str, FeatureSet], mixture: Mixture, p: Any) -> None:
        most = {name: p.controls.fit_faces if name == FIT else p.controls.faces for name in every}
        self.all_photographs = every[TEST]
        self.sets = {name: faces.at_most(most[name], seed=p.seed, purpose="controls") for name, faces in every.items()}
        self.tested = {name: faces for name, faces in self.sets.items() if name != FIT}
        self.mixture, self.p = mixture, p

    def from_the_same_features(self) -> dict[str, Callable[[], Measured]]:
        """Controls that need no other encoder."""
        return {
            "real_against_real": self._real_against_real,
            "exif_heads": lambda: self.refit(self._heads(slice(0, 4)), 0, "mixture of the four scores"),
            "manipulation_head": self._manipulation_head,
        }

    def from_other_encoders(self, options: argparse.Namespace) -> dict[str, Callable[[], Measured]]:
        """Controls with features by an encoder that has learnt nothing, or not from true tags."""
        trained, meta = checkpoints.load_encoder(options.encoder)
        untrained = Encoder(trained.architecture, trained.feature_dim, seed=self.p.seed)
        shuffled, other = checkpoints.load_encoder(options.shuffled)
        epochs = other["params"]["pretext"]["epochs"]

        def by(encoder: Encoder, meta: Mapping[str, Any], detail: str) -> Measured:
            tables = extracted(encoder, meta["input_size"], options.root, self.sets, self.p.features)
            return self.refit(tables, self.p.gmm.pca_components, detail)

        return {
            "random_weights": lambda: by(untrained, meta, f"{trained.architecture} as it starts with pretext.start none"),
            "shuffled_exif": lambda: by(shuffled, other, f"epochs of training: {epochs}"),
        }

    def from_files(self, confounds: Path) -> dict[str, Callable[[], Measured]]:
        """Controls that see no pixel."""
        read = partial(controls.metadata, artifacts.read_json(confounds), generators=self.p.generators, source=str(confounds))
        return {f"metadata_{state}": partial(read, state) for state in STATES}

    def compare(self, scores: Tables, detail: str = "") -> Measured:
        """The generators' faces against the photographs, from scores (n,) of each tested set."""
        pattern = self.p.data.person_pattern
        samples = {name: Sample(scores[name], faces.people(pattern)) for name, faces in self.tested.items()}
        photographic = samples.pop(TEST)
        return controls.compare(photographic, samples, **self._draws(), detail=detail)

    def refit(self, tables: Tables, pca_components: int, detail: str) -> Measured:
        """The same with a mixture fitted anew, as params.yaml has it but for the number of principal components."""
        settings = self.p.gmm.model_dump() | {"pca_components": pca_components}
        tested = {name: tables[name] for name in self.tested}
        scores, warnings = controls.refitted(tables[FIT], tested, settings, seed=key(self.p.seed, "fit_gmm"))
        return self.compare(scores, controls.joined(f"{detail}; {len(tables[FIT]):,} photographs fitted", *warnings))

    def _heads(self, columns: slice) -> dict[str, np.ndarray]:
        """Scores of some heads of the detector's encoder (n, columns)."""
        return {name: faces.heads[:, columns] for name, faces in self.sets.items()}

    def _manipulation_head(self) -> Measured:
        """Anomalous in either direction, as for the other heads; the score as it is stands in the detail."""
        tables = self._heads(slice(HEADS.index("manipulation"), None))
        plain = [roc_auc(tables[TEST][:, 0], tables[name][:, 0]) for name in self.p.generators]
        return self.refit(tables, 0, f"mixture of the one score (the score as it is: AUC {np.mean(plain):.3f})")

    def _real_against_real(self) -> Measured:
        """One half of all test photographs against the other, by the detector."""
        faces = self.all_photographs
        people = faces.people(self.p.data.person_pattern)
        return controls.halves(self.mixture.anomaly_score(faces.features), people, **self._draws())

    def _draws(self) -> dict[str, int]:
        return {"resamples": self.p.evaluation.resamples, "seed": self.p.seed}


def extracted(
    encoder: Encoder, input_size: int, root: Path, sets: Mapping[str, FeatureSet], settings: FeatureExtraction
) -> dict[str, np.ndarray]:
    """Features (n, feature_dim) of the faces of each set by another encoder, all in one go.

    Raises PipelineError where a picture is not the one any more whose features the set holds.
    """
    digests = {name: digest for faces in sets.values() for name, digest in zip(faces.names, faces.digests, strict=True)}
    found = features.extract(encoder, input_size, root, list(digests), settings)
    row = {name: i for i, name in enumerate(found.names)}
    other = [name for name, digest in digests.items() if name not in row or found.sha256[row[name]] != digest]
    if other:
        raise PipelineError(
            f"{root}: {len(other)} of {len(digests)} pictures are gone, or are not those that extract_features read (first: "
            f"{other[0]}): bring them back, or run `dvc repro`"
        )
    return {name: found.features[[row[face] for face in faces.names]] for name, faces in sets.items()}


def show(detector: Measured, rows: list[dict[str, Any]]) -> None:
    """Print the detector and the controls, and what is to be said of those that are suspicious or missing."""
    shown = ("auc", "low", "high", "faces")
    lines: list[dict[str, Any]] = [{"control": "(the detector)", **controls.figures_of(detector), "suspicious": ""}]
    words = {True: "yes", False: "no", None: "-"}
    lines += [
        {"control": row["title"], **row, "suspicious": words[row["suspicious"] if row["faces"] else None]} for row in rows
    ]
    table = [{name: line[name] for name in ("control", *shown, "suspicious")} for line in lines]
    console.table(table, "Controls: mean AUC over generators with its 95 % interval")
    for row in rows:
        if row["suspicious"] or row["auc"] is None:
            text = f"{row['title']}: {row['if_high'] if row['suspicious'] else ''} {row['detail']}"
            print(textwrap.fill(" ".join(text.split()), console.WIDTH))


if __name__ == "__main__":
    console.run(main)
