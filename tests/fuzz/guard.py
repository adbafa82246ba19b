"""What no input may cause: code run, a file opened outside the folder, much memory, much time."""

import os
import sys
import time
import zoneinfo
from pathlib import Path
from types import FrameType
from typing import Any

RUNS_CODE = (
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.spawn", "os.posix_spawn"),
    *("subprocess.Popen", "pickle.find_class", "socket.connect", "socket.getaddrinfo"),
)
TOUCHES = {  # events with a path, by the number of paths in their arguments
    **{"open": 1, "os.listdir": 1, "os.scandir": 1, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1},
    **{"os.rename": 2, "os.truncate": 1, "os.chmod": 1},
}
# Folders of Python, its packages and this code: modules may be imported late
_CODE = tuple(
    os.path.join(os.path.realpath(folder), "")
    for folder in (sys.prefix, sys.base_prefix, *sys.path)
)
_MODULES = (".py", ".pyc", ".so")
_ZONES = tuple(f"{os.path.realpath(folder)}/" for folder in zoneinfo.TZPATH)  # of a table's times
_LISTS = ("os.listdir", "os.scandir")  # the importer, and ruamel for its plug-ins
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Violation(AssertionError):
    """A property that an input broke."""


class Guard:
    """Watches what this process does between `begin` and `end`."""

    def __init__(self, folder: Path, megabytes: int, seconds: float) -> None:
        self._folder, self._limits = os.path.realpath(folder), (megabytes, seconds)
        self._found: list[str] | None = None
        self.peak = 0.0  # MiB above what there was before an input, of all
        self.longest = 0.0  # seconds of processor time, of all
        sys.addaudithook(self._hook)

    def begin(self) -> None:
        """From here on an input is read."""
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the kernel's mark of the most memory in use
        self._before, self._found = _memory("VmRSS"), []
        self._started = time.process_time()  # a busy machine is no input's fault

    def end(self) -> None:
        """Raises Violation for what was done since `begin`."""
        took, found = time.process_time() - self._started, self._found or []
        self._found = None
        used = _memory("VmHWM") - self._before
        self.peak, self.longest = max(self.peak, used), max(self.longest, took)
        megabytes, seconds = self._limits
        if found:
            raise Violation(found[0])
        if used > megabytes:
            raise Violation(f"memory: {used:.0f} MiB, allowed are {megabytes}")
        if took > seconds:
            raise Violation(f"time: {took:.1f} s, allowed are {seconds:g}")

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._found is None:
            return
        if event.startswith(RUNS_CODE) or (event == "exec" and _is_text(arguments[0])):
            self._found.append(f"code: {event} {arguments!r:.80}")
        reads = event in _LISTS or (event == "open" and not arguments[2] & _WRITES)
        for path in arguments[: TOUCHES.get(event, 0)]:
            if isinstance(path, int):  # a file that is open
                continue
            real = os.path.realpath(os.fsdecode(path or "."))
            inside = f"{real}/".startswith(f"{self._folder}/")
            known = real.startswith(_ZONES) or _is_code(real)
            if not inside and not (reads and known):
                self._found.append(f"path: {event} {path!r:.80}")


def _is_code(real: str) -> bool:
    """Whether a path without links is what Python reads to import: a module, a package's list."""
    if f"{real}/" in _CODE:  # where it looks for all packages
        return True
    is_package = os.path.isfile(f"{real}/__init__.py")
    return real.startswith(_CODE) and (is_package or real.endswith(_MODULES))


def _is_text(code: Any) -> bool:
    """Whether code comes from a text, and not while a module is imported."""
    if not getattr(code, "co_filename", "").startswith("<string"):
        return False
    frame: FrameType | None = sys._getframe()
    while frame and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is None


def _memory(name: str) -> float:
    """A line of the kernel's account of this process, in MiB."""
    with open("/proc/self/status", "rb") as file:
        text = file.read()
    return int(text.partition(name.encode() + b":")[2].split(None, 1)[0]) / 1024
