"""Processes: which of torchrun's this one is, and worker processes for local work.

torchrun tells each process its place in the environment (RANK, WORLD_SIZE, LOCAL_RANK). Results
depend on their number by rounding alone, or by what each of them drops out in training."""

import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_limits

from pipeline.base.errors import PipelineError

Job = TypeVar("Job")
Result = TypeVar("Result")


def world() -> int:
    """How many processes run this stage together."""
    return _from_torchrun("WORLD_SIZE", 1)


def rank() -> int:
    """The number of this process among them."""
    return _from_torchrun("RANK", 0)


def local_rank() -> int:
    """The number of this process among those of its machine: the number of its GPU."""
    return _from_torchrun("LOCAL_RANK", 0)


def workers() -> int:
    """Worker processes or threads to use: PIPELINE_WORKERS, else the cores shared with torchrun's
    other processes here.
    """
    text = os.environ.get("PIPELINE_WORKERS", "")
    if text and (not text.isdecimal() or int(text) < 1):
        raise PipelineError(
            f"environment variable PIPELINE_WORKERS is {text!r}: set a whole number from 1, or "
            "unset it"
        )
    processes_here = _from_torchrun("LOCAL_WORLD_SIZE", 1)
    return int(text) if text else max(1, len(os.sched_getaffinity(0)) // processes_here)


def parallel(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int
) -> Generator[Result, None, None]:
    """function(job) of every job, in the order of the jobs, computed by `workers` processes.

    Each job computes with one thread. With one worker or one job all runs in this process. Else
    jobs and results are pickled, so `function` is a module's function, or a functools.partial of
    one; at most 2 * workers jobs are under way or wait to be fetched. Workers end with the
    iterator, and with this process. Raises what a job raises, and PipelineError when a worker is
    killed."""
    jobs = iter(jobs)
    head = list(itertools.islice(jobs, 2))
    jobs = itertools.chain(head, jobs)
    if workers == 1 or len(head) < 2:
        for job in jobs:
            with _one_thread(), threadpool_limits(1):
                result = function(job)
            yield result
        return
    waiting: deque[Future[Result]] = deque()
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
    try:
        for job in jobs:
            with _one_thread():
                waiting.append(pool.submit(function, job))
            if len(waiting) == 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise PipelineError(
            "a worker process was killed, most often for want of memory; set the environment "
            "variable PIPELINE_WORKERS=1 and run again"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Libraries and processes that are loaded inside compute with one thread."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _start_worker() -> None:
    """In a worker: leave Ctrl-C to the stage, and end when the stage is gone, even when killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stage = multiprocessing.parent_process()

    def watch() -> None:
        if stage is not None:
            stage.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _from_torchrun(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise PipelineError(
            f"environment variable {name} is {text!r}, not a whole number: start the stage with "
            "torchrun"
        )
    return int(text)
