"""What the report says of how the detector came about: pretext task, density, data."""

from collections.abc import Mapping
from typing import Any

from pipeline.report.document import Panels, Picture, Table, Text
from pipeline.report.figures import background as figures
from pipeline.report.figures.canvas import Curve, Drawings
from pipeline.report.results import Columns, Results
from pipeline.report.wording import HEADS, cell, number, percent, plural

SHEETS = {
    "sample": "Simulated data: photographs with EXIF for the pretext task, portraits of the target domain, and each generator.",
    "manipulations": "Photographic faces and the four manipulations that the encoder learns to detect. None is AI-generated.",
}


def pretext(results: Results, panels: Drawings) -> list[Any]:
    """How well the encoder learnt what it was trained for."""
    metrics = results.pretext
    faces, losses = metrics["faces"], metrics["losses"]
    heads = [
        name.removeprefix("train_loss_")
        for name in results.history
        if name.startswith("train_loss_")
    ]
    order = [name for name in heads if name in metrics["ranking_accuracy"]]
    rows = [
        *(
            [tag, "ranking accuracy", cell(metrics["ranking_accuracy"][tag]), *_losses(losses, tag)]
            for tag in order
        ),
        ["mean of the tags", "ranking accuracy", cell(metrics["ranking_accuracy"]["mean"]), "", ""],
        [
            "manipulation",
            "ROC AUC",
            cell(metrics["manipulation_auc"]),
            *_losses(losses, "manipulation"),
        ],
        ["sum", "", "", *_losses(losses, "total")],
    ]
    rows = [[row[0].replace("_", " "), *row[1:]] for row in rows]
    table = Table(
        ["pretext task", "measure", "held out", "training loss", "held-out loss"],
        rows,
        f"{faces['train']:,} training and {faces['held_out']:,} held-out faces, "
        f"{plural(metrics['epochs'], 'epoch')}. Ranking "
        "accuracy: share of pairs of held-out photographs put in the right order of the tag; pairs "
        "closer than 1/6 stop are "
        "left out, and chance is 0.5.",
        text_columns=2,
    )
    missing = [
        Text(f"Not computed: {name}: {why}.", "warning")
        for name, why in metrics.get("not_computed", {}).items()
    ]
    return [table, *missing, *_learning(results.history, panels)]


def _losses(losses: Mapping[str, Any], name: str) -> list[str]:
    return [cell(losses[kind].get(name)) for kind in ("train", "held_out")]


def _learning(history: Columns, panels: Drawings) -> list[Panels]:
    epochs = history["epoch"]

    def lines(columns: Mapping[str, str]) -> dict[str, Curve]:
        return {
            label: (epochs, history[name]) for name, label in columns.items() if name in history
        }

    losses = lines({"train_loss_total": "training", "held_out_loss_total": "held out"})
    ranked = {name: name.removeprefix("ranking_accuracy_").replace("_", " ") for name in history
              if name.startswith("ranking_accuracy_") and not name.endswith("_mean")}  # fmt: skip
    shares = lines({**ranked, "manipulation_auc": "manipulation (AUC)"})
    alts = [
        "Sum of the five losses over the epochs.",
        "Ranking accuracy of each tag and AUC of manipulations on held-out faces over the epochs.",
    ]
    svgs = [
        panels.draw(
            figures.learning(losses, "sum of the five losses", share=False), alts[0], height=3
        ),
        panels.draw(
            figures.learning(shares, "held-out ranking accuracy, AUC", share=True),
            alts[1],
            height=3,
        ),
    ]
    caption = "Learning curves. A training loss that falls while the held-out loss rises means too many epochs."
    return [Panels(svgs, alts, caption)]


