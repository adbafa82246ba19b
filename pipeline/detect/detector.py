"""A trained detector for pictures, with the conventions of scikit-learn's outlier detectors.

    detector = Detector.load("models/")
    detector.p_values([picture])   # which share of photographs is at least as unusual
    detector.judge([picture])      # verdicts, with reasons

Pictures are resized and encoded by extraction's own functions, in batches of its size: features are
those of the pipeline to the bit for the same list of pictures, and in other company they differ by
rounding. Mind the orientation: `score_samples` is the log-likelihood, **higher = more normal**, as
in scikit-learn; the pipeline's anomaly score is its negative."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.common.devices import resolve_precision, select_device
from pipeline.detect import model
from pipeline.detect.computing import batches, computing, in_order
from pipeline.detect.inputs import as_pictures
from pipeline.encoder import inference
from pipeline.explanation.entries import deviating_head
from pipeline.extraction.features import FACES_PER_CORE, PIXELS_ON_DEVICE, encode

UNJUDGED = "cannot judge"
FACES_ON_GPU = 64  # in a batch
Outputs = NDArray[np.float32]  # (n, feature_dim + heads): features and head scores


class Judgement(NamedTuple):
    """What is said about one face."""

    anomaly_score: float  # nats, higher = more anomalous
    p_value: float | None  # conformal; None where the face cannot be judged
    verdict: str  # pass | review | flag | cannot judge
    reason: str  # why it cannot be judged, or on which side it is off; "" with pass
    head: str | None  # of the encoder's heads the one that deviates most from photographs
    head_z: float | None  # by how many standard deviations


class Detector:
    """A trained model, ready to judge pictures: PIL images, uint8 arrays (height, width, 3), uint8
    tensors (3, height, width), lists of these, or arrays and tensors of several.

    Each picture is a face, cropped as the photographs were that the density was fitted on. Calls
    from several threads are computed one after the other, each on all cores (PIPELINE_WORKERS)."""

    def __init__(self, trained: model.Model, device: str = "auto") -> None:
        self.model = trained
        self.device = select_device(device, key="device")
        self.precision = resolve_precision(trained.precision, self.device)
        self.encoder = inference.fused(trained.encoder).to(self.device)

    @classmethod
    def load(
        cls,
        models: str | Path = "models",
        *,
        calibration: str | Path | None = None,
        false_alarm_rate: float | None = None,
        device: str = "auto",
    ) -> "Detector":
        """The detector in the folder that `dvc repro` wrote.

        calibration: a file of `python -m pipeline.detect --calibrate`, in place of the model's.
        false_alarm_rate: share of photographs to be flagged at most, in place of the model's.
        Raises NoModel, and UnusableRate for a rate that needs more calibration photographs."""
        return cls(model.read(models, calibration, false_alarm_rate), device)

    @property
    def offset_(self) -> float:
        """The score below which a face is flagged: the negative of the threshold."""
        decisions = self.model.decisions
        return -decisions.thresholds[decisions.flag]

    def score_samples(self, pictures: Any) -> NDArray[np.float64]:
        """Log-likelihood of each picture (n,), **higher = more normal**; or of a density of two
        parts the negative of the score that stands for it. The anomaly score is its negative.
        """
        outputs, _ = self._encoded(pictures)
        return -self.anomaly_scores(outputs)

    def decision_function(self, pictures: Any) -> NDArray[np.float64]:
        """`score_samples` minus `offset_`, (n,): below 0 is flagged."""
        return self.score_samples(pictures) - self.offset_

    def predict(self, pictures: Any) -> NDArray[np.int64]:
        """-1 for each picture that is flagged, 1 for the others, (n,). Which of them can be judged
        at all, `judge` says.
        """
        return np.where(self.decision_function(pictures) < 0, -1, 1)

    def p_values(self, pictures: Any) -> NDArray[np.float64]:
        """Conformal p-value of each picture (n,), the largest over the calibration's histories: of
        photographs like those of the calibration at most a share r has one of at most r.
        """
        outputs, _ = self._encoded(pictures)
        return np.array([one.p_value for one in self._judge(outputs)], dtype=np.float64)

    def judge(self, pictures: Any) -> list[Judgement]:
        """Verdict on each picture, with its reason."""
        outputs, sizes = self._encoded(pictures)
        return self.judgements(outputs, sizes)

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that stand in each row: of model, calibration and rates."""
        decisions = self.model.decisions
        text = f"{self.model.identity} {decisions.thresholds} {decisions.review} {decisions.flag}"
        content = text.encode() + decisions.scores.tobytes()
        return hashlib.sha256(content).hexdigest()[:12]

    # In three steps, for what reads pictures while others are encoded.

    def prepare(self, picture: NDArray[np.uint8]) -> torch.Tensor:
        """A picture (height, width, 3) as input (3, size, size) of the encoder."""
        tensor = torch.from_numpy(picture)[None]  # (1, H, W, 3)
        if tensor[..., 0].numel() <= PIXELS_ON_DEVICE:
            tensor = tensor.to(self.device)
        return inference.resize(tensor, self.model.preprocessing)[0].to(self.device)

    def encode(self, inputs: Sequence[torch.Tensor]) -> Outputs:
        """Features and head scores of one batch of inputs."""
        if not inputs:
            return np.zeros((0, self.encoder.output_dim), np.float32)
        return (
            torch.cat(encode(self.encoder, torch.stack(list(inputs)), self.precision), dim=1)
            .cpu()
            .numpy()
        )

    def anomaly_scores(self, outputs: Outputs) -> NDArray[np.float64]:
        """Anomaly scores (n,) of encoded faces, higher = more anomalous."""
        if not len(outputs):
            return np.zeros(0)
        return self.model.density.anomaly_score(*self.features_and_heads(outputs))

    def judgements(self, outputs: Outputs, sizes: Sequence[tuple[int, int]]) -> list[Judgement]:
        """Verdicts on encoded faces of these widths and heights."""
        known, judged = self.model.sizes, self._judge(outputs)
        reasons = [known.reason(*size) if known else "" for size in sizes]
        return [
            one._replace(p_value=None, verdict=UNJUDGED, reason=reason) if reason else one
            for one, reason in zip(judged, reasons, strict=True)
        ]

    def features_and_heads(
        self, outputs: Outputs
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The parts of outputs: features (n, feature_dim) and head scores (n, heads)."""
        wide = outputs.astype(np.float64)
        return wide[:, : self.encoder.feature_dim], wide[:, self.encoder.feature_dim :]

    @property
    def batch_size(self) -> int:
        """Faces that are encoded together."""
        return FACES_PER_CORE if self.device.type == "cpu" else FACES_ON_GPU

    def _encoded(self, pictures: Any) -> tuple[Outputs, list[tuple[int, int]]]:
        """Outputs and sizes (width, height) of pictures."""
        arrays = as_pictures(pictures)

        def compute(batch: Sequence[NDArray[np.uint8]]) -> Outputs:
            return self.encode([self.prepare(picture) for picture in batch])

        with computing():
            parts = list(in_order(compute, batches(arrays, self.batch_size)))
        sizes = [(array.shape[1], array.shape[0]) for array in arrays]
        return np.concatenate(parts) if parts else self.encode([]), sizes

    def _judge(self, outputs: Outputs) -> list[Judgement]:
        if not len(outputs):
            return []
        features, heads = self.features_and_heads(outputs)
        columns = self.model.decisions.columns(self.anomaly_scores(outputs), heads)
        side = self.model.density.side(features, heads)
        judged = []
        for i, (score, p, verdict) in enumerate(
            zip(*(columns[key] for key in ("anomaly_score", "p_value", "verdict")), strict=True)
        ):
            z = {head: float(columns[f"z_{head}"][i]) for head in self.encoder.head_names}
            head = deviating_head(z)
            reason = "" if verdict == "pass" else str(side[i])
            most = None if head is None else z[head]
            judged.append(Judgement(float(score), float(p), str(verdict), reason, head, most))
        return judged
