"""Turn a released checkpoint (.pth) into an encoder file of ours: the authors', or the one that
they started from, wrapper_75_new.pth of "EXIF as Language". No pickle is run.

Then, in params.yaml of the profile paper, pretext.start: the file written here; pretext.epochs: 0
uses it as it is, without any training."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.base import command_line, terminal
from pipeline.base.errors import PipelineError

SUFFIX = ".safetensors"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with the given command line."""
    parser = command_line.parser(__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="a .pth file")
    text = "a new .safetensors file to write (FILE with that suffix)"
    parser.add_argument("--out", type=Path, metavar="FILE", help=text)
    options = parser.parse_args(argv)
    out = options.out or options.file.with_suffix(SUFFIX)
    if out.suffix != SUFFIX:
        raise PipelineError(f"--out {out}: end the name in {SUFFIX}, as pretext.start needs it")
    if out.exists():
        raise PipelineError(f"{out}: exists already; remove it, or name another with --out")
    from pipeline.import_checkpoint.released import convert

    converted = convert(options.file, out)
    rows = [
        {"entries": group, "tensors": count, "became": became}
        for became, names in converted.items()
        for group, count in Counter(map(_group, names)).items()
    ]
    terminal.table(rows, f"{options.file} -> {out}")


def _group(name: str) -> str:
    """What a table says of a tensor: `model.visual` of `model.visual.layer1.0.conv1.weight`."""
    parts = name.split(".")
    return ".".join(parts[: 2 if parts[0] == "model" else 1])


if __name__ == "__main__":
    terminal.run(main)
