"""The model card, as Hugging Face has it: a YAML head and what a user must know.

Figures are those of metrics/ alone; one that is not there is left out, with a sentence."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.base import terminal
from pipeline.detect.model import Model
from pipeline.export.measurements import Measurements
from pipeline.export.whole import LABELS
from pipeline.report.results import SIMULATED

NAME = "Detector of AI-generated faces as anomalies"
PAPER = "https://arxiv.org/abs/2501.02207"
SAMPLE_LICENCE = "apache-2.0"  # of the simulated sample, which the code makes
UNKNOWN_LICENCE = "not said"
DETECTED = "detection_rate_at_"
ALARMS = "false_alarm_rate_at_"


class Facts(NamedTuple):
    """What a card is made of."""

    model: Model
    measured: Measurements
    data_licence: str
    recalibrated: bool  # on other photographs than those of the figures


def licence(given: str | None, measured: Measurements) -> str:
    """The licence of the data: as given; else the sample's, where it is known to be that."""
    if given:
        return given
    return SAMPLE_LICENCE if _simulated(measured) else UNKNOWN_LICENCE


def text(facts: Facts, file: str) -> str:
    """The text of MODEL_CARD.md for a detector in an ONNX file of this name."""
    licences = f"Code: Apache-2.0. Data that the model was trained on: {facts.data_licence}."
    sections = {
        "Intended use": _use(file),
        "Data": _data(facts),
        "Results": "\n\n".join(_results(facts)),
        "Limits": _limits(facts.model),
        "Licence": licences,
    }
    body = "\n\n".join(f"## {title}\n\n{content}" for title, content in sections.items())
    return f"---\n{_head(facts.measured, facts.data_licence)}\n---\n\n# {NAME}\n\n{body}\n"


def _head(measured: Measurements, data_licence: str) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    known = re.fullmatch(r"[a-z0-9.-]+", data_licence)  # as Hugging Face names licences
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=name,
            dataset_name=name,
            metric_type="roc_auc",
            metric_value=row["auc"],
        )
        for name, row in _generators(measured).items()
    ]
    named: dict[str, Any] = {"model_name": NAME, "eval_results": results} if results else {}
    data = ModelCardData(
        license=data_licence if known else "other",
        license_name=None if known else data_licence,
        library_name="onnx",
        pipeline_tag="image-classification",
        tags=["anomaly-detection", "image-forensics", "faces"],
        **named,
    )
    return data.to_yaml().strip()


def _use(file: str) -> str:
    numbers = ", ".join(f"{number} = {label}" for number, label in enumerate(LABELS))
    return f"""\
Ranks pictures of one face each by how unlike photographs they are, for a person who looks at the
most unusual ones; the method is that of [Zou et al.]({PAPER}), with calibrated false alarm rates.
It is not made to accuse or to reject anyone by itself.

`{file}` takes `pictures`, uint8 of shape (n, height, width, 3), RGB as decoded, cropped as the
photographs were that it was calibrated on, all of one size. It returns for each

- `anomaly_score`, float64: higher = more anomalous;
- `p_value`, float64: at most a share r of photographs like those of the calibration has p <= r; no
  probability of being AI-generated. NaN where the face cannot be judged;
- `verdict`, int64: {numbers}."""


def _data(facts: Facts) -> str:
    model, measured = facts.model, facts.measured
    histories, n = model.decisions.scores.shape
    which = "of the user's" if facts.recalibrated else "of persons whom the density has not seen"
    each = f", each with {histories} histories" if histories > 1 else ""
    lines = [f"Thresholds are set by {n:,} photographs {which}{each}."]
    if model.sizes:
        lines.append(
            f"Their sides have {model.sizes.shortest} to {model.sizes.longest} pixels; a face of "
            "any other size gets the verdict *cannot judge*."
        )
    else:
        lines.append("Their sizes are not recorded: a face of any size is judged.")
    if _simulated(measured):
        lines.append(
            "**Photographs and generators are simulated** by the project's code: the results say "
            "that the code works, and nothing about real generators."
        )
    return "\n".join(lines)


def _results(facts: Facts) -> Iterator[str]:
    measured = facts.measured
    evaluation, pretext = (measured.contents.get(name) for name in ("evaluation", "pretext"))
    if evaluation:
        yield _table(evaluation, _generators(measured))
        yield _interval(evaluation.get("mean", {}))
        yield _alarms(evaluation)
        if facts.recalibrated:
            yield "These shares are of the model's own thresholds; this file has others."
    if pretext:
        accuracy, auc = pretext["ranking_accuracy"]["mean"], pretext["manipulation_auc"]
        shown = {"pairs of EXIF tags ranked right": accuracy, "AUC of manipulations": auc}
        known = [f"{what} {value:.3f}" for what, value in shown.items() if value is not None]
        yield f"Pretext task, on faces not trained on: {', '.join(known) or 'no figure'}."
    for name, reason in measured.left_out.items():
        yield f"Figures of the {name} are left out: {reason}."


def _table(evaluation: Mapping[str, Any], generators: Mapping[str, Any]) -> str:
    """A row for each generator and their mean, as Markdown."""
    rows = {**generators, "mean": evaluation.get("mean", {})}
    rates = sorted(
        {key for row in rows.values() for key in row if key.startswith(DETECTED)}, key=_rate
    )
    title = ["generator", "AUC", *(f"detected at {_rate(key):g} %" for key in rates)]
    lines = [title, ["---"] * len(title)]
    lines += [
        [name, *(_cell(row.get(key)) for key in ("auc", *rates))] for name, row in rows.items()
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _interval(mean: Mapping[str, Any]) -> str:
    low, high = mean.get("auc_low"), mean.get("auc_high")
    if low is None or high is None:
        return "The interval of the mean AUC is left out: evaluation.json has none."
    return (
        f"95 % interval of the mean AUC: {low:.3f} to {high:.3f}. Those of single generators are "
        "left out: evaluation.json has none."
    )


def _alarms(evaluation: Mapping[str, Any]) -> str:
    """What share of photographic test faces is above each threshold."""
    found = [
        f"{terminal.percent(value)} at {_rate(key):g} %"
        for key, value in evaluation.items()
        if key.startswith(ALARMS) and value is not None
    ]
    return f"False alarms on photographic test faces: {', '.join(found) or 'no figure'}."


def _limits(model: Model) -> str:
    return f"""\
- *flag* means p <= {model.rates.flag:g}, *review* p <= {model.rates.review:g}: up to such shares of
  real photographs get them, too. Where few faces are generated, most flags are false alarms.
- A face that passes need not be a photograph: some generators are not found at all.
- The rates hold for photographs like those of the calibration. Another camera, size, crop,
  retouching or recompression can be unusual, too: calibrate on your own, and export again.
- Nothing here reads files, finds faces or turns pictures: that is done before."""


def _generators(measured: Measurements) -> dict[str, Mapping[str, Any]]:
    evaluation = measured.contents.get("evaluation", {})
    return {
        name: row
        for name, row in sorted(evaluation.items())
        if isinstance(row, Mapping) and name not in ("mean", "worst") and row.get("auc") is not None
    }


def _simulated(measured: Measurements) -> bool:
    return any(name.startswith(SIMULATED) for name in _generators(measured))


def _rate(key: str) -> float:
    """Per cent, of a key such as false_alarm_rate_at_0_1_percent."""
    share = key.rpartition("_at_")[2].removesuffix("_percent")
    return float(share.replace("_", "."))


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
