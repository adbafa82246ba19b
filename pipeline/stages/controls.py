"""Score the detector's faces in ways that should find nothing or less: what else could its figures
rest on?

Every control is compared with the detector's mixture, fitted anew on the same photographs as the
control's own and judged on the same faces. Label 1 = AI-generated, anomaly score higher = more
anomalous. A control that cannot be computed says why; it stops nothing."""

import argparse
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.audit import controls
from pipeline.audit.confounds import STATES
from pipeline.audit.controls import Measured
from pipeline.audit.questions import JUDGED, QUESTIONS, TRIVIAL, judged
from pipeline.base import params, terminal
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.common.names import HEADS
from pipeline.common.randomness import key
from pipeline.density.mixture import Mixture
from pipeline.encoder import checkpoints
from pipeline.encoder.network import Encoder
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.measures import roc_auc
from pipeline.extraction import variants as changed_faces
from pipeline.face_sets import feature_sets
from pipeline.face_sets.feature_sets import FeatureSet

FIT, TEST = "photographic_fit", "photographic_test"
Tables = Mapping[str, np.ndarray]  # (n, D) of each set


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load("seed", "data", "features", "gmm", "bootstrap", "controls", "generators")
    mixture = Mixture.from_arrays(artifacts.read_npz(options.gmm), str(options.gmm))
    every = feature_sets.read_all(options.features, options.counts, [FIT, TEST, *p.generators])
    job = Job(every, mixture, p)
    measures = (
        job.from_the_same_features()
        | job.from_other_encoders(options)
        | job.from_files(options.confounds)
    )

    detector, row = job.detector()
    rows = [controls.attempt(name, measures[name], detector) for name in QUESTIONS]
    artifacts.write_json(options.metrics, {"detector": row, "controls": rows})
    show(row, rows)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        required=True,
        help="data root, which names in the feature files are relative to",
    )
    parser.add_argument("--features", type=Path, required=True, help="folder of the sets' features")
    parser.add_argument(
        "--counts",
        type=Path,
        required=True,
        help="folder of the sets' counts, with the features' SHA-256",
    )
    parser.add_argument("--gmm", type=Path, required=True, help="the detector's mixture, .npz")
    parser.add_argument(
        "--encoder", type=Path, required=True, help="the detector's encoder, .safetensors"
    )
    parser.add_argument(
        "--shuffled",
        type=Path,
        required=True,
        help="encoder that train_shuffled wrote, .safetensors",
    )
    parser.add_argument(
        "--confounds", type=Path, required=True, help="metrics that confounds wrote, .json"
    )
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    return parser.parse_args(argv)


