"""What the report says of the features: where faces lie, which heads deviate, explained faces, and
the mixture.
"""

from typing import Any

from pipeline.report.document import Cell, Heading, LegendEntry, Panels, Picture, Table, Text
from pipeline.report.figures import background, checks
from pipeline.report.figures.canvas import MUTED, Drawings, looks
from pipeline.report.results import Results
from pipeline.report.sections.background import mixture
from pipeline.report.wording import DASH, HEADS, cell, number, plural, sentence, unusual

PHOTOGRAPHS = "photographic_test"


def section(results: Results, panels: Drawings) -> list[Any]:
    """All blocks."""
    return [
        *_map(results, panels), Heading("Which head deviates"), _heads(results), Heading("Explained faces"),
        *_explained(results), Heading("Most and least anomalous faces"), *_faces(results),
        Heading("Density of photographs"), *mixture(results), *_selection(results, panels),
    ]  # fmt: skip


def _map(results: Results, panels: Drawings) -> list[Any]:
    found, styles = results.projection, looks(results.generators)
    if PHOTOGRAPHS not in found:
        return [Text("There is no map of the features: too few faces, or all alike.", "warning")]
    photographs = (found[PHOTOGRAPHS]["x"], found[PHOTOGRAPHS]["y"])
    clouds = {
        name: (found[name]["x"], found[name]["y"]) for name in results.generators if name in found
    }
    count = plural(len(photographs[0]), "photograph")
    alts = [f"Map of the features of {count} and of faces of {name}." for name in clouds]
    svgs = [
        panels.draw(
            checks.scatter(photographs, cloud, styles[name], name), alt, width=3, height=2.6
        )
        for (name, cloud), alt in zip(clouds.items(), alts, strict=True)
    ]
    caption = (
        "t-SNE of the features: faces that are alike to the encoder lie together. All panels show "
        "parts of one map, each the "
        f"same {count} (rings) and one generator. Only neighbourhoods mean something, neither "
        "distances between clouds nor "
        "their sizes, and the detector does not use this map. Look for faces that lie among the "
        "rings: those tend to pass."
    )
    return [Panels(svgs, alts, caption, [LegendEntry("photographs", MUTED, "0 99", "ring")])]


def _heads(results: Results) -> Table:
    rows: list[list[str | Cell]] = []
    for name, content in results.metrics.items():
        values = [content["head_z"][f"{head}"] for head in HEADS]
        rows.append(
            [
                name,
                *(Cell(cell(z, lambda v: number(v, 2)), value=z, shade=_shade(z)) for z in values),
            ]
        )
    caption = (
        "Mean output of each head of the encoder over a generator's faces, in standard deviations "
        "from its mean over the "
        "calibration photographs: 0 is as photographs, and the stronger the colour, the further "
        "away. Look for the head that "
        "gives a generator away, and for rows without colour: what is detected there, no single "
        "head tells."
    )
    return Table(["generator", *HEADS.values()], rows, caption, sortable=True)


def _shade(z: float | None) -> float | None:
    return None if z is None else min(1.0, abs(z) / 3)


def _explained(results: Results) -> list[Any]:
    text = (
        "The most anomalous faces of each generator, with the photographs that the mixture was "
        "fitted on that are nearest to "
        "them. In the second column, covering a red part lowers the anomaly score, so it carries "
        "the anomaly; covering a blue "
        "one raises it. At the left of each row: verdict, p-value, the head that deviates most and "
        "the part whose covering "
        "lowers the score most. (In this page pictures are compressed; the stages' files are not.) "
        "Look for what the red parts "
        "have in common, and whether it belongs to the face at all."
    )
    blocks: list[Any] = [Text(text)]
    for name in results.generators:
        if name in results.explanations:
            blocks.append(Picture(results.explanations[name], f"Explained faces of {name}.", name))
        rows = [_face(face) for face in results.explained[name]]
        if rows:
            head = [
                "face",
                "p-value",
                "verdict",
                "head that deviates most",
                "covering lowers the score most",
                "nearest photograph",
            ]
            blocks.append(
                Table(
                    head,
                    rows,
                    f"The explained faces of {name} in figures",
                    text_columns=6,
                    folded=True,
                )
            )
    return blocks


