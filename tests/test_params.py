"""Every parameter: what is refused and how the message reads, and that all profiles have one
schema.
"""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import params
from pipeline.base.errors import PipelineError

ROOT = Path(__file__).resolve().parents[1]
FILES = [ROOT / "params.yaml", *sorted((ROOT / "profiles").glob("*.yaml"))]


def leaves(tree: Any, path: tuple = ()) -> dict[tuple, Any]:
    """Every parameter with its value; a list is one parameter."""
    if not isinstance(tree, dict):
        return {path: tree}
    return {
        key: value
        for name, part in tree.items()
        for key, value in leaves(part, (*path, name)).items()
    }


TREE = params.read_yaml(
    FILES[0]
)  # once: with comments it takes longer to read than all that a test does with it
PARAMETERS = leaves(TREE)


def refused(tmp_path: Path, tree: dict[str, Any]) -> str:
    """The message for a params file with this content."""
    import yaml

    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    with pytest.raises(PipelineError) as error:
        params.load_all(path)
    return str(error.value)


def changed(path: tuple, value: Any) -> dict[str, Any]:
    tree = deepcopy(TREE)
    part = tree
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return tree


# --- the files of the repository


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_profile_is_valid_and_has_the_keys_of_params_yaml(path):
    params.load_all(path)
    assert set(leaves(params.read_yaml(path))) == set(PARAMETERS)
    assert (
        leaves(params.read_yaml(path)).keys() == leaves(params.load_all(path).model_dump()).keys()
    )


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_parameter_is_explained_on_its_line_or_the_one_before(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    bare = []
    for before, line in zip(["", *lines], lines, strict=False):
        is_parameter = re.match(r"\s*[a-z_0-9]+:\s*\S", line) and not line.strip().endswith(":")
        if is_parameter and "#" not in line and not before.strip().startswith("#"):
            bare.append(line)
    assert not bare


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_the_head_of_a_profile_states_command_time_and_result(path):
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert all(
        re.search(rf"^#   {word}\b", head, re.MULTILINE) for word in ("command", "time", "result")
    )


def test_the_paper_profile_is_the_papers_recipe():
    p = params.load_all(ROOT / "profiles/paper.yaml")
    assert (p.pretext.architecture, p.pretext.feature_dim, p.pretext.input_size) == (
        "resnet50",
        768,
        224,
    )
    assert (p.pretext.batch_size, p.pretext.learning_rate, p.pretext.betas) == (
        256,
        1e-5,
        (0.9, 0.98),
    )
    assert (p.pretext.schedule_epochs, p.pretext.minimum_learning_rate) == (10, 1e-7)
    assert (p.gmm.components, p.gmm.standardise, p.gmm.pca_components) == (12, False, 0)
    assert len(p.generators) == 9 and p.calibration.review_rate == 0.05


# --- every parameter refuses what it is not


@pytest.mark.parametrize("path", PARAMETERS, ids=".".join)
def test_a_missing_parameter_is_named(tmp_path, path):
    tree = deepcopy(TREE)
    part = tree
    for name in path[:-1]:
        part = part[name]
    del part[path[-1]]
    message = refused(tmp_path, tree)
    assert f"{'.'.join(path)}: missing" in message and "params.yaml" in message


@pytest.mark.parametrize("path", PARAMETERS, ids=".".join)
@pytest.mark.parametrize("kind", ["mapping", "null", "text or number"])
def test_a_parameter_of_the_wrong_kind_is_named_with_its_value(tmp_path, path, kind):
    text_or_number = 12345 if isinstance(PARAMETERS[path], str) else "12345"
    value: Any = {"mapping": {"low": 1}, "null": None, "text or number": text_or_number}[kind]
    message = refused(tmp_path, changed(path, value))
    assert f"{'.'.join(path)} = {value!r}: " in message and str(tmp_path / "params.yaml") in message


SECTIONS = sorted({path[:-1] for path in PARAMETERS})


@pytest.mark.parametrize("section", SECTIONS, ids=lambda p: ".".join(p) or "file")
def test_an_unknown_key_is_named(tmp_path, section):
    message = refused(tmp_path, changed((*section, "lerning_rate"), 1))
    assert f"{'.'.join((*section, 'lerning_rate'))}: unknown key" in message


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("seed", -1, "greater than or equal to 0"),
        ("seed", 1.5, "integer"),
        ("seed", True, "integer"),
        ("launcher", "", "at least 1 character"),
        ("data.root", "", "at least 1 character"),
        ("data.person_pattern", "([", "no regular expression"),
        ("data.person_pattern", "abc", "exactly one group"),
        ("data.person_pattern", "(a)(b)", "exactly one group"),
        ("simulation.photographs", 0, "greater than or equal to 1"),
        ("simulation.portraits", 0, "greater than or equal to 1"),
        ("simulation.generated", 2.5, "integer"),
        ("simulation.bad_share", 0.5, "less than 0.5"),
        ("simulation.bad_share", -0.1, "greater than or equal to 0"),
        ("exif.iso", [100, 100], "the smaller first"),
        ("exif.iso", [0, 100], "positive"),
        ("exif.f_number", [64, 0.7], "the smaller first"),
        ("exif.exposure_time_s", [float("nan"), 1], "finite"),
        ("exif.focal_length_mm", [1, float("inf")], "finite"),
        ("exif.iso", 100, "tuple"),
        ("split.validation", 0, "greater than 0"),
        ("split.calibration", 1, "less than 1"),
        ("manipulation.source", "make", "'generate' or 'ready-made'"),
        ("manipulation.warp_sigma", [0.05, 0.04], "low <= high"),
        ("manipulation.warp_sigma", [0.1, 0.2], "< 0.2"),
        ("manipulation.blend_ratios", [], "at least 1 item"),
        ("pretext.architecture", "", "at least 1 character"),
        ("pretext.feature_dim", 0, "greater than or equal to 1"),
        ("pretext.input_size", 31, "greater than or equal to 32"),
        ("pretext.input_size", 2048, "less than or equal to 1024"),
        ("pretext.face_scale", 0.4, "greater than or equal to 0.5"),
        ("pretext.antialias", 1, "boolean"),
        ("pretext.antialias", "no", "boolean"),
        ("pretext.photograph_probability", 1.0, "less than 1"),
        ("pretext.epochs", -1, "greater than or equal to 0"),
        ("pretext.batch_size", 3, "greater than or equal to 4"),
        ("pretext.learning_rate", 0, "greater than 0"),
        ("pretext.learning_rate", float("inf"), "finite"),
        ("pretext.epsilon", 0, "greater than 0"),
        ("pretext.weight_decay", -1, "greater than or equal to 0"),
        ("pretext.schedule_epochs", 0, "greater than or equal to 1"),
        ("pretext.minimum_learning_rate", -1e-9, "greater than or equal to 0"),
        ("pretext.device", "gpu", "'auto', 'cpu' or 'cuda'"),
        ("pretext.precision", "float16", "'float32' or 'bfloat16'"),
        ("pretext.channels_last", "yes", "boolean"),
        ("pretext.compile", 0, "boolean"),
        ("features.resize", "area", "'bilinear', 'bicubic' or 'nearest'"),
        ("features.maximum_unreadable_share", 1, "less than 1"),
        ("features.maximum_fit_faces", 0, "greater than or equal to 1"),
        ("gmm.components", 0, "greater than or equal to 1"),
        ("gmm.components", True, "integer"),
        ("gmm.covariance_type", "diagonal", "'full', 'tied', 'diag' or 'spherical'"),
        ("gmm.pca_components", -1, "greater than or equal to 0"),
        ("gmm.regularisation", 0, "greater than 0"),
        ("gmm.maximum_iterations", 0, "greater than or equal to 1"),
        ("gmm.tolerance", 0, "greater than 0"),
        ("gmm.starts", 0, "greater than or equal to 1"),
        ("calibration.false_alarm_rates", [5], "less than 1"),
        ("calibration.false_alarm_rates", [], "at least 1 item"),
        ("calibration.false_alarm_rates", [0.05, 0.01], "the smallest first"),
        ("calibration.false_alarm_rates", [0.05, 0.05], "distinct"),
        ("calibration.review_rate", 0.02, "none of false_alarm_rates"),
        ("calibration.flag_rate", 0.02, "none of false_alarm_rates"),
        ("calibration.curve_draws", 0, "greater than or equal to 1"),
        ("features.maximum_faces", 0, "greater than or equal to 1"),
        ("evaluation.histogram_bins", 1, "greater than or equal to 2"),
        ("evaluation.faces_shown", 21, "less than or equal to 20"),
        ("bootstrap.resamples", 99, "greater than or equal to 100"),
        ("selection.components", [0], "greater than or equal to 1"),
        ("selection.covariance_types", ["round"], "'full', 'tied', 'diag' or 'spherical'"),
        ("selection.covariance_types", [], "at least 1 item"),
        ("selection.folds", 1, "greater than or equal to 2"),
        ("robustness.faces", 0, "greater than or equal to 1"),
        ("harmonisation.side", 8, "greater than or equal to 16"),
        ("harmonisation.kernel", "box", "'bilinear', 'bicubic' or 'lanczos'"),
        ("harmonisation.jpeg_quality", 101, "less than or equal to 100"),
        ("shuffled.epochs", -1, "greater than or equal to 0"),
        ("explanation.faces", 21, "less than or equal to 20"),
        ("explanation.neighbours", 9, "less than or equal to 8"),
        ("perturbations", ["jpeg_75", "jpeg_75"], "jpeg_75 stands twice"),
        (
            "perturbations",
            ["sharpen_2"],
            "unknown perturbation; write <kind>_<strength> with a kind of jpeg",
        ),
        ("perturbations", ["jpeg"], "unknown perturbation"),
        ("perturbations", ["jpeg_101"], "whole number from 1 to 100"),
        ("perturbations", ["jpeg_75.5"], "whole number"),
        ("perturbations", ["jpeg_075"], "write jpeg_75"),
        ("perturbations", ["blur_1.0"], "write blur_1"),
        ("perturbations", ["crop_0.01"], "number from 0.1 to 1"),
        ("perturbations", ["jpeg_75; rm"], "unknown perturbation"),
        ("generators", [], "at least 1 item"),
        ("generators", ["a", "b", "a"], "a stands twice"),
        ("generators", ["photographic_test"], "name results"),
        ("generators", ["mean"], "name results"),
        ("generators", ["worst"], "name results"),
    ],
)
def test_a_value_out_of_range_is_refused_with_what_is_allowed(tmp_path, key, value, allowed):
    message = refused(tmp_path, changed(tuple(key.split(".")), value))
    assert key in message and allowed in message


