"""How the report writes numbers, and what it concludes from them."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

DASH = "–"
HEADS = {
    "iso": "ISO",
    "f_number": "f-number",
    "exposure_time_s": "exposure time (s)",
    "focal_length_mm": "focal length (mm)",
    "manipulation": "manipulation",
}
KINDS = {  # title of a perturbation, and how its strength reads
    "jpeg": ("JPEG", ""),
    "double_jpeg": ("double JPEG", ""),
    "webp": ("WebP", ""),
    "resize": ("resize", "× "),
    "crop": ("crop", "× "),
    "blur": ("blur", "σ "),
    "noise": ("noise", "σ "),
}


def number(value: float, digits: int = 3) -> str:
    """A number with thousands separated and a real minus sign."""
    return f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def percent(share: float) -> str:
    """A share in per cent with one decimal; two where it is small."""
    digits = 2 if 0 < abs(share) < 0.00995 else 1
    return f"{100 * share:.{digits}f} %"


def chosen(rate: float) -> str:
    """A chosen rate in per cent, as written in params.yaml."""
    return f"{100 * rate:.6g} %"


def cell(value: float | None, form: Callable[[float], str] = number) -> str:
    """A number, or a dash where there is none."""
    return DASH if value is None or not isfinite(value) else form(value)


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def span(low: float | None, high: float | None, form: Callable[[float], str] = number) -> str:
    """An interval, or nothing where it could not be computed; a shared " %" is written once."""
    if low is None or high is None:
        return ""
    first, last = form(low), form(high)
    return (
        f"{first.removesuffix(' %')}{DASH}{last}" if last.endswith(" %") else f"{first}{DASH}{last}"
    )


def listed(names: list[str]) -> str:
    """Names as in a sentence: a, b and c."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def perturbation(kind: str, strength: float) -> str:
    """Title of a perturbation."""
    title, sign = KINDS.get(kind, (kind.replace("_", " "), ""))
    return f"{title} {sign}{strength:g}"


def sentence(text: str) -> str:
    """A text with a capital and one full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def unusual(p_value: float) -> str:
    """What a conformal p-value means, in words: it bounds the share, also where no calibration
    photograph is as unusual.
    """
    return f"no more than about {percent(p_value)} of photographs look this unusual"


def outcome(rate: Mapping[str, Any]) -> str:
    """The verdict on a chosen false alarm rate with what to know beside it. rate: as for `held`."""
    return f"{rate['verdict']} ({rate['qualifier']})" if rate["qualifier"] else str(rate["verdict"])


def held(rate: Mapping[str, Any]) -> str:
    """Whether a chosen false alarm rate holds, and why. rate: an entry of `rates` in
    metrics/calibration.json.
    """
    return f"Chosen false alarm rate {chosen(rate['chosen'])}: {outcome(rate)}. {sentence(rate['reason'])}"


def verdict_of_real_against_real(calibration: Mapping[str, Any]) -> tuple[str, bool]:
    """Whether calibration and test photographs look alike to the detector (within 2.58 standard
    errors: 99 %).
    """
    auc, error = (
        calibration["real_against_real_auc"],
        calibration["real_against_real_auc_standard_error"],
    )
    alike = abs(auc - 0.5) <= 2.58 * error
    end = (
        "no difference beyond chance."
        if alike
        else "they differ, so an AUC near this says nothing about a generator."
    )
    said = f"Photographs against photographs (calibration, test): ROC AUC {number(auc)} ± {number(error)} (standard error): "
    return said + end, alike
