import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pipeline.base.errors import PipelineError
from pipeline.base.schema import Pretext
from pipeline.encoder.crop import crop_resize
from pipeline.encoder.network import Encoder, normalise
from pipeline.pretext import losses
from pipeline.pretext.batches import epoch_plan, face_set
from pipeline.pretext.state import start_training
from pipeline.pretext.training import forward, mean_losses, pretext_losses, read_losses, train


def pretext(**changes):
    values = dict(
        architecture="resnet10", feature_dim=8, start="none", input_size=32, face_scale=1.3, antialias=True,
        photograph_probability=0.5, epochs=1, batch_size=8, learning_rate=1e-3, betas=(0.9, 0.98), epsilon=1e-6,
        weight_decay=1e-4, schedule_epochs=4, minimum_learning_rate=1e-5, device="cpu", precision="float32",
        channels_last=True, compile=False,
    )  # fmt: skip
    return Pretext(**{**values, **changes})


def bright_faces(n, name="t"):
    """Faces that are brighter the larger all their tags are; a manipulation blackens the upper
    half.
    """
    level = np.random.default_rng(n).uniform(size=n)
    pixels = (40 + 180 * level[:, None, None, None] + np.zeros((n, 48, 48, 3))).astype(np.uint8)
    manipulations = pixels.repeat(4, axis=0)
    manipulations[:, :24] = 0
    faces = pd.DataFrame({"face_id": [f"{name}{i}" for i in range(n)], "row": np.arange(n)})
    for tag in ("iso", "f_number", "exposure_time_s", "focal_length_mm"):
        faces[tag] = 50 * 2 ** (4 * level)
    table = pd.DataFrame({"row": np.arange(4 * n), "face_row": np.arange(4 * n) // 4})
    return face_set(faces, pixels, table, manipulations, np.tile([4.0, 4, 44, 44], (n, 1)))


def weights_of(encoder):
    return [value.clone() for value in encoder.state_dict().values()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_training_learns_and_leaves_a_usable_encoder():
    encoder = Encoder("resnet10", 8, seed=1)
    result = train(encoder, bright_faces(64), bright_faces(12, "v"), pretext(epochs=3), seed=1)
    accuracies = result.metrics["ranking_accuracy"]
    assert set(accuracies) == {"iso", "f_number", "exposure_time", "focal_length", "mean"}
    assert accuracies["mean"] > 0.9 and result.metrics["manipulation_auc"] > 0.9
    assert (
        result.metrics["faces"] == {"train": 64, "held_out": 12}
        and result.metrics["not_computed"] == {}
    )
    assert not encoder.training and (result.faces_per_second or 0) > 0
    losses_seen = [float(row["train_loss_total"] or 0) for row in result.history]
    assert losses_seen[-1] < losses_seen[0]
    assert [row["epoch"] for row in result.history] == [1, 2, 3]


def test_metrics_agree_with_the_last_row_of_the_history():
    result = train(
        Encoder("resnet10", 8), bright_faces(20), bright_faces(6, "v"), pretext(epochs=2), seed=1
    )
    last, metrics = result.history[-1], result.metrics
    assert last["ranking_accuracy_mean"] == metrics["ranking_accuracy"]["mean"]
    assert last["manipulation_auc"] == metrics["manipulation_auc"]
    for kind in ("train", "held_out"):
        assert metrics["losses"][kind] == {
            name: last[f"{kind}_loss_{name}"] for name in metrics["losses"][kind]
        }
        five = [value for name, value in metrics["losses"][kind].items() if name != "total"]
        assert metrics["losses"][kind]["total"] == pytest.approx(sum(five)) and len(five) == 5


def test_same_seed_same_weights_other_seed_others():
    runs: list[tuple[list[torch.Tensor], dict]] = []
    for seed, changes in ((1, {}), (1, {"channels_last": False}), (1, {}), (2, {})):
        torch.manual_seed(len(runs))  # the global state has no influence
        encoder = Encoder("resnet10", 8, seed=5)
        result = train(
            encoder, bright_faces(20), bright_faces(4, "v"), pretext(**changes), seed=seed
        )
        runs.append((weights_of(encoder), result.metrics))
    assert same(runs[0][0], runs[2][0]) and runs[0][1] == runs[2][1]
    assert not same(runs[0][0], runs[3][0])
    for a, b in zip(runs[0][0], runs[1][0], strict=True):  # the layout is a matter of speed
        torch.testing.assert_close(a, b, rtol=0, atol=2e-2)


def test_zero_epochs_keep_the_start_weights():
    encoder = Encoder("resnet10", 8, seed=1)
    before = weights_of(encoder)
    result = train(encoder, bright_faces(8), bright_faces(6, "v"), pretext(epochs=0), seed=1)
    assert same(before, weights_of(encoder))
    assert result.faces_per_second is None and result.history[0]["epoch"] == 0
    assert (
        result.metrics["losses"]["train"]["total"] is None
        and result.metrics["losses"]["held_out"]["total"] > 0
    )


def test_one_step_is_the_written_recipe():
    """An independent step: PyTorch's Adam on the plain sum of five losses over one batch."""
    faces, settings = bright_faces(8), pretext(batch_size=8, channels_last=False)
    ours, theirs = Encoder("resnet10", 8, seed=1), Encoder("resnet10", 8, seed=1)
    train(ours, faces, bright_faces(0), settings, seed=1)

    batch = faces.load(*epoch_plan(faces, seed=1, epoch=1, photograph_probability=0.5))
    adam = torch.optim.Adam(
        theirs.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=1e-4
    )
    _, scores = theirs.train()(normalise(crop_resize(batch.pixels, batch.boxes, 32)))
    total = sum(losses.ranking_loss(scores[:, i], batch.tags[:, i]) for i in range(4))
    (total + losses.manipulation_loss(scores[:, 4], batch.manipulated)).backward()
    adam.step()
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_tags_count_for_manipulated_faces_too():
    class Scores(nn.Module):
        def forward(self, x):
            return None, x.mean(dim=(1, 2, 3))[:, None].repeat(1, 5).requires_grad_()

    faces = bright_faces(4)
    batch = faces.load(np.arange(4), np.arange(4) * 4)  # all manipulated
    five = pretext_losses(Scores(), batch, pretext())
    assert five.shape == (5,) and (five[:4] > 1e-3).all()


def test_learning_rate_follows_the_cosine_per_epoch():
    result = train(
        Encoder("resnet10", 8), bright_faces(8), bright_faces(2, "v"), pretext(epochs=4), seed=1
    )
    expected = [1e-5 + (1e-3 - 1e-5) * (1 + math.cos(math.pi * e / 4)) / 2 for e in range(4)]
    assert [row["learning_rate"] for row in result.history] == pytest.approx(expected)


def test_optimiser_has_the_parameters_of_the_file():
    group = start_training(
        Encoder("resnet10", 8), pretext(weight_decay=0.5, betas=(0.8, 0.9))
    ).optimiser.param_groups[0]
    assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (
        1e-3,
        (0.8, 0.9),
        1e-6,
        0.5,
    )


def test_bfloat16_computes_in_it_and_returns_float32():
    faces, seen = bright_faces(2), []
    encoder = Encoder("resnet10", 8).eval()
    encoder.backbone.fc.register_forward_hook(
        lambda module, args, output: seen.append(output.dtype)
    )
    batch = faces.load(np.arange(2), np.full(2, -1))
    with torch.no_grad():
        assert forward(encoder, batch, pretext(precision="bfloat16")).dtype == torch.float32
        forward(encoder, batch, pretext())
    assert seen == [torch.bfloat16, torch.float32]


def test_only_whole_training_batches_are_compiled(monkeypatch):
    seen = []

    def fake_compile(encoder):
        def compiled_encoder(inputs):
            seen.append((len(inputs), encoder.training))
            return encoder(inputs)

        return compiled_encoder

    plain, compiled = Encoder("resnet10", 8, seed=1), Encoder("resnet10", 8, seed=1)
    train(plain, bright_faces(19), bright_faces(9), pretext(), seed=1)
    monkeypatch.setattr(torch, "compile", fake_compile)
    train(compiled, bright_faces(19), bright_faces(9), pretext(compile=True), seed=1)
    assert seen == [(8, True), (8, True)]  # not the last three faces, nor the held-out ones
    assert same(weights_of(plain), weights_of(compiled))


def test_crop_comes_from_the_box():
    faces = bright_faces(2)
    faces.boxes[:] = [0, 26, 48, 48]  # within the lower half, which the manipulation leaves alone
    seen = []

    class Look(nn.Module):
        def forward(self, x):
            seen.append(x)
            return None, torch.zeros(len(x), 5)

    forward(Look(), faces.load(np.array([0, 0]), np.array([-1, 0])), pretext())
    assert seen[0].shape == (2, 3, 32, 32)
    torch.testing.assert_close(seen[0][0], seen[0][1])


def test_divergence_names_step_rate_and_remedy():
    state = start_training(Encoder("resnet10", 8), pretext(learning_rate=0.5))
    state.epoch = 2
    five = torch.tensor([1, math.nan, 1, 1, math.inf])
    with pytest.raises(
        PipelineError,
        match=r"loss of f_number, loss of manipulation not finite in epoch 3, step 2, .*0\.5\. Lower",
    ):
        read_losses(state, [(8, torch.ones(5)), (8, five)], 0.0)
    assert state.step == 0  # nothing of a reading that diverged enters the state


def test_infinite_rate_stops_training():
    with pytest.raises(PipelineError, match="training diverged"):
        train(
            Encoder("resnet10", 8),
            bright_faces(24),
            bright_faces(2),
            pretext(learning_rate=1e30, epochs=3),
            seed=1,
        )


def test_mean_losses_weigh_by_faces_however_they_are_read():
    steps = [(3, torch.full((5,), 1.0))] * 20 + [(1, torch.full((5,), 2.0))]
    means = []
    for cuts in ([21], [1] * 21, [20, 1]):
        state, rest = start_training(Encoder("resnet10", 8), pretext()), list(steps)
        for size in cuts:
            read_losses(state, rest[:size], 0.0)
            rest = rest[size:]
        assert state.step == 21
        means.append(mean_losses(state.losses))
    assert means[0]["iso"] == pytest.approx((60 + 2) / 61) and means[0]["total"] == pytest.approx(
        5 * 62 / 61
    )
    assert means[0] == means[1] == means[2]


def test_too_few_faces_and_absent_cuda_are_said(monkeypatch):
    with pytest.raises(PipelineError, match="1 training faces: ranking needs two"):
        train(Encoder("resnet10", 8), bright_faces(1), bright_faces(2), pretext(), seed=1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PipelineError, match=r"pretext\.device: cuda"):
        train(
            Encoder("resnet10", 8), bright_faces(4), bright_faces(2), pretext(device="cuda"), seed=1
        )
