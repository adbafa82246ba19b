"""The report: one HTML page with everything inside it, from templates/report.html."""

import base64
import io
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.report import findings, wording
from pipeline.report.figures import panels
from pipeline.report.figures.canvas import looks
from pipeline.report.results import Results
from pipeline.report.wording import number, percent, span, value_in

TEMPLATES = Path(__file__).parent / "templates"
QUALITY = 90  # of the pictures in the page: no trace that an eye sees is lost
WORDS = (
    wording.chosen, wording.counted, wording.listed, wording.number, wording.outcome,
    wording.percent, wording.perturbation, wording.plural, wording.sentence, wording.span,
    wording.spread, wording.unusual, wording.value_in, wording.value_of,
)  # fmt: skip


def html(
    results: Results, parameters: Mapping[str, Any], origin: Mapping[str, str], root: str
) -> str:
    """The page. parameters: by section. origin: name to version of what made it. root: of the data.

    No script, no font and no picture comes from elsewhere; the same arguments give the same bytes.
    """
    import yaml
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {function.__name__: function for function in WORDS}
    environment.globals |= {"DASH": wording.DASH, "bound": partial, "picture": picture}
    dumped = yaml.safe_dump(dict(parameters), sort_keys=False, width=90, default_flow_style=None)
    text = environment.get_template("report.html").render(
        r=results,
        findings=findings.find(results),
        tiles=tiles(results),
        panels=panels.draw(results),
        looks=looks(list(results.generators)),
        heads=wording.HEADS,
        parameters=dumped.rstrip(),
        origin=origin,
        root=root,
    )
    return re.sub(r" (?=[%×])|(?<=[×σ±]) ", "\N{NO-BREAK SPACE}", text) + "\n"


def picture(png: bytes) -> dict[str, Any]:
    """A PNG as a data URI (`src`; as WebP, a seventh of the size) with its width and height."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as opened, io.BytesIO() as smaller:
        opened.convert("RGB").save(smaller, format="WEBP", quality=QUALITY)
        content = base64.b64encode(smaller.getvalue()).decode("ascii")
        return {
            "src": f"data:image/webp;base64,{content}",
            "width": opened.width,
            "height": opened.height,
        }


def tiles(results: Results) -> list[dict[str, str]]:
    """The four figures that a reader should take away: label, value, remark, and kind (good or
    warning) where there is a verdict.
    """
    mean, worst, key = results.table["mean"], results.table["worst"], results.headline
    rate, exact = results.rates[key], results.rates[key]["exact_95"]
    over = wording.plural(len(results.generators), "generator")
    chosen = wording.chosen(rate["chosen"])
    alarms = f"{rate['false_alarms']:,} of {results.calibration['test_faces']:,} test photographs"
    achieved = wording.Value(rate["false_alarm_rate"], exact["low"], exact["high"])
    detected = value_in(mean, key, "detection_rate")
    rows: list[tuple[str, wording.Value, Any, str]] = [
        ("ROC AUC", value_in(mean, "auc"), number, f"mean of {over}. 0.5 is chance, 1 is perfect"),
        ("ROC AUC, worst generator", value_in(worst, "auc"), number, str(worst["generator"])),
        (f"Detected at {chosen} false alarms", detected, percent, f"mean of {over}"),
        ("False alarms", achieved, percent, f"{alarms}. Chosen {chosen}: {wording.outcome(rate)}"),
    ]
    kinds = ["", "", "", "good" if rate["verdict"] == wording.CONSISTENT else "warning"]
    made = []
    for (label, value, form, remark), kind in zip(rows, kinds, strict=True):
        interval = span(value.low, value.high, form)
        said = f"95 % interval {interval}" if interval else "no interval"
        tile = {"label": label, "value": form(value.value), "kind": kind}
        made.append(tile | {"remark": f"{said}; {remark}"})
    return made
