"""Loading params.yaml: a stage sees its sections only, and every scalar is what DVC reads in the
same file.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base import params
from pipeline.base.errors import PipelineError

ROOT = Path(__file__).resolve().parents[1]
FILES = [ROOT / "params.yaml", *sorted((ROOT / "profiles").glob("*.yaml"))]
TEXT = FILES[0].read_text(encoding="utf-8")


def test_a_stage_sees_its_sections_only():
    loaded = params.load("seed", "gmm", path=FILES[0])
    assert loaded.seed == 1 and loaded.gmm.covariance_type == "full"
    assert not hasattr(loaded, "calibration")


def test_a_wrong_value_in_any_section_stops_the_first_stage(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace("- webp_80", "- weby_80"), encoding="utf-8")
    with pytest.raises(
        PipelineError, match=r"perturbations\.\d+ = 'weby_80': unknown perturbation"
    ):
        params.load("seed", "simulation", path=path)


def test_parameters_cannot_be_changed_by_a_stage():
    gmm = params.load("gmm", path=FILES[0]).gmm
    with pytest.raises(ValueError, match="frozen"):
        gmm.components = 3


def test_the_default_path_is_params_yaml_of_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        PipelineError, match=r"params\.yaml: no such file; run in the repository's root"
    ):
        params.load("seed")
    Path("params.yaml").write_text("seed: 7", encoding="utf-8")
    assert params.load("seed").seed == 7


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", "not valid YAML"),
        (b"seed: 1\nseed: 2\n", "key 'seed' stands twice"),
        (b"gmm:\n  components: 1\n  components: 2\n", "key 'components' stands twice"),
        (b"- 1\n- 2\n", "expected a mapping of sections, found list"),
        (b"", "expected a mapping of sections, found NoneType"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"seed: !!python/object/apply:os.getpid []\n", "not valid YAML"),
        (b"? [a]\n: 1\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_plain_mapping_is_refused(tmp_path, content, message):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=message) as error:
        params.load("seed", path=path)
    assert "broken.yaml" in str(error.value)


# --- YAML 1.2, as DVC reads the same file


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-2e+5", -200000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+1.5", 1.5),
        ("010", 10),
        ("08", 8),
        ("-7", -7),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("1:30", "1:30"),
        ("'1'", "1"),
        ("~", None),
        ("1e", "1e"),
        ("e3", "e3"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(tmp_path, text, value):
    from ruamel.yaml import YAML  # what DVC reads params.yaml with

    (tmp_path / "x.yaml").write_text(f"a: {text}", encoding="utf-8")
    read = params.read_yaml(tmp_path / "x.yaml")["a"]
    assert read == value and type(read) is type(value)
    assert YAML(typ="safe", pure=True).load(f"a: {text}")["a"] == value


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_any_number_that_python_writes_is_read_back(tmp_path_factory, number):
    path = tmp_path_factory.getbasetemp() / "number.yaml"
    path.write_text(f"a: {number!r}", encoding="utf-8")
    read = params.read_yaml(path)["a"]
    assert read == number and type(read) is type(number)


def test_dvc_and_the_stages_read_the_same_values():
    from ruamel.yaml import YAML

    for path in FILES:
        assert params.read_yaml(path) == YAML(typ="safe", pure=True).load(
            path.read_text(encoding="utf-8")
        )
