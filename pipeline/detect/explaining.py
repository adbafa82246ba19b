"""Why a face is not passed: the parts of it that carry the anomaly, and the nearest photographs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.base import terminal
from pipeline.base.schema import FeatureExtraction
from pipeline.detect.computing import computing
from pipeline.detect.crops import Whole
from pipeline.detect.detector import Detector, Outputs
from pipeline.detect.errors import Unusable
from pipeline.detect.scoring import encoded
from pipeline.detect.sources import find
from pipeline.explanation import neighbours, occlusion

NEIGHBOURS = 3  # as many as explain shows beside a face and its map
Picture = NDArray[np.uint8]  # (height, width, 3)


class Why(NamedTuple):
    """What explains a face."""

    seen: Picture  # (size, size, 3), the encoder's input
    overlay: Picture  # the same in grey, red where it carries the anomaly
    drop: float  # largest drop of the anomaly score where a part is covered, nats
    where: str  # that part, in words; "nowhere" where no part carries it
    nearest: list[tuple[str, float]]  # photographs' paths and distances, standard deviations


class Explainer:
    """Explains faces of a detector. Without photographs none are near."""

    def __init__(self, detector: Detector, crops: Whole, photographs: str | None = None) -> None:
        """crops: of the faces to explain. photographs: file, folder or glob pattern, each a face as
        a whole, all encoded here. Unusable where none of them can be read.
        """
        self.detector, self.crops, trained = detector, crops, detector.model
        settings = FeatureExtraction.model_validate(
            {
                "batch_size": detector.batch_size,
                "device": detector.device.type,
                "precision": trained.precision,
            }
        )
        self._scorer = occlusion.Scorer(
            trained.encoder, trained.preprocessing, settings, trained.density
        )
        self.paths, outputs = _encoded(detector, photographs) if photographs else ([], None)
        self._known = self._placed(outputs) if outputs is not None else None  # (m, D)

    def explain(self, picture: Picture) -> Why:
        """What explains a face (height, width, 3); to be called inside `computing`."""
        inputs = self.detector.prepare(picture)  # (3, size, size)
        pixels = inputs.cpu().numpy()
        values = occlusion.drops(self._scorer, self.detector.encoder, pixels)
        drop = occlusion.spread(values, pixels.shape[-1])  # (size, size)
        seen = np.round(pixels).astype(np.uint8).transpose(1, 2, 0)
        nearest = self._nearest(self.detector.encode([inputs]))
        return Why(seen, occlusion.overlay(seen, drop), *occlusion.strongest(drop), nearest)

    def _nearest(self, outputs: Outputs) -> list[tuple[str, float]]:
        if self._known is None:
            return []
        density = self.detector.model.density
        mixture = density.mixtures[density.space]
        found = neighbours.nearest(mixture, self._placed(outputs), self._known, NEIGHBOURS)
        rows, distances = (each[0].tolist() for each in found)
        return [(self.paths[row], distance) for row, distance in zip(rows, distances, strict=True)]

    def _placed(self, outputs: Outputs) -> NDArray[np.float64]:
        """Faces in the space in which the density compares them."""
        features, heads = self.detector.features_and_heads(outputs)
        return features if self.detector.model.density.space == "features" else heads


def _encoded(detector: Detector, photographs: str) -> tuple[list[str], Outputs]:
    """Paths and outputs of those photographs that can be read."""
    files, _ = find([photographs])
    usable: list[bool] = []
    parts: list[Outputs] = []
    with computing(), terminal.progress((), total=len(files), what="photographs") as bar:
        for faces, outputs in encoded(detector, files, Whole()):  # each file is one face
            usable += [face.input is not None for face in faces]
            parts.append(outputs)
            bar.update(len(faces))
    if not any(usable):
        raise Unusable(f"--photographs {photographs}: none of {len(files):,} files can be read")
    paths = [path for path, good in zip(files, usable, strict=True) if good]
    return paths, np.concatenate(parts)