class Job:
    """The chosen faces of all sets, and how controls on them are scored and judged."""

    def __init__(self, every: Mapping[str, FeatureSet], mixture: Mixture, p: Any) -> None:
        most = {name: p.controls.fit_faces if name == FIT else p.controls.faces for name in every}
        self.all_photographs = every[TEST]
        self.sets = {
            name: faces.at_most(most[name], seed=p.seed, purpose="controls")
            for name, faces in every.items()
        }
        self.tested = {name: faces for name, faces in self.sets.items() if name != FIT}
        self.mixture, self.p = mixture, p

    def from_the_same_features(self) -> dict[str, Callable[[], Measured]]:
        """Controls that need no other encoder."""
        return {
            "real_against_real": self._real_against_real,
            "exif_heads": lambda: self.refit(
                self._heads(slice(0, 4)), 0, "mixture of the four scores"
            ),
            "manipulation_head": self._manipulation_head,
        }

    def from_other_encoders(self, options: argparse.Namespace) -> dict[str, Callable[[], Measured]]:
        """Controls with features by an encoder that has learnt nothing, or not from true tags."""
        trained, meta = checkpoints.load_encoder(options.encoder)
        untrained = Encoder(trained.architecture, trained.feature_dim, seed=self.p.seed)
        shuffled, other = checkpoints.load_encoder(options.shuffled)

        def by(encoder: Encoder, meta: Mapping[str, Any], detail: str) -> Measured:
            found = changed_faces.extract(
                encoder, meta["input_size"], options.root, self.sets, self.p.features
            )
            tables = {name: faces.features for name, faces in found.items()}
            return self.refit(tables, self.p.gmm.pca_components, detail)

        def by_shuffled() -> Measured:
            expected, detail = shorter(
                _epochs(other, options.shuffled), _epochs(meta, options.encoder)
            )
            return replace(by(shuffled, other, detail), expected=expected)

        return {
            "random_weights": lambda: by(
                untrained, meta, f"{trained.architecture} as it starts with pretext.start none"
            ),
            "shuffled_exif": by_shuffled,
        }

    def from_files(self, confounds: Path) -> dict[str, Callable[[], Measured]]:
        """Controls that see no pixel."""
        content = artifacts.read_json(confounds)
        named = {"metadata": controls.metadata, "file_size": controls.file_size}
        return {
            f"{name}_{state}": partial(measure, content, state, self.p.generators, str(confounds))
            for name, measure in named.items()
            for state in STATES
        }

    def detector(self) -> tuple[Measured | None, dict[str, Any]]:
        """What controls are compared with, None where it cannot be computed; and its row, with the
        pipeline's own mixture.
        """
        tables = {name: faces.features for name, faces in self.sets.items()}
        found: Measured | None = None
        try:
            found = self.refit(
                tables, self.p.gmm.pca_components, "mixture of all features, fitted anew"
            )
            detail = found.detail
        except PipelineError as error:
            detail = f"cannot be computed, so that nothing can be compared with it: {error}"
        scores = {name: self.mixture.anomaly_score(tables[name]) for name in self.tested}
        aucs = [
            roc_auc(scores[TEST], scores[name])
            for name in (found.generators if found else self.p.generators)
        ]
        return found, {
            **controls.figures_of(found),
            "detail": detail,
            "committed": {"auc": float(np.mean(aucs))},
        }

    def compare(self, scores: Tables, detail: str = "") -> Measured:
        """The generators' faces against the photographs, from scores (n,) of each tested set."""
        pattern = self.p.data.person_pattern
        samples = {
            name: Sample(scores[name], faces.people(pattern)) for name, faces in self.tested.items()
        }
        photographic = samples.pop(TEST)
        return controls.compare(photographic, samples, **self._draws(), detail=detail)

    def refit(self, tables: Tables, pca_components: int, detail: str) -> Measured:
        """The same with a mixture fitted anew, as params.yaml has it but for the number of
        principal components.

        The faces and the seed are the same for the detector and for every control, so that no
        smaller fit makes it look good."""
        settings = self.p.gmm.model_dump() | {"pca_components": pca_components}
        tested = {name: tables[name] for name in self.tested}
        scores, warnings = controls.refitted(
            tables[FIT], tested, settings, seed=key(self.p.seed, "fit_gmm")
        )
        said = [f"warning of the fit: {warning}" for warning in warnings]
        return self.compare(
            scores, controls.joined(f"{detail}; {len(tables[FIT]):,} photographs fitted", *said)
        )

    def _heads(self, columns: slice) -> dict[str, np.ndarray]:
        """Scores of some heads of the detector's encoder (n, columns)."""
        return {name: faces.heads[:, columns] for name, faces in self.sets.items()}

    def _manipulation_head(self) -> Measured:
        """Anomalous in either direction, as for the other heads; the score as it is stands in the
        detail.
        """
        tables = self._heads(slice(HEADS.index("manipulation"), None))
        plain = [roc_auc(tables[TEST][:, 0], tables[name][:, 0]) for name in self.p.generators]
        return self.refit(
            tables, 0, f"mixture of the one score (the score as it is: AUC {np.mean(plain):.3f})"
        )

    def _real_against_real(self) -> Measured:
        """One half of all test photographs against the other, by the pipeline's own mixture."""
        faces = self.all_photographs
        people = faces.persons
        return controls.halves(self.mixture.anomaly_score(faces.features), people, **self._draws())

    def _draws(self) -> dict[str, int]:
        return {"resamples": self.p.bootstrap.resamples, "seed": self.p.seed}


def shorter(epochs: int, of: int) -> tuple[str, str]:
    """What is to be said of an expectation, and in detail, where a control was trained for fewer
    epochs than the detector.
    """
    trained = f"trained for {epochs} of {of} epochs"
    if epochs >= of:
        return "", trained
    return (
        f"{trained}: a lower value may be the shorter training",
        f"{trained}, so that a pass does not prove that the true tags are what works: set shuffled.epochs to {of} to prove it",
    )


def _epochs(meta: Mapping[str, Any], source: Path) -> int:
    try:
        return int(meta["params"]["pretext"]["epochs"])
    except (KeyError, TypeError, ValueError) as error:
        raise PipelineError(
            f"{source}: does not say for how many epochs it was trained ({error!r}): train it again"
        ) from None


def show(detector: Mapping[str, Any], rows: list[dict[str, Any]]) -> None:
    """Print the detector and the controls, and what is to be said of those that are suspicious, not
    judged or missing.
    """
    lines: list[Mapping[str, Any]] = [
        {**detector, "title": "(the detector, fitted as they are)", "judged": ""},
        {
            **dict.fromkeys(detector),
            **detector["committed"],
            "title": "(the pipeline's own mixture)",
            "judged": "",
        },
    ]
    lines += [{**row, "judged": judged(row, detector["auc"])} for row in rows]
    shown = ("auc", "low", "high", "judged")
    table = [{"control": line["title"], **{name: line[name] for name in shown}} for line in lines]
    terminal.table(table, "Controls: mean AUC over generators with its 95 % interval")
    texts = [f"Detector: {detector['detail']}"] if detector["auc"] is None else []
    for row in rows:
        if (verdict := judged(row, detector["auc"])) != JUDGED[False]:
            high = verdict in (JUDGED[True], TRIVIAL)
            texts.append(f"{row['title']}: {row['if_high'] if high else ''} {row['detail']}")
    left_out = {
        name: reason for row in (*rows, detector) for name, reason in row["left_out"].items()
    }
    texts += [f"left out: {name}: {reason}" for name, reason in sorted(left_out.items())]
    for text in texts:
        print(textwrap.fill(" ".join(text.split()), terminal.WIDTH))


if __name__ == "__main__":
    terminal.run(main)
