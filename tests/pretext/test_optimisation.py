"""The optimiser against a written one, the rates against PyTorch's own schedules."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from pipeline.pretext.optimisation import learning_rate, optimiser, warn_of_a_rising_rate
from tests.pretext_world import pretext

RATE, LEAST = 1e-3, 1e-5  # of tests.pretext_world.pretext


def rates(scheduler, steps):
    """The rates of so many steps."""
    found = []
    for _ in range(steps):
        found += scheduler.get_last_lr()
        scheduler.optimizer.step()
        scheduler.step()
    return found


def plain():
    """An optimiser of one weight for PyTorch's schedules to change."""
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], RATE)


def test_cosine_is_pytorchs_stepped_per_epoch():
    """`CosineAnnealingLR` rises again after T_max, too."""
    expected = rates(CosineAnnealingLR(plain(), 4, eta_min=LEAST), 11)
    settings = pretext(epochs=11, schedule_epochs=4)
    for progress in (0, 0.4, 0.99):
        found = [learning_rate(settings, epoch, progress) for epoch in range(11)]
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("epochs", "steps", "warmup"), [(3, 7, 0.3), (1, 40, 0.9), (12, 2, 0.15)])
def test_one_cycle_is_pytorchs_at_every_step(epochs, steps, warmup):
    """PyTorch's first wave ends at step `pct_start * total_steps - 1`, ours when the share `warmup`
    of all steps is done: one step more and another share make them the same.
    """
    total = epochs * steps
    ends = {"total_steps": total + 1, "pct_start": (warmup * total + 1) / (total + 1)}
    factors = {"div_factor": 25, "final_div_factor": RATE / 25 / LEAST}
    schedule = OneCycleLR(plain(), RATE, **ends, **factors, cycle_momentum=False)  # type: ignore
    settings = pretext(epochs=epochs, schedule="one_cycle", warmup=warmup)
    found = [learning_rate(settings, e, s / steps) for e in range(epochs) for s in range(steps)]
    assert found == pytest.approx(rates(schedule, total), rel=1e-9)


@given(st.floats(0, 0.9), st.integers(1, 50), st.integers(1, 9))
def test_one_cycle_rises_then_falls_between_its_ends(warmup, steps, epochs):
    settings = pretext(epochs=epochs, schedule="one_cycle", warmup=warmup)
    places = [divmod(number, steps) for number in range(epochs * steps)]
    found = [learning_rate(settings, epoch, step / steps) for epoch, step in places]
    top = found.index(max(found))
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert found[0] == pytest.approx(RATE / 25 if warmup else RATE)
    assert all(LEAST <= rate <= RATE * (1 + 1e-12) for rate in found)


def test_a_cosine_shorter_than_training_is_warned_of(capsys):
    warn_of_a_rising_rate(pretext(epochs=5, schedule_epochs=4))
    warning = capsys.readouterr().err
    assert "pretext.schedule_epochs: the learning rate rises again after epoch 4 of 5" in warning
    for settings in (
        pretext(epochs=5, schedule_epochs=5),
        pretext(epochs=5, schedule_epochs=1, schedule="one_cycle"),
        pretext(epochs=0, schedule_epochs=1),
    ):
        warn_of_a_rising_rate(settings)
    assert capsys.readouterr().err == ""


class Small(nn.Module):
    """A convolution, a normalisation and a linear layer with a bias."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)
        self.heads = nn.Linear(2, 5)


def stepped(settings, gradient):
    """Weights before and after one step along a gradient that is the same everywhere."""
    torch.manual_seed(0)
    model = Small()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, gradient)
    optimiser(model, settings).step()
    return {name: (before[name], value.detach()) for name, value in model.named_parameters()}


def test_adamw_decays_weights_alone_and_apart_from_the_gradient():
    """Without a gradient nothing is left but the decay, w (1 - rate decay); Adam's first step is
    the rate, whatever the gradient's size.
    """
    settings = pretext(optimiser="adamw", weight_decay=0.5, epsilon=1e-12)
    for name, (before, after) in stepped(settings, 0.0).items():
        share = 1 - RATE * 0.5 if name in ("convolution.weight", "heads.weight") else 1
        torch.testing.assert_close(after, before * share, msg=name)
    for name, (before, after) in stepped(settings, 7.0).items():
        share = 1 - RATE * 0.5 if name in ("convolution.weight", "heads.weight") else 1
        torch.testing.assert_close(after, before * share - RATE, msg=name)


def test_adam_adds_the_decay_of_every_weight_to_its_gradient():
    """Without another gradient the decay's sign alone moves each weight by the rate."""
    settings = pretext(weight_decay=0.5, epsilon=1e-12)
    for name, (before, after) in stepped(settings, 0.0).items():
        torch.testing.assert_close(after, before - RATE * before.sign(), msg=name)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_every_weight_is_optimised_once_with_the_settings(kind):
    model = Small()
    groups = optimiser(model, pretext(optimiser=kind, betas=(0.8, 0.9), epsilon=1e-3)).param_groups
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(map(id, model.parameters()))
    for group in groups:
        assert (group["lr"], group["betas"], group["eps"]) == (RATE, (0.8, 0.9), 1e-3)