def _face(face: dict[str, Any]) -> list[str | Cell]:
    head, covered = face["deviating_head"], face["covered"]
    deviates = f"{HEADS[head]}: z = {number(face['head_z'][head], 1)}" if head else DASH
    nearest = face["nearest"][0] if face["nearest"] else None
    return [
        face["name"].rpartition("/")[2],
        Cell(unusual(face["p_value"]), f"anomaly score {number(face['anomaly_score'], 1)}"),
        face["verdict"],
        deviates,
        f"{covered['where']} (by {cell(covered['largest_drop'], lambda value: number(value, 1))})",
        f"{nearest['name'].rpartition('/')[2]} (distance {number(nearest['distance'], 2)})"
        if nearest
        else DASH,
    ]


def _faces(results: Results) -> list[Any]:
    text = (
        "The most anomalous faces of each generator (upper row), and the least anomalous, which "
        "pass for photographs. Look "
        "here for what it goes by: a trait of the generator, or something else, such as the "
        "background or the crop."
    )
    pictures = [
        Picture(
            png,
            f"Faces of {name}, the most anomalous in the upper row, the least in the lower.",
            name,
        )
        for name, png in results.pictures.items()
    ]
    return [Text(text), *pictures]


def _selection(results: Results, panels: Drawings) -> list[Any]:
    found, rows = results.selection, results.mixtures
    blocks: list[Any] = [
        Heading("Other mixtures"),
        *(Text(sentence(advice)) for advice in found["advice"]),
    ]
    if not rows:
        return blocks
    svgs, alts = [], []
    for size in dict.fromkeys(row["pca_components"] for row in rows):
        part = [row for row in rows if row["pca_components"] == size]
        title = f"{size:g} principal components" if size else "all dimensions"
        best = max(
            part,
            key=lambda row: -float("inf") if (v := row["held_out_log_likelihood"]) is None else v,
        )
        alts.append(
            f"Held-out log-likelihood, {title}: highest with {best['components']:g} components, "
            f"{best['covariance_type']}."
        )
        svgs.append(panels.draw(background.mixtures(part, title), alts[-1], width=3.6, height=2.9))
    caption = (
        f"Mean log-likelihood of held-out photographs ({found['folds']}-fold cross-validation by "
        f"person, {found['faces']:,} "
        "photographs), with its standard error. Higher is better, within a panel only: the panels' "
        "densities live in spaces of "
        "different size. Look whether the curve still rises, and whether it falls where components "
        "are many."
    )
    return [*blocks, Panels(svgs, alts, caption), _mixtures(results)]


def _mixtures(results: Results) -> Table:
    current, best = results.selection["current"], results.selection["best"]
    rows: list[list[str | Cell]] = []
    for row in results.mixtures:
        what = [
            said for said, one in (("in use", current), ("best", best)) if one and _same(row, one)
        ]
        numbers = [
            Cell(cell(row[key], lambda v: f"{v:,.0f}"), value=row[key])
            for key in ("parameters", "bic")
        ]
        held, error = row["held_out_log_likelihood"], row["held_out_standard_error"]
        spread = f" ± {number(error, 2)}" if error is not None else ""
        likelihood = Cell(cell(held, lambda v: number(v, 2)) + spread, value=held)
        ratio = Cell(cell(row["n_over_k_d"], lambda v: number(v, 1)), value=row["n_over_k_d"])
        sizes = [Cell(f"{row[key]:g}", value=row[key]) for key in ("components", "pca_components")]
        rows.append(
            [
                row["covariance_type"],
                " and ".join(what),
                *sizes,
                numbers[0],
                ratio,
                numbers[1],
                likelihood,
            ]
        )
    reasons = [
        f"{n['components']} {n['covariance_type']} on {n['pca_components']}: {n['reason']}"
        for n in results.selection["not_fitted"]
    ]
    return Table(
        [
            "covariance",
            "note",
            "components",
            "principal components",
            "parameters",
            "n / (k d)",
            "BIC",
            "held-out log-likelihood",
        ],
        rows,
        "Mixtures compared, as a table. Nothing is chosen by this. BIC (lower is better) and "
        "likelihoods cannot be compared "
        "between numbers of principal components. n / (k d) is photographs per component and "
        "dimension." + "".join(f" {r}." for r in reasons),
        text_columns=2,
        sortable=True,
        folded=True,
    )


def _same(row: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(
        row[key] == other[key] for key in ("components", "covariance_type", "pca_components")
    )
