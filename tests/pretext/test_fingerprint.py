import os
import shutil

import pytest

from pipeline.pretext.fingerprint import CODE, PIPELINE, fingerprint, normalised
from tests.small_encoder import small_encoder


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "faces/below").mkdir(parents=True)
    (tmp_path / "faces/below/a").write_text("1")
    (tmp_path / "table").write_text("2")
    return [tmp_path / "faces", tmp_path / "table"]


def test_it_names_description_start_and_input_stamps(inputs):
    start, description = small_encoder(8, seed=1), {"rate": 1e-3, "seed": 1}
    first = fingerprint(description, start, inputs)
    assert fingerprint({"seed": 1, "rate": 1e-3}, small_encoder(8, seed=1), inputs) == first
    others = [
        fingerprint(description | {"exif_tags": "shuffled"}, start, inputs),
        fingerprint(description, small_encoder(8, seed=2), inputs),
        fingerprint(description, start, inputs[:1]),
    ]
    (inputs[0] / "below/a").write_text("three")
    others.append(fingerprint(description, start, inputs))
    os.utime(inputs[1], (1, 1))
    others.append(fingerprint(description, start, inputs))
    assert len({first, *others}) == 6


@pytest.fixture
def code(tmp_path):
    """A copy of the code that may be edited."""
    shutil.copytree(PIPELINE, tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "pipeline"


@pytest.mark.parametrize(
    ("file", "old", "new", "same"),
    [
        ("pretext/losses.py", "Mean fidelity loss", "The loss", True),  # a docstring
        ("pretext/training.py", "ranking needs two; see", "two are needed; see", True),  # a message
        ("pretext/losses.py", "# (n, n)", "# pairs", True),  # a comment
        ("base/errors.py", "class PipelineError", "x = 1\n\n\nclass PipelineError", True),
        ("stages/evaluate.py", "def main", "x = 1\n\n\ndef main", True),
        ("pretext/losses.py", "= 1e-8", "= 1e-7", False),
        ("encoder/backbones.py", "widths[0], 3)", "widths[0], 5)", False),
        ("common/randomness.py", "2.0**-53", "2.0**-52", False),
        ("stages/train_pretext.py", "max(1,", "max(2,", False),
    ],
)
def test_it_names_the_code_that_can_change_a_result(code, file, old, new, same):
    start = small_encoder(8)
    before = fingerprint({}, start, [], code)
    text = (code / file).read_text()
    assert old in text
    (code / file).write_text(text.replace(old, new, 1))
    assert (fingerprint({}, start, [], code) == before) == same


def test_its_code_are_the_dependencies_that_dvc_watches(root):
    dvc = (root / "dvc.yaml").read_text()
    train = dvc[dvc.index("  train_pretext:") : dvc.index("  extract_photographs:")]
    assert [line for line in train.split() if line.startswith("pipeline/")] == [
        f"pipeline/{name}" for name in CODE
    ]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (
            'def f(x):\n    """Other."""\n    print("other", x)\n    raise ValueError("other")\n',
            True,
        ),
        ("def f(x):\n\n    # nothing\n    print()\n    raise ValueError\n", False),
        ('def f(x):\n    print("a")\n    raise TypeError("b")\n', False),
    ],
)
def test_texts_do_not_count(other, same):
    source = 'def f(x):\n    """Text."""\n    print("a")\n    raise ValueError(f"b {x}")\n'
    assert (normalised(other) == normalised(source)) == same
