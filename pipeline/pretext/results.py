"""What a training run writes and prints."""

from typing import Any

from pipeline.base import terminal
from pipeline.base.schema import Pretext
from pipeline.pretext.training import Result


def describe(settings: Pretext, seed: int, *, shuffled: bool) -> dict[str, Any]:
    """The numbers that decide a run, as JSON values."""
    numbers = {"seed": seed, "pretext": settings.model_dump(mode="json")}
    return numbers | ({"exif_tags": "shuffled"} if shuffled else {})


def flat(metrics: dict[str, Any]) -> dict[str, Any]:
    """The numbers that people compare between runs."""
    return {
        "ranking_accuracy": metrics["ranking_accuracy"],
        "tie_rate": metrics["tie_rate"],
        "manipulation_auc": metrics["manipulation_auc"],
        "train_loss": metrics["losses"]["train"]["total"],
        "validation_loss": metrics["losses"]["validation"]["total"],
    }


def show(result: Result, *, shuffled: bool) -> None:
    """Print the results on the validation set, and why any is missing."""
    metrics, losses = result.metrics, result.metrics["losses"]
    rows = [
        {
            "head": name,
            "training loss": losses["train"][name],
            "validation loss": losses["validation"][name],
            "ties": metrics["tie_rate"].get(name),
            "ranking accuracy": metrics["ranking_accuracy"].get(name),
            "AUC": metrics["manipulation_auc"] if name == "manipulation" else None,
        }
        for name in losses["train"]
    ]
    mean = {"head": "mean", "ranking accuracy": metrics["ranking_accuracy"]["mean"]}
    rows.append(dict.fromkeys(rows[0]) | mean)
    counts, task = metrics["faces"], "Pretext task" + ", shuffled EXIF tags" * shuffled
    terminal.table(
        rows, f"{task}: {counts['train']:,} training and {counts['validation']:,} validation faces"
    )
    for name, reason in metrics["not_computed"].items():
        print(f"not computed: {name}: {reason}")
    if result.faces_per_second:
        print(f"{result.faces_per_second:.0f} faces per second")