@pytest.mark.parametrize(
    ("key", "value"),
    [("pretext.betas", [0.9, 1]), ("exif.iso", [1, "2"]), ("manipulation.blend_ratios", [1, 0])],
)
def test_a_wrong_item_of_a_list_is_named_by_its_place(tmp_path, key, value):
    assert f"{key}.1 = {value[1]!r}: " in refused(tmp_path, changed(tuple(key.split(".")), value))


def test_what_is_flagged_is_rarer_than_what_is_reviewed(tmp_path):
    tree = changed(("calibration", "review_rate"), 0.01)
    tree["calibration"]["flag_rate"] = 0.05
    assert "calibration.flag_rate = 0.05: must not be larger than review_rate" in refused(
        tmp_path, tree
    )


@pytest.mark.parametrize("name", ["../outside", "a/b", "", ".hidden", "a b"])
def test_a_generator_is_the_name_of_a_folder_and_no_path(tmp_path, name):
    assert f"generators.0 = {name!r}" in refused(tmp_path, changed(("generators",), [name]))


def test_generators_are_checked_by_a_stage_that_loads_only_them(tmp_path):
    (tmp_path / "params.yaml").write_text("generators: [a, a]", encoding="utf-8")
    with pytest.raises(PipelineError, match="a stands twice"):
        params.load("generators", path=tmp_path / "params.yaml")


def test_all_mistakes_are_told_at_once_and_long_values_are_cut(tmp_path):
    tree = changed(("gmm", "starts"), 0) | {"seed": "x" * 500}
    message = refused(tmp_path, tree)
    assert (
        "gmm.starts" in message and "seed" in message and max(map(len, message.splitlines())) < 200
    )
