"""What a reader must worry about, and what is in order: sentences that the results themselves
decide.
"""

from typing import Any

from pipeline.audit.questions import TRIVIAL, judged
from pipeline.report.document import Text
from pipeline.report.results import Results
from pipeline.report.wording import (
    cell,
    chosen,
    held,
    listed,
    number,
    percent,
    perturbation,
    plural,
    sentence,
    span,
    verdict_of_real_against_real,
)

MISSED = 0.5  # a generator of which less than this share is detected at the headline rate is called missed
CONFOUNDED = 0.6  # AUC of file metadata alone from which on results may rest on file formats
CHANGED = 0.05  # fall of an AUC by harmonisation that is worth a warning
COLLAPSE = 0.5  # share of the clean detection rate below which a perturbation is said to hide generated faces
FEW = (
    10  # calibration photographs above a threshold below which the threshold is said to rest on few
)


def all_of(results: Results) -> list[Text]:
    """Warnings first, then what is in order; each part in the order of the report."""
    every = [
        *false_alarms(results), *missed(results), *robustness(results), *controls(results),
        *confounds(results), *mixture(results), *not_computed(results), *cautions(results), *few(results),
    ]  # fmt: skip
    return sorted(every, key=lambda item: item.kind != "warning")


def false_alarms(results: Results) -> list[Text]:
    """Whether each chosen rate holds, and whether test photographs are like those of the
    calibration.
    """
    found = [
        Text(held(rate), "good" if rate["verdict"] == "holds" else "warning")
        for rate in results.rates.values()
    ]
    text, alike = verdict_of_real_against_real(results.calibration)
    found.append(Text(text, "good" if alike else "warning"))
    if known := results.calibration["test_people_known"]:
        said = (
            f"{plural(known, 'person')} on test photographs {'is' if known == 1 else 'are'} on "
            "photographs to fit or to "
            "calibrate with too: on new people there will be more false alarms than were counted."
        )
        found.append(Text(said, "warning"))
    return found


def few(results: Results) -> list[Text]:
    """Thresholds that rest on few calibration photographs."""
    faces = results.calibration["calibration_faces"]
    found = []
    for rate in results.rates.values():
        above = int(faces * rate["chosen"])
        if above < FEW:
            found.append(
                Text(
                    f"The threshold for {chosen(rate['chosen'])} rests on the "
                    f"{plural(above, 'most anomalous photograph')} of "
                    f"{faces:,}: 95 % of such thresholds have a true rate of "
                    f"{span(*_ends(rate['guarantee_95']), percent)}. "
                    f"Bring {rate['photographs_needed']:,} calibration photographs to know it within half of the chosen rate.",
                    "warning",
                )
            )
    return found


def missed(results: Results) -> list[Text]:
    """Generators that pass: no better than chance, or detected less than half the time at the
    headline rate.
    """
    key, metrics = results.headline, results.metrics
    rate = chosen(results.rates[key]["chosen"])
    detected = {name: metrics[name]["values"][key]["detection_rate"] for name in metrics}
    chance = [name for name in metrics if _reaches(metrics[name], 0.5)]
    low = sorted(
        (name for name in metrics if detected[name] < MISSED and name not in chance),
        key=lambda name: detected[name],
    )
    found = []
    if chance:
        said = listed([f"{name} (AUC {number(metrics[name]['values']['auc'])})" for name in chance])
        found.append(
            Text(f"Not told from photographs, as far as these faces show: {said}.", "warning")
        )
    if low:
        said = listed([f"{name} ({percent(detected[name])})" for name in low])
        found.append(
            Text(
                f"Missed: at {rate} false alarms less than half of the faces are detected of {said}.",
                "warning",
            )
        )
    if not found:
        worst = min(detected, key=lambda name: detected[name])
        found.append(
            Text(
                f"No generator is missed: at {rate} false alarms at least half of each one's faces "
                "are detected, the fewest of "
                f"{worst}, {percent(detected[worst])}.",
                "good",
            )
        )
    return found


def _reaches(metrics: dict[str, Any], auc: float) -> bool:
    low = metrics["low"]["auc"]
    return (metrics["values"]["auc"] if low is None else low) <= auc


def controls(results: Results) -> list[Text]:
    """Controls that came out higher than they should, or could not be judged."""
    mine = results.controls["detector"]["auc"]
    kinds: dict[str, list[dict[str, Any]]] = {}
    for control in results.controls["controls"]:
        kinds.setdefault(judged(control, mine), []).append(control)
    found = [
        Text(
            f"Control “{control['title']}”: AUC {number(control['auc'])}, expected {control['expected']}. {control['if_high']}",
            "warning",
        )
        for control in kinds.get("suspicious", [])
    ]
    if trivial := kinds.get(TRIVIAL):
        said = listed([f"“{control['title']}” AUC {number(control['auc'])}" for control in trivial])
        said = f"Trivial scores reach: {said}; the detector {cell(mine)} on the same faces. {trivial[0]['if_high']}"
        found.append(Text(said, "warning"))
    for kind in ("not computed", "not judged"):
        if kind in kinds:
            titles = listed([f"“{control['title']}”" for control in kinds[kind]])
            found.append(
                Text(
                    f"{sentence(kind)[:-1]}: {titles}; the reasons stand with the controls.",
                    "warning",
                )
            )
    if left := list(
        dict.fromkeys(name for row in results.controls["controls"] for name in row["left_out"])
    ):
        found.append(
            Text(
                f"The controls leave out {listed(left)}; the reasons stand with the controls.",
                "warning",
            )
        )
    if "in order" in kinds:
        count = len(kinds["in order"])
        every = (
            f"The other {plural(count, 'control')}" if found else f"All {plural(count, 'control')}"
        )
        found.append(Text(f"{every} came out as {'it' if count == 1 else 'they'} should.", "good"))
    return found