def mixture(results: Results) -> list[Any]:
    """The density, and whether it carries over to photographs that it has not seen."""
    gmm = results.gmm
    rows = [
        ["components, covariance", f"{gmm['components']}, {gmm['covariance_type']}"],
        ["features, dimensions of the density", f"{gmm['features']}, {gmm['dimensions']}"],
        ["fit photographs", f"{gmm['faces']:,}"],
        ["fit photographs per component and dimension", number(gmm["n_over_k_d"], 1)],
        [
            "EM",
            f"{'converged' if gmm['converged'] else 'not converged'} after {plural(gmm['iterations'], 'iteration')}",
        ],
        ["mean log-likelihood, fit photographs", number(gmm["log_likelihood_fit"], 2)],
        [
            f"mean log-likelihood, {gmm['held_out_faces']:,} unseen photographs",
            number(gmm["log_likelihood_held_out"], 2),
        ],
        [
            "false alarms on those at the fit's own percentile",
            percent(gmm["paper_protocol_false_alarm_rate_held_out"]),
        ],
    ]
    caption = "Gaussian mixture. If unseen photographs are much less likely than the fitted ones, it has learnt those by heart."
    notes = [Text(f"Warning: {warning}", "warning") for warning in gmm["warnings"]]
    return [
        Table(["mixture", "value"], rows, caption),
        *(notes or [Text("The fit gave no warning.", "good")]),
    ]


def data(results: Results, panels: Drawings) -> list[Any]:
    """What was read, what was rejected and why, and pictures of both."""
    exif = results.exif
    text = (
        f"Of {exif['records']:,} faces with a record, {exif['kept']:,} were kept, from "
        f"{exif['photographs']:,} photographs by "
        f"{exif['authors']:,} known authors; {exif['rejected']:,} were rejected. "
        f"{exif['splits']['train']:,} train the encoder, {exif['splits']['validation']:,} are held "
        "out."
    )
    reasons = [
        [name.replace("_", " "), f"{n:,}", percent(n / exif["records"])]
        for name, n in sorted(exif["reasons"].items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    rejected = Table(
        ["rejected because", "faces", "share"],
        reasons,
        "Faces left out of the pretext task, by reason.",
    )
    alts = [
        f"Distribution of {HEADS.get(name, name)} over the kept faces." for name in results.tags
    ]
    svgs = []
    for (name, tag), alt in zip(results.tags.items(), alts, strict=True):
        drawing = figures.tag(
            HEADS.get(name, name), tag["value_from"], tag["value_to"], tag["faces"]
        )
        svgs.append(panels.draw(drawing, alt, height=2.2))
    tags = Panels(svgs, alts, "The four EXIF tags of the kept faces, on logarithmic axes.")
    return [
        Text(text),
        *([rejected] if reasons else []),
        tags,
        _sets(results),
        Text(_manipulated(results)),
        *_sheets(results),
    ]


def _sets(results: Results) -> Table:
    rows = []
    for name, content in results.features.items():
        unreadable = ", ".join(
            f"{n:,} {reason.replace('_', ' ')}" for reason, n in content["unreadable"].items()
        )
        counts = [f"{content[key]:,}" for key in ("listed", "chosen", "readable")]
        rows.append([name, content["source"], *counts, unreadable or "0"])
    head = ["face set", "source", "listed", "chosen", "used", "unreadable"]
    return Table(head, rows, "Pictures whose features were computed.", text_columns=2)


def _manipulated(results: Results) -> str:
    counts = results.manipulations
    text = f"{counts['manipulated']:,} manipulated faces were made from {counts['faces']:,} photographic ones."
    only_warped = ", ".join(
        f"{n:,} {reason.replace('_', ' ')}" for reason, n in counts["unusable_landmarks"].items()
    )
    if only_warped:
        text += f" Only warped, for want of landmarks: {only_warped}."
    error = counts["mouth_location_error_px"]
    if error["faces"]:
        text += (
            f" The mouth located from seven landmarks was off by {number(error['median'], 1)} px "
            "(median; 90 % below "
            f"{number(error['p90'], 1)} px) on {error['faces']:,} faces where 68 landmarks tell "
            "the truth."
        )
    return text


def _sheets(results: Results) -> list[Any]:
    blocks: list[Any] = []
    for name, png in results.sheets.items():
        if name == "sample" and not results.simulated:
            continue  # a sheet of the simulation that lies in the repository is not a picture of these data
        if png is None:
            blocks.append(Text(f"There is no contact sheet {name}.png of this run."))
        else:
            blocks.append(Picture(png, f"Contact sheet: {name}.", SHEETS.get(name, name)))
    return blocks
