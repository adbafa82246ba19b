"""What all tests share: the repository's root, no colours or threads to differ by, and short
property tests.
"""

import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and torch start their threads
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")

import hypothesis
import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # under nohup; processes would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile(
    "fast", deadline=None, max_examples=40, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("fast")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def pytest_collection_finish() -> None:
    """Keep the garbage collector from looking at all the libraries again and again: a sixth of the
    suite's time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def narrow() -> Callable[[pytest.MonkeyPatch], None]:
    """Gives resnet10 a quarter of its width: for what holds of any network, such as that a run goes
    on to the same bits.

    On pictures of 32 pixels most time goes into five million weights: drawing, updating, checking,
    saving and copying them."""
    from torch import nn
    from torchvision.models.resnet import BasicBlock, ResNet

    from pipeline.encoder import network as encoder

    class Narrow(ResNet):
        def __init__(self) -> None:
            super().__init__(BasicBlock, [1, 1, 1, 1])
            self.fc = nn.Linear(512 // 4, 1)

        def _make_layer(
            self, block: Any, planes: int, *arguments: Any, **named: Any
        ) -> nn.Sequential:
            return super()._make_layer(block, planes // 4, *arguments, **named)

    build = encoder.build_resnet
    return lambda patch: patch.setattr(
        encoder, "build_resnet", lambda name: Narrow() if name == "resnet10" else build(name)
    )


@pytest.fixture
def narrow_network(
    narrow: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The narrow network throughout a test."""
    narrow(monkeypatch)
