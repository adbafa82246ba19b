import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.base.errors import PipelineError
from pipeline.common.names import HEADS
from pipeline.common.process_group import ProcessGroup
from pipeline.encoder.backbones import Architecture
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import crop_resize
from pipeline.pretext import losses, training
from pipeline.pretext.batches import epoch_plan
from pipeline.pretext.checkpoint import State
from pipeline.pretext.model import PretextModel
from pipeline.pretext.optimisation import learning_rate, optimiser
from pipeline.pretext.training import Run, Step, pretext_losses, read_losses, step, train
from tests.pretext_world import bright_faces, pretext, same, weights_of
from tests.small_encoder import small_encoder

ALL = [True] * 4  # tags of which a batch has pairs


def trained(faces=20, validation=4, seed=1, encoder=None, **changes):
    """A trained encoder and its result."""
    encoder = encoder or small_encoder(8, seed=5)
    settings = pretext(**changes)
    result = train(encoder, bright_faces(faces), bright_faces(validation, "v"), settings, seed=seed)
    assert result is not None
    return encoder, result


@pytest.mark.parametrize("photographs", [0.5, "paired"])
def test_training_learns_and_leaves_a_usable_encoder(photographs):
    encoder = Encoder(Architecture("native", "all", widths=(16, 32, 64)), seed=5)
    encoder, result = trained(
        64,
        12,
        encoder=encoder,
        epochs=3,
        learning_rate=0.003,
        photograph_probability=photographs,
    )
    accuracies = result.metrics["ranking_accuracy"]
    assert set(accuracies) == {"iso", "f_number", "exposure_time", "focal_length", "mean"}
    assert accuracies["mean"] > 0.9 and result.metrics["manipulation_auc"] > 0.9
    assert result.metrics["faces"] == {"train": 64, "validation": 12}
    assert not encoder.training and (result.faces_per_second or 0) > 0
    rows = result.history
    assert rows[-1]["train_loss_total"] < rows[0]["train_loss_total"]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    last, metrics = rows[-1], result.metrics
    assert last["ranking_accuracy_mean"] == accuracies["mean"]
    assert last["manipulation_auc"] == metrics["manipulation_auc"]
    for kind in ("train", "validation"):
        named = {name: last[f"{kind}_loss_{name}"] for name in metrics["losses"][kind]}
        assert metrics["losses"][kind] == named
        assert named.pop("total") == pytest.approx(sum(named.values())) and len(named) == 5


def test_one_step_is_the_written_recipe():
    """An independent step: PyTorch's Adam on the plain sum of five losses over one batch."""
    faces, ours, theirs = bright_faces(8), *(small_encoder(8, seed=1) for _ in range(2))
    train(ours, faces, bright_faces(0), pretext(batch_size=8), seed=1)

    batch = faces.load(*epoch_plan(faces, seed=1, epoch=1, photograph_probability=0.5))
    adam = torch.optim.Adam(
        theirs.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=1e-4
    )
    theirs.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    _, scores = theirs(crop_resize(batch.pixels, batch.boxes, 32))
    total = losses.manipulation_loss(scores[:, 4], batch.manipulated)
    for i in range(4):
        total = total + losses.ranking_loss(scores[:, i], batch.tags[:, i], tolerance=0.1667)
    total.backward()
    adam.step()
    for a, b in zip(weights_of(ours), weights_of(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    group = optimiser(ours, pretext(learning_rate=0.5, weight_decay=0.1)).param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.1)


def test_same_seed_same_weights_other_seed_others():
    runs: list[tuple[list[torch.Tensor], dict]] = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(runs))  # the global state has no influence
        encoder, result = trained(seed=seed)
        runs.append((weights_of(encoder), result.metrics))
    assert same(runs[0][0], runs[1][0]) and runs[0][1] == runs[1][1]
    assert not same(runs[0][0], runs[2][0])


