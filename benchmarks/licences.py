"""The licences of all installed packages, as the page docs/licences.md."""

import platform
import re
from importlib import metadata
from pathlib import Path

from pipeline.base import terminal
from pipeline.base.errors import PipelineError

# Those that ask more of who passes the program on than a notice
ASKS_MORE = re.compile(r"GPL|MPL|Mozilla|EPL|CDDL|NVIDIA|Proprietary|EULA|unknown", re.IGNORECASE)
COME_WITH_IT = {"pip", "setuptools"}
HEAD = """# Licences of what is installed

Made by `python -m benchmarks.licences >docs/licences.md` from what packages say of themselves
(their metadata), nothing checked by a lawyer. They are those of an environment of
{environment} with all files `requirements*.txt` installed; on others some differ.
pip and setuptools, which come with an environment, are left out. *Direct*: named in one of these
files. The project itself is under Apache-2.0 and ships none of these packages.
"""


def licence_of(package: metadata.Distribution) -> str:
    """What a package says, in one line."""
    said = package.metadata.json
    if expression := said.get("license_expression"):
        return str(expression)
    classifiers = [c for c in said.get("classifier", []) if c.startswith("License ::")]
    names = [c.rpartition(" :: ")[2] for c in classifiers if not c.endswith("OSI Approved")]
    text = str(said.get("license", "")).strip()
    short = text if len(text) < 60 and "\n" not in text else ""
    return " or ".join(names) or short or ("see its text" if text else "unknown")


def normal(name: str) -> str:
    """A name as package registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Print the page; PipelineError where a package of one of the files is not installed."""
    required = "\n".join(path.read_text() for path in Path().glob("requirements*.txt"))
    direct = {normal(name) for name in re.findall(r"^([\w.-]+)==", required, re.MULTILINE)}
    found = {normal(p.metadata["Name"]): p for p in metadata.distributions()}
    if lacking := ", ".join(sorted(direct - found.keys())):
        raise PipelineError(f"{lacking}: install all of requirements*.txt here first")
    names = sorted(found.keys() - COME_WITH_IT)
    rows = [(name, found[name].version, licence_of(found[name])) for name in names]
    version = platform.python_version().rpartition(".")[0]
    print(HEAD.format(environment=f"Python {version} on {platform.system()} {platform.machine()}"))
    print("Not permissive, or not said:\n")
    more = [(name, licence) for name, _, licence in rows if ASKS_MORE.search(licence)]
    print("\n".join(f"- `{name}`: {licence}" for name, licence in more))
    for title, chosen in (("Direct", True), ("Through these", False)):
        print(f"\n## {title}\n\n| package | version | licence |\n|---|---|---|")
        for name, version, licence in rows:
            if (name in direct) == chosen:
                print(f"| {name} | {version} | {licence} |")


if __name__ == "__main__":
    terminal.run(main)
