"""What a reader should worry about, and what is in order: sentences decided by the results."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from pipeline.base.perturbation_names import CLEAN
from pipeline.report.results import Results
from pipeline.report.wording import (
    CONSISTENT,
    chosen,
    history,
    listed,
    number,
    outcome,
    percent,
    perturbation,
    plural,
    sentence,
    span,
)

MISSED = 0.5  # a generator of which a smaller share is detected at the headline rate is missed
CONFOUNDED = 0.6  # AUC of file metadata alone above which results may rest on file formats
CHANGED = 0.05  # fall of an AUC by harmonisation that is worth a warning
COLLAPSE = 0.5  # share of the clean detection rate below which a perturbation hides faces
FEW = 10  # calibration photographs above a threshold; with fewer the threshold is uncertain
DIFFER = 2.58  # standard errors of an AUC from 0.5 that chance exceeds in 1 % of cases


class Finding(NamedTuple):
    """A sentence, and whether it warns, reassures ("good") or only tells ("plain")."""

    kind: str
    text: str


warn, good = partial(Finding, "warning"), partial(Finding, "good")


def find(results: Results) -> list[Finding]:
    """All findings, warnings first, each part in the order of the report."""
    every = [
        *false_alarms(results), *generators(results), *robustness(results), *controls(results),
        *confounds(results), *limits(results), *few(results),
    ]  # fmt: skip
    return sorted(every, key=lambda finding: finding.kind != "warning")


def false_alarms(results: Results) -> Iterator[Finding]:
    """The verdict on each chosen rate, and whether calibration and test photographs are alike."""
    calibration = results.calibration
    for rate in results.rates.values():
        said = f"Chosen false alarm rate {chosen(rate['chosen'])}: {outcome(rate)}."
        verdict = good if rate["verdict"] == CONSISTENT else warn
        yield verdict(f"{said} {sentence(rate['reason'])}")
    yield from histories(results)
    auc = calibration["real_against_real_auc"]
    error = calibration["real_against_real_auc_standard_error"]
    said = (
        "Photographs against photographs (calibration, test): "
        f"ROC AUC {number(auc)} ± {number(error)} (standard error): "
    )
    if abs(auc - 0.5) <= DIFFER * error:
        yield good(said + "no difference beyond chance.")
    else:
        yield warn(said + "they differ, so an AUC near this says nothing about a generator.")
    if known := calibration["test_people_known"]:
        yield warn(
            f"{plural(known, 'person')} on test photographs {'is' if known == 1 else 'are'} also "
            "on photographs to fit or to calibrate with: expect more false alarms on new people."
        )
    for warning in results.listing["warnings"]:
        yield warn(sentence(warning))


def histories(results: Results) -> Iterator[Finding]:
    """Whether the headline rate holds for photographs with each history that it was set for."""
    key, kept = results.headline, []
    for name, rates in results.histories.items():
        if name == CLEAN:
            continue
        rate = rates[key]
        if rate["verdict"] == CONSISTENT:
            kept.append(f"{history(name)} ({percent(rate['false_alarm_rate'])})")
        else:
            said = f"Chosen false alarm rate {chosen(rate['chosen'])}, photographs with the history"
            yield warn(f"{said} {history(name)}: {outcome(rate)}. {sentence(rate['reason'])}")
    if kept:
        rate = chosen(results.rates[key]["chosen"])
        yield good(f"The chosen {rate} holds for photographs with these histories: {listed(kept)}.")


def few(results: Results) -> Iterator[Finding]:
    """Thresholds that rest on few calibration photographs."""
    faces = results.calibration["calibration_faces"]
    for rate in results.rates.values():
        above, expected = int(faces * rate["chosen"]), rate["guarantee_95"]
        if above < FEW:
            yield warn(
                f"The threshold for {chosen(rate['chosen'])} rests on the "
                f"{plural(above, 'most anomalous photograph')} of {faces:,}: the true rate of 95 % "
                f"of such thresholds is {span(expected['low'], expected['high'], percent)}. Bring "
                f"calibration photographs of {rate['photographs_needed']:,} persons to know it "
                "within half of the chosen rate."
            )


def generators(results: Results) -> Iterator[Finding]:
    """Generators that are no better than chance, or of which less than half is detected."""
    rate = chosen(results.rates[results.headline]["chosen"])
    values = {name: part["values"] for name, part in results.generators.items()}
    detected = {name: part[results.headline]["detection_rate"] for name, part in values.items()}
    lowest = {  # credible AUC
        name: values[name]["auc"] if part["low"]["auc"] is None else part["low"]["auc"]
        for name, part in results.generators.items()
    }
    chance = [name for name in lowest if lowest[name] <= 0.5]
    missed = [name for name in detected if detected[name] < MISSED and name not in chance]
    if chance:
        names = listed([f"{name} (AUC {number(values[name]['auc'])})" for name in chance])
        yield warn(f"Not better than chance on these faces: {names}.")
    if missed:
        missed.sort(key=lambda name: detected[name])
        names = listed([f"{name} ({percent(detected[name])})" for name in missed])
        yield warn(
            f"Missed: at {rate} false alarms less than half of the faces are detected of {names}."
        )
    if not chance and not missed:
        worst = min(detected, key=lambda name: detected[name])
        yield good(
            f"No generator is missed: at {rate} false alarms at least half of each one's faces are "
            f"detected, the fewest of {worst}, {percent(detected[worst])}."
        )


def controls(results: Results) -> Iterator[Finding]:
    """Controls that came out higher than they should, or could not be judged."""
    by_verdict: dict[str, list[dict[str, Any]]] = {}
    for control in results.controls["controls"]:
        by_verdict.setdefault(control["judged"], []).append(control)
    ordered = by_verdict.pop("in order", [])
    for control in by_verdict.get("suspicious", []):
        yield warn(
            f"Control “{control['title']}”: AUC {number(control['auc'])}, "
            f"expected {control['expected']}. {control['if_high']}"
        )
    if trivial := by_verdict.get("not below the detector"):
        names = listed([f"“{row['title']}” AUC {number(row['auc'])}" for row in trivial])
        mine = number(results.controls["detector"]["auc"])
        yield warn(
            f"Trivial scores reach: {names}; the detector {mine} on the same faces. "
            f"{trivial[0]['if_high']}"
        )
    for verdict in ("not computed", "not judged"):
        if rows := by_verdict.get(verdict):
            names = listed([f"“{row['title']}”" for row in rows])
            yield warn(f"{verdict.capitalize()}: {names}; see Controls for why.")
    left = dict.fromkeys(name for row in results.controls["controls"] for name in row["left_out"])
    if left:
        yield warn(f"The controls leave out {listed(list(left))}; see Controls for why.")
    if ordered:
        which = "The other" if by_verdict or left else "All"
        yield good(f"{which} {plural(len(ordered), 'control')} came out as expected.")


def robustness(results: Results) -> Iterator[Finding]:
    """Perturbations that raise false alarms beyond the chosen rate, or hide most faces."""
    if not results.robustness:
        yield Finding("plain", "Compressed, shrunk or blurred faces: not tested.")
        return
    key = results.headline
    rate = results.rates[key]["chosen"]
    raised, hidden = [], []
    for name, content in results.robustness.items():
        title, mean = perturbation(content), content["mean"][key]
        clean, now = (content["photographs"][key][state] for state in ("clean", "perturbed"))
        promised = name in results.histories  # judged by all test photographs
        if (
            not promised
            and now["low"] is not None
            and now["low"] > max(rate, clean["false_alarm_rate"])
        ):
            share = now["false_alarm_rate"]
            raised.append((share, f"{title} ({percent(share)})"))
        if None not in mean.values() and mean["perturbed"] < COLLAPSE * mean["clean"]:
            ends = f"{percent(mean['perturbed'])} instead of {percent(mean['clean'])}"
            hidden.append((-mean["perturbed"], f"{title} ({ends})"))
    if raised:
        yield warn(
            f"False alarms rise beyond the chosen {chosen(rate)} under {_worst(raised)}: do not "
            "judge photographs with such a history by these thresholds; name it in "
            "calibration.histories."
        )
    if hidden:
        yield warn(f"Most generated faces that are detected otherwise pass under {_worst(hidden)}.")
    if not raised and not hidden:
        yield good(
            "No perturbation raises false alarms beyond the chosen rate or halves detection."
        )


def _worst(named: list[tuple[float, str]]) -> str:
    """The names with the highest numbers, and how many others there are."""
    names = [name for _, name in sorted(named, key=lambda pair: -pair[0])]
    return listed(names if len(names) <= 5 else [*names[:4], f"{len(names) - 4} others"])


def confounds(results: Results) -> Iterator[Finding]:
    """What file formats give away, and what is left of the results without them."""
    found, harmonised = results.confounds, results.confounds["harmonised"]
    worst = found["metadata_classifier"]["worst"]
    for warning in found["warnings"]:
        yield warn(warning)
    if not found["warnings"] and worst is not None and worst <= CONFOUNDED:
        yield good(
            "File metadata alone (formats, sizes in pixels, qualities; not the number of bytes) "
            f"tells no generator apart (AUC at most {number(worst)})."
        )
    for warning in harmonised["warnings"]:
        yield warn(f"Mixtures of the comparison without format cues: {warning}")
    auc = harmonised["mean"]["auc"]
    if None in auc.values():
        yield warn("Not computed: results without format cues; see Formats and resolution.")
        return
    said = (
        "With every face brought to the same size and JPEG quality, the mean AUC is "
        f"{number(auc['harmonised'])} instead of {number(auc['as_found'])} on the same faces"
    )
    fallen = _fallen(harmonised["generators"])
    if not fallen and auc["as_found"] - auc["harmonised"] <= CHANGED:
        yield good(f"{said}: the result does not rest on file formats.")
        return
    traces = "fine traces that resizing and compression remove"
    formats = worst is None or worst > CONFOUNDED
    why = f"formats, or on {traces}" if formats else f"{traces} (file metadata show no formats)"
    yield warn(
        f"{said}. What falls by more than {CHANGED:g}, {listed(fallen) or 'all together'}, rests "
        f"in part on {why}."
    )


def _fallen(harmonised: Mapping[str, Any]) -> list[str]:
    """Generators whose AUC falls by more than CHANGED, with both values."""
    fallen = []
    for name, part in harmonised.items():
        before, after = (part["auc"][state]["value"] for state in ("as_found", "harmonised"))
        if before is not None and after is not None and before - after > CHANGED:
            fallen.append(f"{name} from {number(before)} to {number(after)}")
    return fallen


def limits(results: Results) -> Iterator[Finding]:
    """Warnings of the mixture's fit, what could not be computed, and cautions, each once."""
    for warning in results.gmm["warnings"]:
        yield warn(f"Mixture: {warning}")
    if names := [name for name, part in results.generators.items() if part["not_computed"]]:
        yield warn(f"Not everything could be computed for {listed(names)}; see Per generator.")
    by_sentence: dict[str, list[str]] = {}
    for name, part in results.generators.items():
        for caution in part["cautions"]:
            by_sentence.setdefault(caution, []).append(name)
    for caution, names in by_sentence.items():
        yield warn(f"{listed(names)}: {sentence(caution)}")
