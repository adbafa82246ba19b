"""What makes several processes train as one: a batch is shared out, while losses and batch
statistics see all of it.
"""

from typing import Any

import torch
import torch.distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.common.process_group import ProcessGroup


def own_slice(n: int, group: ProcessGroup) -> slice:
    """The faces of a batch of n that this process computes; over all processes each comes once, in
    order.
    """
    return slice(n * group.rank // group.count, n * (group.rank + 1) // group.count)


def distribute(model: nn.Module, group: ProcessGroup) -> Any:
    """The model as one of a group that trains together: averaged gradients, batch normalisation
    over the global batch.

    The model itself is changed in place and keeps the names of its weights; alone it is returned as
    it is."""
    if group.count == 1:
        return model
    device = next(model.parameters()).device
    if device.type == "cuda":
        from timm.layers import convert_sync_batchnorm  # keeps the activations in timm's layers

        model = convert_sync_batchnorm(model)
    else:  # PyTorch's own needs a GPU
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.__class__ = GlobalBatchNorm  # type: ignore[assignment]
    numbers = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=numbers, broadcast_buffers=False)


def gather_scores(scores: torch.Tensor, n: int, group: ProcessGroup) -> torch.Tensor:
    """Scores (n, heads) of the whole batch from this process's share (m, heads), with gradients.

    Each process then computes the same loss of the whole batch. Backwards the gradients of all
    processes are added, and DistributedDataParallel divides by their number: together that is the
    gradient of one process with the whole batch."""
    if group.count == 1:
        return scores
    part = own_slice(n, group)
    whole = torch.cat(
        [
            scores.new_zeros(part.start, scores.shape[1]),
            scores,
            scores.new_zeros(n - part.stop, scores.shape[1]),
        ]
    )
    return _Sum.apply(whole)


class _Sum(torch.autograd.Function):
    """The sum over all processes; backwards, too, since what each of them computes from it enters
    its own loss.
    """

    @staticmethod
    def forward(_: Any, tensor: torch.Tensor) -> torch.Tensor:
        total = tensor.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        torch.distributed.all_reduce(total)
        return total


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation whose mean and variance in training are those of the global batch (Ioffe
    and Szegedy 2015).

    Computed in 32 bits at least, and returned in the type of the inputs: bfloat16 counts exactly to
    256 only. In place of timm's layer with an activation it activates, too."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Normalise inputs (m, c) or (m, c, h, w), m of this process; m may be 0."""
        if self.training:
            with torch.autocast(inputs.device.type, enabled=False):
                wide = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
                outputs = self._normalise(wide).to(inputs.dtype)
        else:
            outputs = super().forward(inputs)
        for name in ("drop", "act"):  # of timm's BatchNormAct2d
            if isinstance(layer := getattr(self, name, None), nn.Module):
                outputs = layer(outputs)
        return outputs

    def _check_input_dim(self, inputs: torch.Tensor) -> None:
        """Any number of dimensions: what became this layer has checked it."""

    def _normalise(self, inputs: torch.Tensor) -> torch.Tensor:
        places = [0, *range(2, inputs.dim())]
        shape = (-1, *[1] * (inputs.dim() - 2))  # (c,) beside (m, c, ...)
        own = torch.cat(
            [inputs.sum(dim=places), inputs.new_tensor([inputs.numel() / inputs.shape[1]])]
        )
        total = _Sum.apply(own)  # (c + 1,)
        count = total[-1].detach()
        mean = total[:-1] / count  # (c,)
        centred = inputs - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(dim=places)) / count  # (c,)
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.detach(), self.momentum)
        self.running_var.lerp_(variance.detach() * count / (count - 1), self.momentum)
        scale = torch.rsqrt(variance + self.eps)
        if not self.affine:
            return centred * scale.view(shape)
        return centred * (self.weight * scale).view(shape) + self.bias.view(shape)