def test_zero_epochs_keep_the_start_weights():
    encoder, result = trained(8, 6, epochs=0)
    assert same(weights_of(encoder), weights_of(small_encoder(8, seed=5)))
    assert result.faces_per_second is None and result.history[0]["epoch"] == 0
    assert result.history[0]["learning_rate"] is None
    kinds = result.metrics["losses"]
    assert kinds["train"]["total"] is None and kinds["validation"]["total"] > 0


def test_the_history_has_the_rate_of_each_epochs_last_step():
    for schedule in ("cosine", "one_cycle"):
        settings = pretext(epochs=4, schedule=schedule, warmup=0.3)
        _, result = trained(20, 2, epochs=4, schedule=schedule, warmup=0.3)  # three steps an epoch
        expected = [learning_rate(settings, epoch, 2 / 3) for epoch in range(4)]
        assert [row["learning_rate"] for row in result.history] == expected


@pytest.mark.parametrize("every", [1, 20])  # steps between readings of the losses
def test_every_step_has_the_rate_of_its_place(monkeypatch, every):
    seen = []

    def noted(run, state, batch):
        seen.append({group["lr"] for group in state.optimiser.param_groups})
        return torch.zeros(5)

    monkeypatch.setitem(training.READ_EVERY, "cpu", every)
    monkeypatch.setattr(training, "step", noted)
    how = {"epochs": 2, "optimiser": "adamw", "schedule": "one_cycle", "warmup": 0.5}
    trained(20, 2, **how)  # three steps an epoch
    places = [(epoch, number / 3) for epoch in range(2) for number in range(3)]
    assert seen == [{learning_rate(pretext(**how), *place)} for place in places]


def test_losses_count_by_their_weights_and_are_reported_without():
    """A loss of weight 0 leaves its head alone, where nothing decays; doubling all weights leaves
    Adam's first step as it is but for epsilon.
    """
    weights = dict.fromkeys(HEADS, 1.0)
    start = small_encoder(8, seed=5).heads.weight
    _, plain = trained(8, 4, weight_decay=0.0)
    encoder, result = trained(8, 4, weight_decay=0.0, loss_weights=weights | {"f_number": 0.0})
    moved = (encoder.heads.weight != start).any(dim=1)
    assert moved.tolist() == [True, False, True, True, True]
    assert result.metrics["losses"]["train"] == plain.metrics["losses"]["train"]


def test_the_sum_that_is_minimised_is_weighted():
    faces, weights = bright_faces(8), dict.fromkeys(HEADS, 0.5) | {"manipulation": 3.0}
    encoder = small_encoder(8, seed=1).train()
    batch = faces.load(np.arange(8), np.array([-1, 4] * 4))
    settings = pretext(loss_weights=weights, learning_rate=1e-12)
    model, cpu = PretextModel(encoder, settings), torch.device("cpu")
    run = Run(model, model, settings, 1, cpu, ProcessGroup(), None, lambda: False)
    state = State(encoder, optimiser(encoder, settings))
    step(run, state, batch)
    found = [parameter.grad for parameter in encoder.parameters()]
    encoder.zero_grad(set_to_none=True)
    five = pretext_losses(model, batch, settings, ProcessGroup())
    (0.5 * five[:4].sum() + 3 * five[4]).backward()
    for one, parameter in zip(found, encoder.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-3, atol=1e-5)


class Drops(nn.Module):
    """In place of an encoder: notes what dropout leaves of ones."""

    head_names = HEADS

    def __init__(self):
        super().__init__()
        self.weight, self.dropout, self.left = nn.Parameter(torch.ones(5)), nn.Dropout(0.5), []

    def forward(self, x):
        ones = self.dropout(torch.ones(len(x), 5))
        if self.training:
            self.left.append(ones)
        return None, ones * self.weight


