"""Results computed ahead of their use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(loads: Iterable[Callable[[], T]], *, depth: int = 2) -> Iterator[T]:
    """Results of the calls in order, `depth` of them computed ahead in one thread."""
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[T]] = deque()
        for load in loads:
            waiting.append(pool.submit(load))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
