"""Drawings of how the detector came about: EXIF tags, learning curves, and the mixtures that were
compared.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from pipeline.report.figures.canvas import PALETTE, Curve, Draw, looks


def tag(title: str, low: Sequence[float], high: Sequence[float], faces: Sequence[float]) -> Draw:
    """Distribution of one EXIF tag over a logarithmic axis; neighbouring bins share an edge."""

    def draw(axes: Any) -> None:
        axes.bar(
            low,
            faces,
            width=[b - a for a, b in zip(low, high, strict=True)],
            align="edge",
            color=PALETTE[0],
            alpha=0.75,
        )
        axes.set_xscale("log")
        axes.set(title=title, xlim=(low[0], high[-1]))
        axes.minorticks_off()
        ticks = _round_values(low[0], high[-1])
        axes.set_xticks(ticks, [_short(value) for value in ticks])
        axes.grid(visible=False, axis="x")
        axes.locator_params(axis="y", nbins=4)
        axes.set_ylabel("faces")

    return draw


def learning(lines: Mapping[str, Curve], title: str, *, share: bool) -> Draw:
    """A line per name over the epochs, from 0.5 to 1 where they are shares; the legend stands
    below.
    """
    styles = looks(list(lines))

    def draw(axes: Any) -> None:
        for name, (epochs, values) in lines.items():
            look = styles[name]
            axes.plot(
                epochs,
                values,
                color=look.colour,
                linestyle=look.dashes,
                marker="o",
                markersize=3,
                label=name,
            )
        every = [value for _, values in lines.values() for value in values]
        if share:
            axes.set_ylim(min([0.5, *every]), 1)
        else:
            axes.set_ylim(bottom=0)
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.figure.legend(
            loc="outside lower left",
            ncols=2 if len(lines) < 4 else 3,
            handlelength=2.2,
            columnspacing=1.2,
        )

    return draw


def _round_values(low: float, high: float) -> list[float]:
    """At most five of 1, 2, 5 times powers of ten (or 1 over them) within the range."""
    values = [m * 10.0**power for power in range(-6, 7) for m in (1, 2, 5)]
    within = [value for value in values if low <= value <= high]
    return within[:: ceil(len(within) / 5) or 1]


def _short(value: float) -> str:
    return f"1/{round(1 / value)}" if value < 0.3 else f"{value:g}"


def mixtures(rows: Sequence[Mapping[str, Any]], title: str) -> Draw:
    """Held-out log-likelihood with its standard error over components; a line per covariance type."""
    kinds = list(dict.fromkeys(row["covariance_type"] for row in rows))
    styles = looks(["full", "diag", "tied", "spherical"])

    def draw(axes: Any) -> None:
        for kind in kinds:
            fitted = [
                row
                for row in rows
                if row["covariance_type"] == kind and row["held_out_log_likelihood"] is not None
            ]
            points = sorted(
                (
                    row["components"],
                    row["held_out_log_likelihood"],
                    row["held_out_standard_error"] or 0,
                )
                for row in fitted
            )
            x, y, error = zip(*points, strict=True) if points else ((), (), ())
            look = styles[kind]
            style = {"color": look.colour, "linestyle": look.dashes, "marker": look.marker}
            axes.errorbar(
                x, y, yerr=error, markersize=4, elinewidth=1, capsize=2.5, label=kind, **style
            )
        axes.set_xscale("log", base=2)
        ticks = sorted({row["components"] for row in rows})
        axes.set_xticks(ticks, [f"{value:g}" for value in ticks])
        axes.minorticks_off()
        axes.set(title=title, xlabel="components", ylabel="held-out log-likelihood")
        axes.figure.legend(loc="outside lower left", ncols=4, handlelength=2.6, columnspacing=1.2)

    return draw
