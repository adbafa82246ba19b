"""The report: one HTML page with everything inside it, from templates/report.html."""

import base64
import io
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.report import findings, wording
from pipeline.report.figures import checks, detection
from pipeline.report.figures.canvas import Canvas, looks
from pipeline.report.results import Results

TEMPLATES = Path(__file__).parent / "templates"
QUALITY = 90  # of the pictures in the page: no trace that an eye sees is lost
WORDS = (
    wording.achieved, wording.chosen, wording.history, wording.listed, wording.number,
    wording.outcome, wording.percent, wording.perturbation, wording.plural, wording.sentence,
    wording.span, wording.tasks, wording.value_in, wording.value_of,
)  # fmt: skip
PANELS = (
    detection.overview, detection.roc, detection.scores, checks.sizes, checks.robustness,
    checks.formats, checks.feature_map, checks.learning,
)  # fmt: skip


def html(
    results: Results, parameters: Mapping[str, Any], origin: Mapping[str, str], root: str
) -> str:
    """The page. parameters: by section. origin: name to version of what made it. root: of the data.

    No script, no font and no picture comes from elsewhere; the same arguments give the same bytes.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {function.__name__: function for function in WORDS}
    environment.globals |= {"bound": partial, "picture": picture, "CONSISTENT": wording.CONSISTENT}
    canvas = Canvas()
    text = environment.get_template("report.html").render(
        r=results,
        findings=findings.find(results),
        panels={panels.__name__: panels(results, canvas) for panels in PANELS},
        looks=looks(list(results.generators)),
        heads=wording.heads(next(iter(results.generators.values()))["head_z"]),
        parameters=as_yaml(parameters),
        origin=origin,
        root=root,
    )
    return re.sub(r" (?=[%×])|(?<=[×σ±]) ", "\N{NO-BREAK SPACE}", text) + "\n"


def as_yaml(parameters: Mapping[str, Any]) -> str:
    """The text of a YAML file, lists of numbers and names on one line."""
    from ruamel.yaml import YAML

    yaml, text = YAML(), io.StringIO()
    yaml.default_flow_style, yaml.width = None, 90
    yaml.dump(dict(parameters), text)
    return text.getvalue().rstrip()


def picture(png: bytes) -> dict[str, Any]:
    """A PNG as a data URI (`src`; as WebP, a seventh of the size) with its width and height."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as opened, io.BytesIO() as smaller:
        opened.convert("RGB").save(smaller, format="WEBP", quality=QUALITY)
        source = "data:image/webp;base64," + base64.b64encode(smaller.getvalue()).decode("ascii")
        return {"src": source, "width": opened.width, "height": opened.height}
