"""params.yaml: what is refused and how the message reads, what a stage sees, and YAML 1.2."""

import io
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.base import params
from pipeline.base.errors import PipelineError
from pipeline.common.names import HEADS, TAGS

FILE = Path(__file__).resolve().parents[2] / "params.yaml"
TREE = params.read_yaml(FILE)
BRIGHTNESS = {
    "name": "BrightnessValue",
    "unit": "EV",
    "range": [-10, 15],
    "scale": "linear",
    "stops": 1,
}


def refused(tmp_path: Path, **changes: Any) -> str:
    """The message for params.yaml with these values, keys as `gmm__components`."""
    tree = deepcopy(TREE)
    for key, value in changes.items():
        *sections, name = key.split("__")
        part = tree
        for section in sections:
            part = part[section]
        part[name] = value
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(tree, stream)
    path = tmp_path / "params.yaml"
    path.write_text(stream.getvalue(), encoding="utf-8")
    with pytest.raises(PipelineError, match=re.escape(str(path))) as error:
        params.load_all(path)
    return str(error.value)


# --- the repository's file


def test_the_repositorys_file_is_valid_and_every_parameter_has_its_comment():
    params.load_all(FILE)
    lines = FILE.read_text(encoding="utf-8").splitlines()
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r"\s*[a-z_0-9]+: *[^ #]", line)
        and "#" not in line
        and not before.strip().startswith("#")
    ]
    assert bare == []


