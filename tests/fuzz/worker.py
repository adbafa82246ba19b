"""One process that fuzzes one target: python -m tests.fuzz.worker TARGET FOLDER SECONDS.

It goes on after a finding, of which it keeps the first input of each kind. What ends the process
(a crash in C, an input without an end) is left to tests.fuzz to find."""

import contextlib
import hashlib
import io
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

try:
    import atheris
except ImportError as error:
    sys.exit(f"{error}: pip install -r requirements-fuzz.txt, or make fuzz")

# Libraries in C are called as the pipeline calls them; of those in Python what reads is followed.
# (Of a package of which one module is named, all are followed: torch would take a minute.)
FOLLOWED = ["pipeline", "PIL", "ruamel", "zipfile"]
HANGS, BYTES = 60, 8 << 30  # seconds and bytes of data after which the process is ended

with atheris.instrument_imports(include=FOLLOWED, enable_loader_override=False):
    import ijson  # noqa: F401
    import PIL.MpoImagePlugin  # noqa: F401

    from pipeline.base.errors import PipelineError
    from pipeline.exif.tags import Rejection
    from tests.fuzz.guard import Guard
    from tests.fuzz.table import TARGETS


class Session:
    """What has been tried of a target, and found."""

    def __init__(self, name: str, folder: Path, seconds: float) -> None:
        self.target, self.name, self.folder = TARGETS[name], name, folder
        self.scratch = folder / "scratch"
        self.scratch.mkdir(parents=True, exist_ok=True)
        (folder / "findings").mkdir(exist_ok=True)
        self.guard = Guard(self.scratch, self.target.megabytes, self.target.seconds)
        self.count, self.outcomes, self.kinds = 0, Counter[str](), dict[str, str]()
        self.start, self.said = time.monotonic(), 0.0
        self.until = self.start + seconds

    def one_input(self, data: bytes) -> None:
        """Run the target on an input; ends the process when the time is over."""
        self.count += 1
        before, outcome = self.guard.longest, "accepted"
        try:
            self.guard.begin()
            try:
                self.target.run(data, self.scratch)
            except (PipelineError, Rejection):
                outcome = "refused"
            finally:
                self.guard.end()
        except (Exception, SystemExit) as error:  # whatever it is, it is a finding
            outcome = "found"
            self.keep(data, error)
        self.outcomes[outcome] += 1
        now = time.monotonic()
        if self.guard.longest > before and self.guard.longest > self.target.seconds / 2:
            (self.folder / "slowest").write_bytes(data)
        if now > self.said + 5 or now > self.until:
            self.said = now
            self.write()
        if now > self.until:
            os._exit(0)

    def keep(self, data: bytes, error: BaseException) -> None:
        """Write the first input of a kind of finding, and its traceback."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "/pipeline/" in frame.filename] or frames
        place = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
        what = str(error).partition(":")[0] if isinstance(error, AssertionError) else ""
        kind = f"{type(error).__name__} {what} {place}"
        if kind in self.kinds:
            return
        text = "".join(traceback.format_exception(error))
        name = hashlib.sha256(kind.encode()).hexdigest()[:12]
        (self.folder / "findings" / name).write_bytes(data)
        (self.folder / "findings" / f"{name}.txt").write_text(f"{kind}\n{text}", "utf-8", "replace")
        self.kinds[kind] = f"{error!s:.200}"

    def write(self) -> None:
        """What there is to tell."""
        content = {
            "inputs": self.count,
            "outcomes": self.outcomes,
            "seconds": time.monotonic() - self.start,
            "peak_mib": self.guard.peak,
            "slowest_s": self.guard.longest,
            "findings": self.kinds,
        }
        (self.folder / f"told-{os.getpid()}.json").write_text(json.dumps(content))


def main() -> None:
    """Fuzz until the time is over."""
    name, folder, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    sys.dont_write_bytecode = True
    tempfile.gettempdir()  # looks once which folder it may write to
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
    session = Session(name, folder, seconds)
    for seed in session.target.seeds():  # what is imported late is no input's
        with contextlib.suppress(Exception):
            session.target.run(seed, session.scratch)
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for seed in session.target.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    options = {
        "max_len": session.target.longest,
        "timeout": HANGS,
        "rss_limit_mb": 0,  # the guard measures
        "print_final_stats": 0,
        "artifact_prefix": f"{folder}/ended-",
    }
    atheris.Setup(
        [sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(corpus)],
        session.one_input,
    )
    sys.stdout = sys.stderr = io.StringIO()  # what readers print is not kept
    atheris.Fuzz()


if __name__ == "__main__":
    main()
