"""One process among several, simulated in one: the sums over processes are given. Real processes:
test_processes.py.
"""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.layers import BatchNormAct2d
from torch import nn

from pipeline.common.process_group import ProcessGroup
from pipeline.pretext import global_batch
from pipeline.pretext.global_batch import GlobalBatchNorm, distribute, gather_scores, own_slice
from tests.small_encoder import small_encoder


@given(st.integers(0, 50), st.integers(1, 9))
def test_slices_cover_each_batch_once_in_order_and_differ_by_one_face_at_most(n, count):
    shares = [own_slice(n, ProcessGroup(rank, count)) for rank in range(count)]
    assert [i for share in shares for i in range(n)[share]] == list(range(n))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_a_single_process_is_left_alone():
    encoder, scores = small_encoder(8), torch.rand(4, 5)
    assert (
        distribute(encoder, ProcessGroup()) is encoder
        and gather_scores(scores, 4, ProcessGroup()) is scores
    )


def test_gathered_scores_stand_at_the_place_of_the_share(monkeypatch):
    others = torch.zeros(7, 5)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.add_(others))
    scores = torch.rand(7, 5)
    part = own_slice(7, ProcessGroup(1, 3))
    others[: part.start], others[part.stop :] = scores[: part.start], scores[part.stop :]
    own = scores[part].clone().requires_grad_()
    whole = gather_scores(own, 7, ProcessGroup(1, 3))
    assert torch.equal(whole, scores)
    others.zero_()
    (whole * torch.arange(35.0).reshape(7, 5)).sum().backward()
    assert own.grad is not None and torch.equal(own.grad, torch.arange(35.0).reshape(7, 5)[part])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (nn.BatchNorm2d, (6, 4, 5, 5)),
        (nn.BatchNorm1d, (6, 4)),
        (partial(nn.BatchNorm1d, affine=False), (6, 4)),
        (BatchNormAct2d, (6, 4, 5, 5)),  # with a rectifier inside
    ],
)
def test_global_batch_norm_alone_is_that_of_one_process(monkeypatch, make, shape, training):
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 1
    theirs, ours = make(4), make(4)
    ours.__class__ = GlobalBatchNorm
    for norm in (theirs, ours):
        if norm.affine:
            nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(1))
    results = []
    for norm in (theirs, ours):
        x = inputs.clone().requires_grad_()
        out = norm.train(training)(x)
        (out * inputs.sin()).sum().backward()
        gradients = [weight.grad for weight in norm.parameters()]
        results.append([out.detach(), x.grad, *gradients, *norm.state_dict().values()])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_counts_and_sums_as_exactly_as_pytorchs(monkeypatch, autocast):
    """693 pixels, a number that bfloat16 rounds to 692, far from 0, where its squares lose the
    variance.
    """
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor)
    inputs = (torch.randn(7, 4, 11, 9, generator=torch.Generator().manual_seed(0)) + 20).bfloat16()
    theirs, ours = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
    ours.__class__ = GlobalBatchNorm  # type: ignore[assignment]
    results = []
    for norm in (theirs, ours):
        x = inputs.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = norm(x)
        (out.float() * inputs.float().sin()).sum().backward()
        assert x.grad is not None and out.dtype == x.grad.dtype == torch.bfloat16
        assert norm.running_var is not None and norm.running_var.dtype == torch.float32
        results.append(
            [out.detach(), x.grad, norm.weight.grad, norm.bias.grad, *norm.state_dict().values()]
        )
    for a, b in zip(results[0][4:], results[1][4:], strict=True):  # weights and running statistics
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    for a, b in zip(results[0][:4], results[1][:4], strict=True):  # rounded once, at the end
        torch.testing.assert_close(a.float(), b.float(), rtol=2**-7, atol=0.02)


def test_64_bits_stay_64(monkeypatch):
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor)
    inputs = torch.randn(
        6, 4, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    theirs, ours = nn.BatchNorm2d(4).double(), nn.BatchNorm2d(4).double()
    ours.__class__ = GlobalBatchNorm  # type: ignore[assignment]
    torch.testing.assert_close(ours(inputs), theirs(inputs), rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=1e-13, atol=1e-14)


def test_global_batch_norm_of_two_halves_is_that_of_the_whole():
    """Both processes in turn: the first pass collects the sums, the second one uses them."""
    inputs = torch.randn(6, 4, 5, 5, generator=torch.Generator().manual_seed(0)) * 3 + 1
    theirs = nn.BatchNorm2d(4)
    expected = theirs(inputs)
    sums = [torch.cat([inputs.sum(dim=(0, 2, 3)), torch.tensor([150.0])])]
    mean = sums[0][:-1] / 150
    sums.append((inputs - mean[:, None, None]).square().sum(dim=(0, 2, 3)))
    halves = []
    for half in (inputs[:2], inputs[2:], inputs[:0]):  # a process may have no face of a small batch
        ours = nn.BatchNorm2d(4)
        ours.__class__ = GlobalBatchNorm  # type: ignore[assignment]
        given_sums = iter(sums)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                global_batch.torch.distributed,
                "all_reduce",
                lambda tensor, given_sums=given_sums: tensor.copy_(next(given_sums)),
            )
            halves.append(ours(half))
        torch.testing.assert_close(ours.running_var, theirs.running_var)
        torch.testing.assert_close(ours.running_mean, theirs.running_mean)
        assert ours.num_batches_tracked == 1
    torch.testing.assert_close(torch.cat(halves), expected)
