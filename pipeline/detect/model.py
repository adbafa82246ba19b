"""What a folder of a trained model holds, read and checked: encoder, density, thresholds, and the
scores of the calibration photographs.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.calibration.decisions import Decisions
from pipeline.calibration.thresholds import conformal_threshold, fewest_photographs, rate_key
from pipeline.common import artifacts
from pipeline.density.density import Density
from pipeline.detect.domain import Sizes
from pipeline.detect.errors import NoModel, Unusable, UnusableRate
from pipeline.encoder.checkpoints import load_encoder
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing

ENCODER, DENSITY = "encoder.safetensors", "gmm.npz"
THRESHOLD, CALIBRATION = "threshold.json", "calibration.npz"
PRECISION = "float32"  # of features, where the thresholds' file does not say


@dataclass(frozen=True)
class Rates:
    """Shares of photographs: above the threshold of `flag` a face is flagged, above that of
    `review`, which is not smaller, it is to be reviewed.
    """

    review: float
    flag: float


@dataclass(frozen=True)
class Model:
    """A trained model as its files have it."""

    encoder: Encoder
    preprocessing: Preprocessing
    density: Density
    decisions: Decisions  # with the thresholds of `rates`
    rates: Rates
    sizes: Sizes | None  # of the calibration photographs, where their file has them
    precision: str  # that features were computed with: float32 | bfloat16 | auto
    identity: str  # hexadecimal, of encoder and density: which calibration belongs to them
    framing: str | None = None  # of the faces of a calibration of one's own, as crops.py has it

    @property
    def calibration_faces(self) -> int:
        """Number of calibration photographs."""
        return int(self.decisions.scores.shape[1])


def read(
    folder: str | Path, calibration: str | Path | None = None, false_alarm_rate: float | None = None
) -> Model:
    """The model in a folder that `dvc repro` wrote (models/).

    calibration: a file that `--calibrate` wrote, in place of the model's own. false_alarm_rate: to
    flag at, in place of the model's. Raises NoModel, and UnusableRate where the calibration
    photographs are too few for the rate."""
    folder = Path(folder)
    paths = {name: folder / name for name in (ENCODER, DENSITY, THRESHOLD, CALIBRATION)}
    for name, path in paths.items():
        if not path.is_file():
            raise NoModel(
                f"{folder}: no {name} here; train a model with `dvc repro`, or give the folder of "
                "one with --model"
            )
    own = Path(calibration) if calibration else paths[CALIBRATION]
    try:
        identity = _identity(paths[ENCODER], paths[DENSITY])
        content, arrays = artifacts.read_json(paths[THRESHOLD]), artifacts.read_npz(own)
        decisions = Decisions.from_contents(content, arrays, (paths[THRESHOLD], own))
        rates = _rates(content, paths[THRESHOLD], false_alarm_rate)
        if calibration:
            _check_belongs(arrays, identity, own)
        else:
            _check_one_run(decisions, content, folder)
        encoder, preprocessing = load_encoder(paths[ENCODER])
        density = Density.from_arrays(artifacts.read_npz(paths[DENSITY]), str(paths[DENSITY]))
        sizes = Sizes.from_array(arrays["sizes"], own) if "sizes" in arrays else None
    except PipelineError as error:
        raise NoModel(str(error)) from error
    return Model(
        encoder=encoder,
        preprocessing=preprocessing,
        density=density,
        decisions=at_rates(decisions, rates),
        rates=rates,
        sizes=sizes,
        precision=str(content.get("precision", PRECISION)),
        identity=identity,
        framing=str(arrays["framing"]) if "framing" in arrays else None,
    )


def check_framing(model: Model, framing: str) -> None:
    """Unusable where the faces of the model's calibration were framed otherwise."""
    if model.framing not in (None, framing):
        made, now = (f"--crop {each or 'none or boxes'}" for each in (model.framing, framing))
        raise Unusable(
            f"the calibration was made with {made}, not {now}: its thresholds do not hold for "
            "faces in another frame; score with the same options, or calibrate again with these"
        )


def at_rates(decisions: Decisions, rates: Rates) -> Decisions:
    """The decisions with thresholds of these rates. UnusableRate where the photographs are too few.

    A threshold is the largest over the histories, so that its rate holds for each of them."""
    n = decisions.scores.shape[1]
    if (needed := fewest_photographs(rates.flag)) > n:
        raise UnusableRate(
            f"a false alarm rate of {rates.flag:g} needs at least {needed:,} calibration "
            f"photographs, there are {n:,}, enough for {1 / (n + 1):.2g}: choose a larger "
            "rate with --false-alarm-rate, or calibrate on more photographs with --calibrate"
        )
    by_rate = {
        rate_key(rate): max(conformal_threshold(own, rate) for own in decisions.scores)
        for rate in (rates.review, rates.flag)
    }
    review, flag = rate_key(rates.review), rate_key(rates.flag)
    return replace(decisions, thresholds=by_rate, review=review, flag=flag)


def _rates(content: Any, source: Path, chosen: float | None) -> Rates:
    try:
        review, flag = (
            float(content["rates"][content[name]]["false_alarm_rate"])
            for name in ("review", "flag")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PipelineError(f"{source}: malformed ({error!r}): run calibrate again") from None
    flag = flag if chosen is None else chosen
    return Rates(max(review, flag), flag)


def _check_one_run(decisions: Decisions, content: Any, folder: Path) -> None:
    """The thresholds are those of the scores beside them."""
    for key, threshold in decisions.thresholds.items():
        rate = float(content["rates"][key].get("false_alarm_rate", np.nan))
        if not 0 < rate < 1 or fewest_photographs(rate) > decisions.scores.shape[1]:
            raise PipelineError(f"{folder / THRESHOLD}: malformed rate {key}: run calibrate again")
        if max(conformal_threshold(own, rate) for own in decisions.scores) != threshold:
            raise PipelineError(
                f"{folder}: {THRESHOLD} and {CALIBRATION} are of different runs: copy both from "
                "one, or run calibrate again"
            )


def _check_belongs(arrays: Mapping[str, np.ndarray], identity: str, source: Path) -> None:
    made_by = str(arrays.get("model", "not said"))
    if made_by != identity:
        raise PipelineError(
            f"{source}: a calibration of another model ({made_by:.12}, not {identity:.12}): "
            "scores of two models have nothing in common; calibrate again with --calibrate"
        )
    if "framing" not in arrays:
        raise PipelineError(
            f"{source}: does not say with which --crop it was made, and thresholds depend on it; "
            "calibrate again with --calibrate"
        )


def _identity(*paths: Path) -> str:
    return hashlib.sha256("".join(map(artifacts.sha256, paths)).encode()).hexdigest()
