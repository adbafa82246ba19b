"""Calibration on a person's own photographs: a file that takes the place of the model's own.

The trained model stays as it is. Its false alarm rates then hold for photographs like these, if
encoder and density have not seen them."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import terminal
from pipeline.calibration.rates import Size, guarantee, photographs_needed
from pipeline.calibration.thresholds import fewest_photographs
from pipeline.common import artifacts
from pipeline.detect.detector import Detector, Outputs
from pipeline.detect.errors import Unusable, UnusableRate
from pipeline.detect.model import Rates
from pipeline.detect.scoring import Face

SUFFIX = ".npz"


@dataclass
class Photographs:
    """What is known of the photographs to calibrate on."""

    outputs: list[Outputs] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)  # width, height
    digests: list[bytes] = field(default_factory=list)  # of the encoder's inputs
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, faces: Iterable[Face], outputs: Outputs) -> None:
        """Take in a batch of faces, and the outputs of those that could be encoded."""
        self.outputs.append(outputs)
        for face in faces:
            if face.input is not None:
                self.sizes.append(face.size)
                pixels = face.input.cpu().numpy().tobytes()
                self.digests.append(hashlib.sha256(pixels).digest())
            else:
                self.errors[face.row["error"] or face.row["reason"]] += 1


def write(
    out: Path, detector: Detector, photographs: Photographs, framing: str, rate: float | None
) -> str:
    """Write the calibration file; returns what to tell about it.

    framing: of the faces, as `crops` names it. rate: to flag at, in place of the model's. Raises
    UnusableRate where the photographs are too few for it, and writes nothing."""
    flag = rate or detector.model.rates.flag
    rates = Rates(max(flag, detector.model.rates.review), flag)
    outputs = np.concatenate(photographs.outputs or [detector.encode([])])
    first = {digest: row for row, digest in reversed(list(enumerate(photographs.digests)))}
    rows, n = sorted(first.values()), len(first)  # the same picture twice counts once
    if (needed := fewest_photographs(rates.flag)) > n:
        raise UnusableRate(
            f"a false alarm rate of {rates.flag:g} needs at least {needed:,} different photographs "
            f"that can be read, got {n:,}, enough for {1 / (n + 1):.2g}: add some, or choose a "
            "larger rate with --false-alarm-rate"
        )
    _, heads = detector.features_and_heads(outputs[rows])
    artifacts.write_npz(
        out,
        scores=np.sort(detector.anomaly_scores(outputs[rows]))[None],  # of one history
        head_means=heads.mean(axis=0),
        head_deviations=heads.std(axis=0, ddof=1),
        head_names=np.array(detector.encoder.head_names),
        sizes=np.array(photographs.sizes, dtype=np.int64)[rows],
        model=np.array(detector.model.identity),
        framing=np.array(framing),
    )
    left_out = [f"left out: {count:,} x {error}" for error, count in photographs.errors.items()]
    if twice := len(outputs) - n:
        left_out.append(f"left out: {twice:,} x the same picture again")
    title = f"{n:,} calibration photographs, taken to show different persons: {out}"
    return "\n".join([terminal.format_table(table(n, rates), title), *left_out])


def table(n: int, rates: Rates) -> list[dict[str, Any]]:
    """What n photographs, each of another person, promise for each rate: where the true rate lies,
    and how many would make that interval as narrow as the rate.
    """
    rows = []
    for rate in sorted({rates.flag, rates.review}):
        law = guarantee(Size(n, n), rate)
        rows.append(
            {
                "rate": f"{rate:g}",
                "true rate, 95 %": f"{law['low']:.4f} to {law['high']:.4f}",
                "photographs": n,
                "needed at least": fewest_photographs(rate),
                "advisable": photographs_needed(rate),
            }
        )
    return rows


def check_name(out: Path | None) -> Path:
    """The file to write. Unusable unless it is named, is .npz, and is not there yet."""
    if out is None or out.suffix != SUFFIX:
        raise Unusable(f"--calibrate needs --out FILE{SUFFIX} to write the calibration to")
    if out.exists():
        raise Unusable(f"{out} is there already: remove it or choose another --out")
    return out
