"""Which process this is, and worker processes: results in order, few jobs under way, no orphans."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from threadpoolctl import threadpool_limits

from pipeline.base import processes
from pipeline.base.errors import PipelineError
from pipeline.base.processes import parallel
from tests.waiting import alive, wait_until

SLEEPING_STAGE = """
import os, pathlib, sys, time
from pipeline.base import processes, terminal

def sleep(seconds):
    pathlib.Path(f"started.{os.getpid()}").touch()
    time.sleep(seconds)

if __name__ == "__main__":
    seconds = float(sys.argv[1])
    terminal.run(lambda: list(processes.parallel(sleep, [seconds] * 9, 2)))
"""


def slow_square(number: int) -> tuple[int, int, set[int]]:
    """Later jobs end earlier. Also returns the process, and the threads that NumPy uses."""
    import numpy  # noqa: F401
    from threadpoolctl import threadpool_info

    time.sleep(0.05 * (number == 0))
    return number**2, os.getpid(), {library["num_threads"] for library in threadpool_info()}


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(number: int) -> None:
    raise PipelineError(f"job {number}")


@pytest.mark.parametrize(("workers", "jobs"), [(3, 12), (1, 12), (3, 1), (3, 0)])
def test_results_come_in_the_order_of_the_jobs_computed_with_one_thread(monkeypatch, workers, jobs):
    monkeypatch.delenv("OMP_NUM_THREADS")
    with threadpool_limits(2):
        results = list(parallel(slow_square, range(jobs), workers))
    assert [square for square, _, _ in results] == [n**2 for n in range(jobs)]
    assert all(threads == {1} for _, _, threads in results)
    here = {process == os.getpid() for _, process, _ in results}
    assert not results or here == {workers == 1 or jobs == 1}, "one job needs no process"
    assert "OMP_NUM_THREADS" not in os.environ


def test_few_jobs_are_under_way():
    jobs = iter(range(100))
    results = parallel(slow_square, jobs, 2)
    next(results)
    results.close()
    assert next(jobs) == 4


def test_a_jobs_error_arrives_and_a_killed_worker_is_an_error_with_a_remedy():
    with pytest.raises(PipelineError, match="job 0"):
        list(parallel(fail, range(5), 2))
    with pytest.raises(PipelineError, match="PIPELINE_WORKERS=1"):
        list(parallel(partial(die), range(5), 2))


@pytest.mark.parametrize(
    ("number", "seconds"), [(signal.SIGKILL, 600), (signal.SIGTERM, 0.5), (signal.SIGINT, 0.5)]
)
def test_workers_end_with_the_stage(tmp_path, root, number, seconds):
    (tmp_path / "stage.py").write_text(SLEEPING_STAGE)
    stage = subprocess.Popen(
        [sys.executable, "stage.py", str(seconds)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: len(list(tmp_path.glob("started.*"))) == 2, "two workers")
        os.kill(stage.pid, number)
        code = stage.wait(20)
    finally:
        stage.kill()
    assert code in (-number, 128 + number)
    workers = [int(path.suffix[1:]) for path in tmp_path.glob("started.*")]
    wait_until(lambda: not any(map(alive, workers)), "the end of the workers")


def test_who_a_process_is_stands_in_torchruns_environment(monkeypatch):
    who = (processes.rank, processes.world, processes.local_rank)
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    assert [ask() for ask in who] == [0, 1, 0]
    for number, name in enumerate(names, start=3):
        monkeypatch.setenv(name, str(number))
    assert [ask() for ask in who] == [3, 4, 5]
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(PipelineError, match=r"WORLD_SIZE is 'two'.*torchrun"):
        processes.world()


def test_the_number_of_workers_is_chosen_or_a_share_of_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("PIPELINE_WORKERS", raising=False)
    assert processes.workers() == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert processes.workers() == 2
    monkeypatch.setenv("PIPELINE_WORKERS", "5")
    assert processes.workers() == 5
    for wrong in ("0", "-1", "two"):
        monkeypatch.setenv("PIPELINE_WORKERS", wrong)
        with pytest.raises(PipelineError, match=f"PIPELINE_WORKERS is '{wrong}'.*unset"):
            processes.workers()
