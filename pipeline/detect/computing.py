"""How batches are computed: as in extraction, by all cores, one after the other to whoever asks."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from pipeline.base import processes
from pipeline.common.devices import arithmetic
from pipeline.extraction.features import single_threaded

_LOCK = threading.RLock()  # PyTorch's settings are those of the process
Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def computing() -> Iterator[None]:
    """PyTorch computes inside as in extraction; one thread of the program at a time."""
    with _LOCK, arithmetic(), single_threaded():
        yield


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """function(item) of every item, in order, by as many threads as there are cores; one result
    more than these is under way or waits to be fetched.
    """
    count = workers or processes.workers()
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Items, so many at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
