"""How the report writes numbers, and what it concludes from them."""

from collections.abc import Mapping
from math import isfinite
from typing import Any


def number(value: float, digits: int = 3) -> str:
    """A number with thousands separated and a real minus sign."""
    return f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def percent(share: float) -> str:
    """A share in per cent with one decimal; two where it is small."""
    digits = 2 if 0 < abs(share) < 0.00995 else 1
    return f"{100 * share:.{digits}f} %"


def cell(value: float | None) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None or not isfinite(value) else number(value)


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def interval(bounds: Mapping[str, float]) -> str:
    """`low` and `high` of a rate."""
    return f"{percent(bounds['low'])} and {percent(bounds['high'])}"


def verdict_of_rate(test: Mapping[str, Any], rate: float) -> tuple[str, bool]:
    """Whether the false alarm rate on test photographs is compatible with the chosen one, in words and as a truth value.

    test: the `test` part of metrics/calibration.json.
    """
    binomial, wide = test["binomial_99"], test["beta_binomial_99"]
    said = (
        f"Chosen: {percent(rate)} false alarms. Achieved on {test['test_faces']:,} test photographs: "
        f"{percent(test['false_alarm_rate'])} ({test['false_alarms']:,}). "
    )
    if binomial["within"]:
        return said + f"That is within the binomial 99 % range, between {interval(binomial)}: compatible with the choice.", True
    if wide["within"]:
        return (
            said + f"That is outside the binomial 99 % range, between {interval(binomial)}, but within {interval(wide)}, which "
            "also counts that the threshold rests on finitely many calibration photographs: more of them would make it sharper."
        ), True
    return (
        said + f"That is outside the 99 % range, between {interval(wide)}: test and calibration photographs differ, and the "
        "chosen rate does not hold for photographs like the test photographs."
    ), False


def verdict_of_real_against_real(calibration: Mapping[str, Any]) -> tuple[str, bool]:
    """Whether calibration and test photographs look alike to the detector (within 2.58 standard errors: 99 %)."""
    auc, error = calibration["real_against_real_auc"], calibration["real_against_real_auc_standard_error"]
    alike = abs(auc - 0.5) <= 2.58 * error
    end = "no difference beyond chance." if alike else "they differ, so an AUC near this says nothing about a generator."
    said = f"Photographs against photographs (calibration, test): ROC AUC {number(auc)} ± {number(error)} (standard error): "
    return said + end, alike