# --- one test per promise of an error


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", "1"),
        ("seed", True),
        ("seed", 1.5),
        ("gmm__components", 0),
        ("gmm__components", None),
        ("gmm__standardise", "no"),
        ("pretext__learning_rate", float("nan")),
        ("pretext__device", "gpu"),
        ("pretext__compile", 1),
        ("pretext__compile", "graphs"),
        ("exif__tags__iso", 100),
        ("generators", []),
        ("launcher", {"low": 1}),
    ],
)
def test_a_wrong_value_is_named_with_file_and_key(tmp_path, key, value):
    assert f"{key.replace('__', '.')} = {value!r}: " in refused(tmp_path, **{key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pretext__betas", [0.9, 1]),
        ("pretext__widths", [16, 7]),
        ("exif__tags__iso", [1, "2"]),
        ("manipulation__blend_ratios", [1, 0]),
    ],
)
def test_a_wrong_item_of_a_list_is_named_by_its_place(tmp_path, key, value):
    message = refused(tmp_path, **{key: value})
    assert f"{key.replace('__', '.')}.1 = {value[1]!r}: " in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gmm__shrinkage": "oas", "gmm__components": 3}, "set gmm.components to 1 and"),
        ({"calibration__histories": ["jpeg_75", "none"]}, "needs none, photographs as they are, f"),
        ({"calibration__histories": []}, "calibration.histories = []"),
        ({"calibration__histories": ["none", "jpeg"]}, "calibration.histories.1 = 'jpeg': unknown"),
        ({"calibration__histories": ["none", "none"]}, "none stands twice"),
        ({"gmm__residual": True, "gmm__pca_components": 0}, "or gmm.pca_components above 0"),
        ({"pretext__minimum_learning_rate": 0.1}, "is above pretext.learning_rate 0.004"),
        ({"pretext__start": "imagenet"}, "no such weights of pretext.architecture native"),
        ({"pretext__start": "weights.pt"}, "that ends in .safetensors or .pth"),
        (
            {"exif__tags__brightness": BRIGHTNESS},
            "exif.tags has brightness, pretext.loss_weights has not: give a weight",
        ),
        (
            {"pretext__loss_weights__brightness": 1},
            "pretext.loss_weights has brightness, exif.tags has not: remove the weight",
        ),
        ({"gmm__pca_components": 481}, "gmm.pca_components = 481: the encoder of pretext has 480"),
        (
            {"gmm__shrinkage": "none", "gmm__pca_components": 64, "controls__fit_faces": 64},
            "controls.fit_faces = 64: too few for gmm.pca_components 64, not shrunk; set it to at",
        ),
        (
            {"gmm__shrinkage": "none", "gmm__components": 12, "data__maximum_fit_faces": 11},
            "data.maximum_fit_faces = 11: too few for gmm.components 12; set it to at least 12",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(tmp_path, changes, message):
    assert message in refused(tmp_path, **changes)


def test_unknown_and_missing_keys_are_named(tmp_path):
    assert "gmm.componets: unknown key" in refused(tmp_path, gmm__componets=1)
    assert "gnm: unknown key" in refused(tmp_path, gnm={"components": 1})
    message = refused(tmp_path, shuffled={})
    assert "shuffled.epochs: missing; params.yaml's comments say what is allowed" in message


def test_all_mistakes_are_told_at_once_and_long_values_are_shortened(tmp_path):
    message = refused(tmp_path, gmm__starts=0, seed="x" * 500)
    assert "gmm.starts" in message and "seed" in message
    assert max(map(len, message.splitlines())) < 200


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"data__person_pattern": "(["}, "no regular expression"),
        ({"data__person_pattern": "(a)(b)"}, "exactly one group"),
        ({"data__person_pattern": "(a{99999999999})"}, "no regular expression"),
        ({"data__person_pattern": "(" * 5000}, "no regular expression"),
        ({"data__root": "it's"}, "no ' or $"),
        *(({"data__root": root}, "data.root = ") for root in ("", "-x", "a\nb", "${x}", "$HOME")),
        *(({"launcher": one}, "a program and its") for one in ("python; rm x", "a\nb", "", "$(x)")),
        ({"exif__tags__iso": [100, 50]}, "exif.tags.iso = [100, 50]: needs the smallest first"),
        ({"exif__source": "flickr"}, "'fdf', 'yfcc' or 'photos'"),
        ({"exif__reject": ["edited", "edited"]}, "edited stands twice"),
        ({"exif__face_detector": "yunet:/x.onnx"}, "relative to data.root/SSL_training_data"),
        (
            {"exif__source": "photos", "manipulation__source": "ready-made"},
            "manipulation.source = ready-made: there are such only of FDF's faces",
        ),
        (
            {"exif__source": "photos", "exif__licenses": ["CC-BY"]},
            "exif.licenses: of photographs of your own there are none",
        ),
        ({"exif__licenses": ["BY-NC"]}, "'CC-BY', 'CC-BY-SA'"),
        ({"exif__tags__iso": [0, 100]}, "greater than 0"),
        ({"manipulation__warp_sigma": [0.1, 0.2]}, "less than 0.2"),
        ({"calibration__false_alarm_rates": [0.05, 0.01]}, "smallest first"),
        ({"calibration__false_alarm_rates": [0.05, 0.05]}, "0.05 stands twice"),
        ({"calibration__review_rate": 0.02}, "none of false_alarm_rates"),
        ({"calibration__flag_rate": 0.02}, "none of false_alarm_rates"),
        (
            {"calibration__review_rate": 0.01, "calibration__flag_rate": 0.05},
            "calibration.flag_rate = 0.05: must not be larger than review_rate",
        ),
        ({"pretext__loss_weights": dict.fromkeys(HEADS, 0)}, "nothing would be learnt"),
        ({"pretext__loss_weights": dict.fromkeys(TAGS, 1)}, "no weight of manipulation"),
        ({"exif__tags": {}}, "at least 1 item"),
        ({"exif__tags__iso": BRIGHTNESS}, "iso is known: give its range alone"),
        ({"exif__tags__brightness": [1, 2]}, "brightness is none of iso, f_number, exposure_tim"),
        ({"exif__tags__brightness": BRIGHTNESS | {"scale": "log2"}}, "needs a range above 0"),
        ({"exif__tags__brightness": {"name": "BrightnessValue"}}, "exif.tags.brightness.unit: mis"),
        *(
            ({"exif__tags": {n: [1, 2]}}, "is no name for a tag")
            for n in ("ISO", "mean", "l_ear_x")
        ),
        ({"generators": ["a", "b", "a"]}, "a stands twice"),
        *(({"generators": [n]}, "name of a result") for n in ("mean", "worst", "photographic_x")),
        *(({"generators": [n]}, f"generators.0 = {n!r}") for n in ("../x", "a/b", "", ".x", "a;b")),
        ({"perturbations": ["jpeg_75", "jpeg_75"]}, "jpeg_75 stands twice"),
        ({"perturbations": ["sharpen_2"]}, "write <kind>_<strength> with a kind of jpeg"),
        ({"perturbations": ["jpeg_101"]}, "whole number from 1 to 100"),
        ({"perturbations": ["jpeg_75.5"]}, "whole number"),
        ({"perturbations": ["blur_1.0"]}, "write blur_1"),
        ({"perturbations": ["jpeg_75; rm"]}, "unknown perturbation"),
    ],
)
def test_rules_beyond_types_say_what_is_allowed(tmp_path, changes, rule):
    assert rule in refused(tmp_path, **changes)


