"""The table of several runs that differ in nothing but their world."""

from collections.abc import Mapping
from typing import Any

from benchmarks.world_figures import Figure, Figures, mean
from pipeline.base.errors import PipelineError


def summary(worlds: Mapping[int, Figures]) -> dict[str, Any]:
    """By group and name the mean of the values over the worlds, and each world's figure by seed.

    PipelineError where the worlds do not have the same figures."""
    (first, one), *others = worlds.items()
    for seed, other in others:
        if {g: list(f) for g, f in other.items()} != {g: list(f) for g, f in one.items()}:
            raise PipelineError(
                f"worlds {first} and {seed} have other figures (generators or perturbations): run "
                "both with the same params.yaml"
            )
    return {
        group: {
            name: {
                "mean": mean(world[group][name] for world in worlds.values()).value,
                "unit": figure.unit,
                "worlds": {
                    str(seed): dict(zip(("value", "low", "high"), world[group][name], strict=False))
                    for seed, world in worlds.items()
                },
            }
            for name, figure in figures.items()
        }
        for group, figures in one.items()
    }


def markdown(summed: Mapping[str, Any]) -> str:
    """The summary as Markdown, a table for each group: the mean over worlds, then each world."""
    parts = []
    for group, rows in summed.items():
        seeds = list(next(iter(rows.values()))["worlds"])
        lines = [[group, "mean", *(f"world {seed}" for seed in seeds)]]
        lines.append(["---"] * len(lines[0]))
        for name, row in rows.items():
            cells = [cell(Figure(**row["worlds"][seed], unit=row["unit"])) for seed in seeds]
            lines.append([name, cell(Figure(row["mean"], unit=row["unit"])), *cells])
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    return "\n".join(parts)


def cell(figure: Figure) -> str:
    """Three digits of a number, or percent to a tenth; the interval in brackets."""
    if figure.value is None:
        return "–"
    texts = [_text(number, figure.unit) for number in figure[:3] if number is not None]
    unit = f" {figure.unit}" if figure.unit else ""
    return f"{texts[0]}{unit}" + (f" ({texts[1]}–{texts[2]})" if len(texts) == 3 else "")


def _text(number: float, unit: str) -> str:
    return {"": f"{number:.3f}", "%": f"{100 * number:.1f}"}[unit]
