"""How the report writes numbers, and short sentences that several of its parts share."""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from pipeline.base.perturbation_names import CLEAN, parse
from pipeline.base.terminal import fixed

DASH = "–"
CONSISTENT = "consistent with the chosen rate"  # the one good verdict of calibrate
HEADS = {  # those that are known, in the order in which they are shown
    "iso": "ISO",
    "f_number": "f-number",
    "exposure_time_s": "exposure time (s)",
    "focal_length_mm": "focal length (mm)",
    "manipulation": "manipulation",
}
RANKED = ("iso", "f_number", "exposure_time", "focal_length")  # the same in figures
KINDS = {  # title of a perturbation, sign before its strength, what the strength is
    "jpeg": ("JPEG", "", "quality"),
    "double_jpeg": ("double JPEG", "", "quality of the first compression"),
    "webp": ("WebP", "", "quality"),
    "resize": ("resize", "× ", "share of the side"),
    "crop": ("crop", "× ", "share of the side"),
    "blur": ("blur", "σ ", "sigma in pixels"),
    "noise": ("noise", "σ ", "sigma in grey levels"),
}


def heads(names: Collection[str]) -> dict[str, str]:
    """Titles of heads, or of their figures, in the order in which they are shown: known tags, then
    further ones, then manipulation.
    """
    *known, last = HEADS
    further = sorted(set(names).difference(HEADS))
    order = [*known, *further, last]
    return {name: HEADS.get(name, name.replace("_", " ")) for name in order if name in names}


def tasks(names: Collection[str]) -> list[str]:
    """Names of ranked tags among figures, without their mean, in the order of `heads`."""
    known = [name for name in RANKED if name in names]
    return known + sorted(set(names).difference(known, ["mean"]))


class Value(NamedTuple):
    """A number with its 95 % interval; None is what could not be computed."""

    value: float | None
    low: float | None = None
    high: float | None = None


def value_of(metrics: Mapping[str, Any], *path: str) -> Value:
    """A number of an entry of generators.json with its interval, such as ("auc",)."""
    return Value(*(_dig(metrics[part], path) for part in ("values", "low", "high")))


def value_in(row: Mapping[str, Any], *path: str) -> Value:
    """The same of a row of table.json or of audit/*.json, where x stands beside x_low and x_high,
    or beside low and high.
    """
    *above, last = path
    tree = _dig(row, above) or {}
    prefix = f"{last}_" if f"{last}_low" in tree else ""
    return Value(tree.get(last), tree.get(f"{prefix}low"), tree.get(f"{prefix}high"))


def achieved(rate: Mapping[str, Any]) -> Value:
    """The false alarm rate on test photographs, of an entry of calibration.json's rates."""
    return Value(rate["false_alarm_rate"], *(rate["exact_95"][end] for end in ("low", "high")))


def _dig(tree: Any, path: Sequence[str]) -> Any:
    for key in path:
        tree = None if tree is None else tree.get(key)
    return tree


def number(value: float | None, digits: int = 3) -> str:
    """A number with thousands separated and a real minus sign; a dash where there is none."""
    if value is None or not isfinite(value):
        return DASH
    return fixed(value, digits).replace("-", "\N{MINUS SIGN}")


def percent(share: float | None) -> str:
    """A share in per cent with one decimal, two where it is small; a dash where there is none."""
    if share is None:
        return DASH
    return f"{number(100 * share, 2 if 0 < abs(share) < 0.00995 else 1)} %"


def chosen(rate: float) -> str:
    """A chosen rate in per cent, as written in params.yaml."""
    return f"{100 * rate:.6g} %"


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def span(low: float | None, high: float | None, form: Callable[[float], str] = number) -> str:
    """An interval, or "" where it could not be computed; a shared " %" is written once."""
    if low is None or high is None:
        return ""
    first, last = form(low), form(high)
    return f"{first.removesuffix(' %') if last.endswith(' %') else first}{DASH}{last}"


def listed(names: Sequence[str]) -> str:
    """Names as in a sentence: a, b and c."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def perturbation(content: Mapping[str, Any]) -> str:
    """Title of a perturbation, from its `kind` and `strength`."""
    kind = content["kind"]
    title, sign, _ = KINDS.get(kind, (kind.replace("_", " "), "", ""))
    return f"{title} {sign}{content['strength']:g}"


def history(name: str) -> str:
    """Title of a history of calibration.histories, for photographs as they are too."""
    if name == CLEAN:
        return "as they are"
    kind, strength = parse(name)
    return perturbation({"kind": kind, "strength": strength})


def sentence(text: str) -> str:
    """A text with a capital and one full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def outcome(rate: Mapping[str, Any]) -> str:
    """The verdict on a chosen false alarm rate, and its qualifier."""
    return f"{rate['verdict']} ({rate['qualifier']})" if rate["qualifier"] else str(rate["verdict"])