def robustness(results: Results) -> list[Text]:
    """Perturbations that raise false alarms beyond the chosen rate, or hide most generated faces."""
    if not results.robustness:
        return [
            Text(
                "Not looked at: how compressed, shrunk or blurred faces are judged "
                "(`perturbations` is empty)."
            )
        ]
    key = results.headline
    rate = results.rates[key]["chosen"]
    raised, hidden = [], []
    for content in results.robustness.values():
        title = perturbation(content["kind"], content["strength"])
        alarms, mean = content["photographs"][key], content["mean"][key]
        low = alarms["perturbed"]["low"]
        if low is not None and low > max(rate, alarms["clean"]["false_alarm_rate"]):
            rate_now = alarms["perturbed"]["false_alarm_rate"]
            raised.append((rate_now, f"{title} ({percent(rate_now)})"))
        if None not in mean.values() and mean["perturbed"] < COLLAPSE * mean["clean"]:
            hidden.append(
                (
                    -mean["perturbed"],
                    f"{title} ({percent(mean['perturbed'])} instead of {percent(mean['clean'])})",
                )
            )
    found = []
    if raised:
        found.append(
            Text(
                f"False alarms rise beyond the chosen {chosen(rate)} under {_worst(raised)}: do "
                "not judge photographs with "
                "such a history by these thresholds; calibrate on photographs with the same.",
                "warning",
            )
        )
    if hidden:
        found.append(
            Text(
                f"Most generated faces that are detected otherwise pass under {_worst(hidden)}.",
                "warning",
            )
        )
    return found or [
        Text(
            "No perturbation raises false alarms beyond the chosen rate or halves the detection rate.",
            "good",
        )
    ]


def confounds(results: Results) -> list[Text]:
    """What file formats give away, and what is left of the results without them."""
    confounded = results.confounds
    found = [Text(warning, "warning") for warning in confounded["warnings"]]
    worst = confounded["metadata_classifier"]["worst"]
    if not found and worst is not None and worst <= CONFOUNDED:
        said = "File metadata alone (formats, sizes in pixels, qualities; not the number of bytes) tells no generator apart"
        found.append(Text(f"{said} (AUC at most {number(worst)}).", "good"))
    found += [
        Text(f"Mixtures of the comparison without format cues: {w}", "warning")
        for w in confounded["harmonised"]["warnings"]
    ]
    return [
        *found,
        *_harmonised(confounded["harmonised"], formats=worst is None or worst > CONFOUNDED),
    ]


def _harmonised(harmonised: dict[str, Any], *, formats: bool) -> list[Text]:
    """What is left without format cues. formats: whether file metadata can explain a fall."""
    auc = harmonised["mean"]["auc"]
    if None in auc.values():
        return [
            Text(
                "Not computed: results without format cues; the reasons stand with the formats.",
                "warning",
            )
        ]
    said = f"With every face brought to the same size and JPEG quality, the mean AUC is {number(auc['harmonised'])} instead of "
    said += f"{number(auc['as_found'])} on the same faces"
    each = {
        name: [part["auc"][state]["value"] for state in ("as_found", "harmonised")]
        for name, part in harmonised["generators"].items()
    }
    fallen = {
        name: ends
        for name, ends in each.items()
        if None not in ends and ends[0] - ends[1] > CHANGED
    }
    if not fallen and auc["as_found"] - auc["harmonised"] <= CHANGED:
        return [Text(f"{said}: the result does not rest on file formats.", "good")]
    falls = (
        listed([f"{name} from {number(a)} to {number(b)}" for name, (a, b) in fallen.items()])
        or "all together"
    )
    traces = "fine traces that resizing and compression remove"
    why = (
        f"formats, or on {traces}"
        if formats
        else f"{traces}, not on formats, which file metadata would show"
    )
    return [
        Text(
            f"{said}. What falls by more than {CHANGED:g}, {falls}, rests in part on {why}.",
            "warning",
        )
    ]


def mixture(results: Results) -> list[Text]:
    """Warnings of the fit."""
    return [Text(f"Mixture: {warning}", "warning") for warning in results.gmm["warnings"]]


def not_computed(results: Results) -> list[Text]:
    """How much could not be computed; the reasons stand in the sections."""
    missing = [name for name, content in results.metrics.items() if content["not_computed"]]
    if not missing:
        return []
    return [
        Text(
            f"Not everything could be computed for {listed(missing)}; the reasons stand below the table.",
            "warning",
        )
    ]


def cautions(results: Results) -> list[Text]:
    """What else to know of the generators' figures, each sentence once."""
    by_sentence: dict[str, list[str]] = {}
    for name, content in results.metrics.items():
        for said in content["cautions"]:
            by_sentence.setdefault(said, []).append(name)
    return [
        Text(f"{listed(names)}: {sentence(said)}", "warning") for said, names in by_sentence.items()
    ]


def _worst(found: list[tuple[float, str]]) -> str:
    """The names with the highest numbers, and how many others there are."""
    names = [name for _, name in sorted(found, key=lambda pair: -pair[0])]
    others = [f"{len(names) - 4} others"] if len(names) > 5 else names[4:]
    return listed([*names[:4], *others])


def _ends(interval: dict[str, float]) -> tuple[float, float]:
    return interval["low"], interval["high"]