def test_dropout_is_drawn_by_seed_and_step_and_leaves_torchs_state_alone():
    runs = []
    for seed, state in ((1, 1), (1, 2), (2, 1)):
        torch.manual_seed(state)
        before, model = torch.random.get_rng_state(), Drops()
        settings = pretext(epochs=2)
        encoder: Any = model
        train(encoder, bright_faces(16), bright_faces(0), settings, seed=seed)
        assert torch.equal(torch.random.get_rng_state(), before)
        runs.append([tuple(ones.flatten().tolist()) for ones in model.left])
    assert runs[0] == runs[1] and len({*runs[0], *runs[2]}) == 8


def mean_pixel(pictures, boxes):
    """In place of a model: the score of all heads is the mean pixel."""
    means = pictures.float().mean(dim=(1, 2, 3)).div(255)
    return means[:, None].repeat(1, 5).requires_grad_()


def test_tags_count_for_manipulated_faces_too():
    batch = bright_faces(4).load(np.arange(4), np.arange(4) * 4)  # all manipulated
    five = pretext_losses(mean_pixel, batch, pretext(), ProcessGroup())
    assert five.shape == (5,) and (five[:4] > 1e-3).all()


def test_ties_are_those_of_the_parameters():
    batch = bright_faces(4).load(np.arange(4), np.full(4, -1))
    default, none, all_tied = (
        pretext_losses(mean_pixel, batch, pretext(tie_stops=t), ProcessGroup())
        for t in (0.1667, 0, 2)
    )
    tags, scores = batch.tags[:, 0], torch.zeros(4)
    assert not torch.equal(default, all_tied) and not torch.equal(none, all_tied)
    assert losses.ranking_loss(scores, tags, tolerance=9) == pytest.approx(0, abs=1e-6)


def test_only_whole_training_batches_are_compiled(monkeypatch):
    seen = []

    def fake_compile(model, **how):
        def compiled(pictures, boxes):
            seen.append((len(pictures), model.encoder.training))
            return model(pictures, boxes)

        return compiled

    plain, _ = trained(19, 9)
    monkeypatch.setattr(torch, "compile", fake_compile)
    monkeypatch.setattr(training, "check_compiler", lambda *_: None)
    compiled, _ = trained(19, 9, compile=True)
    assert seen == [(8, True), (8, True)]  # not the last three faces, nor the validation set
    assert same(weights_of(plain), weights_of(compiled))


def test_how_rarely_losses_are_read_changes_nothing(monkeypatch):
    results = []
    for every in (1, 2, 20):
        monkeypatch.setitem(training.READ_EVERY, "cpu", every)
        encoder, result = trained()
        results.append((result.history, weights_of(encoder)))
    for history, weights in results[1:]:
        assert history == results[0][0] and same(weights, results[0][1])


def test_losses_of_an_epoch_weigh_by_faces():
    state = State(small_encoder(8), None)  # type: ignore[arg-type]
    read_losses(state, [Step(3, ALL, torch.full((5,), 1.0))] * 20)
    read_losses(state, [Step(1, [True, True, False, True], torch.full((5,), 2.0))])
    assert (state.step, state.faces) == (21, 61)
    assert state.loss_sums == pytest.approx([62, 62, 60, 62, 62])
    assert state.loss_faces == [61, 61, 60, 61, 61], "where a tag has no pair, it has no loss"


def test_divergence_names_step_rate_and_remedy():
    encoder = small_encoder(8)
    state = State(encoder, optimiser(encoder, pretext(learning_rate=0.5)), epoch=2)
    five = torch.tensor([1, math.nan, 1, 1, math.inf])
    message = r"loss of f_number, manipulation not finite in epoch 3, step 2, .*0\.5\. Lower"
    with pytest.raises(PipelineError, match=message):
        read_losses(state, [Step(8, ALL, torch.ones(5)), Step(8, ALL, five)])
    with pytest.raises(PipelineError, match="training diverged"):
        trained(24, 2, learning_rate=1e30, epochs=3)


def test_too_few_faces_and_absent_cuda_are_said(monkeypatch):
    with pytest.raises(PipelineError, match="1 training faces: ranking needs two"):
        trained(1, 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PipelineError, match=r"pretext\.device: cuda"):
        trained(device="cuda")