# --- what a stage sees


def test_a_stage_sees_its_sections_only_and_cannot_change_them():
    loaded = params.load("seed", "gmm", path=FILE)
    assert vars(loaded).keys() == {"seed", "gmm"} and loaded.gmm.covariance_type == "full"
    with pytest.raises(ValueError, match="frozen"):
        loaded.gmm.components = 3


def test_the_first_stage_stops_at_any_wrong_section_but_needs_its_own_only(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("seed: 1\nperturbations: [weby_80]\n")
    with pytest.raises(PipelineError, match=r"perturbations\.0 = 'weby_80': unknown perturbation"):
        params.load("seed", path=path)
    path.write_text("seed: 1\n")
    assert params.load("seed", path=path).seed == 1
    with pytest.raises(PipelineError, match="gmm: missing"):
        params.load("seed", "gmm", path=path)


# --- YAML


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed: 1\na: [1", r"broken\.yaml, line 2: not valid YAML: expected ',' or '\]'"),
        (
            b"seed: 1\nseed: 2\n",
            r'broken\.yaml, line 2: not valid YAML: found duplicate key "seed"',
        ),
        (b"gmm:\n  components: 1\n  components: 2\n", r"line 3: .*duplicate key"),
        (b"seed: !!python/object/apply:os.getpid []\n", r"line 1: not valid YAML: could not"),
        (b"- 1\n- 2\n", r"broken\.yaml: expected a mapping of sections, found list"),
        (b"", r"found NoneType"),
        (b"\xff\xfe\x00", r"broken\.yaml: not valid YAML"),
        (b"seed: 2001-13-45\n", r"broken\.yaml: not valid YAML: month must be in 1\.\.12"),
        (b"seed: 1" + b"0" * 5000, r"broken\.yaml: not valid YAML: Exceeds the limit"),
        (b"{[[1]]: 1}: 2\n", r"not valid YAML"),
        (b"[" * 2000, r"broken\.yaml: not valid YAML: maximum recursion"),
    ],
)
def test_a_file_that_is_no_plain_mapping_is_refused_with_file_and_line(tmp_path, content, message):
    (tmp_path / "broken.yaml").write_bytes(content)
    with pytest.raises(PipelineError, match=message):
        params.load("seed", path=tmp_path / "broken.yaml")


def test_a_value_that_its_references_make_endless_is_shown_in_short(tmp_path):
    lists = [
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]"
        for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    ]
    text = "\n".join(["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]", *lists, "seed: *j"])
    (tmp_path / "endless.yaml").write_text(text)
    with pytest.raises(PipelineError, match=r"seed = \[\[\[") as caught:
        params.load("seed", path=tmp_path / "endless.yaml")
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("-2E5", -2e5), ("010", 10), ("no", "no"), ("1:30", "1:30"), ("~", None)],
)
def test_scalars_are_those_of_yaml_1_2(tmp_path, text, value):
    (tmp_path / "x.yaml").write_text(f"a: {text}", encoding="utf-8")
    read = params.read_yaml(tmp_path / "x.yaml")["a"]
    assert read == value and type(read) is type(value)


def test_values_set_by_dvc_exp_run_are_read(tmp_path):
    from dvc.utils.serialize import modify_yaml

    path = tmp_path / "params.yaml"
    path.write_bytes(FILE.read_bytes())
    with modify_yaml(path) as tree:  # what `dvc exp run -S` does
        tree["pretext"]["learning_rate"] = 1e-5
        tree["generators"] = ["a"]
    p = params.load_all(path)
    assert (p.pretext.learning_rate, p.generators, p.gmm.components) == (1e-5, ["a"], 1)
