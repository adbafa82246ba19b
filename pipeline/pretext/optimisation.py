"""The optimiser, and its learning rate as a function of the place in training."""

import math
import sys
from typing import Any

from torch import nn
from torch.optim import Adam, AdamW

from pipeline.base.schema import Pretext

RISE = 25  # from its start to its largest value, of one_cycle


def optimiser(encoder: nn.Module, settings: Pretext) -> Adam:
    """The optimiser before its first step.

    adam adds the decay to the gradient, as the authors do. adamw shrinks the weights apart from it
    (Loshchilov and Hutter 2019), but for those of one dimension, which are normalisations and
    biases: a second group without decay."""
    how: dict[str, Any] = {"betas": settings.betas, "eps": settings.epsilon, "fused": True}
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimiser == "adam":
        return Adam(encoder.parameters(), rate, weight_decay=decay, **how)
    parameters = list(encoder.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW(groups, rate, **how)


def learning_rate(settings: Pretext, epoch: int, progress: float) -> float:
    """The rate of a step in an epoch, from 0, of which the share `progress` in [0, 1) is done.

    cosine: constant within an epoch, from the first rate to the least one in schedule_epochs
    epochs, then up again (Loshchilov and Hutter 2017, eq. 5). one_cycle: in the share `warmup` of
    all steps up from a 25th, then down to the least one, both along a cosine (Smith and Topin
    2019). A function of the place alone: a resumed run has nothing to restore."""
    low, high = settings.minimum_learning_rate, settings.learning_rate
    if settings.schedule == "cosine":
        return _between(high, low, epoch / settings.schedule_epochs)
    place, warmup = (epoch + progress) / settings.epochs, settings.warmup
    if place < warmup:
        return _between(high / RISE, high, place / warmup)
    return _between(high, low, (place - warmup) / (1 - warmup))


def _between(first: float, last: float, place: float) -> float:
    """On half a wave from `first` at place 0 to `last` at 1, and on beyond it."""
    return last + (first - last) * (1 + math.cos(math.pi * place)) / 2


def warn_of_a_rising_rate(settings: Pretext) -> None:
    """Say on stderr where the cosine is shorter than the training."""
    epochs, half_wave = settings.epochs, settings.schedule_epochs
    if settings.schedule == "cosine" and half_wave < epochs:
        print(
            f"pretext.schedule_epochs: the learning rate rises again after epoch {half_wave} of "
            f"{epochs}; set it to {epochs}, or pretext.schedule to one_cycle, unless that is meant",
            file=sys.stderr,
        )
