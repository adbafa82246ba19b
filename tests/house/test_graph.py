"""dvc.yaml against the source: every stage declares what it runs, imports, reads, writes and loads.

The graph is the one that DVC itself resolves, with all members of `foreach` and `matrix`.
"""

import ast
import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import params
from tests.closure import ROOT, closure, source

NOT_DECLARED = {"base"}  # can change no result
# The report shows the sample's contact sheet where there is one; as a dep it would make the sample
# for all other data.
READ_BESIDE_THE_GRAPH = {"metrics/sample.png"}
ORDER_ONLY = {"data/face_sets/checked.txt"}  # stops the training where the inputs are wrong


FILES = {"data", "metrics", "params.yaml"}  # at the top level, without a / in their names


@dataclass(frozen=True)
class Stage:
    """One stage as DVC runs it."""

    name: str  # with @member
    text: str  # the command
    deps: set[str]
    parameters: set[str]
    outs: dict[str, Any]  # DVC's own output objects, by path

    @property
    def command(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def module(self) -> str:
        return self.command[self.command.index("-m") + 1]

    @property
    def paths(self) -> set[str]:
        """Paths on the command line."""
        return {word for word in self.command if "/" in word or word in FILES}

    @property
    def code(self) -> set[str]:
        return {dep for dep in self.deps if dep.split("/")[0] == "pipeline"}


@cache
def stages(folder: Path = ROOT) -> list[Stage]:
    from dvc.dependency.param import ParamsDependency
    from dvc.repo import Repo

    with Repo(folder) as repo:
        return [
            Stage(
                name=stage.addressing.rpartition(":")[2],
                text=stage.cmd,
                deps={d.def_path for d in stage.deps if not isinstance(d, ParamsDependency)},
                parameters={
                    p for d in stage.deps if isinstance(d, ParamsDependency) for p in d.params
                },
                outs={out.def_path: out for out in stage.outs},
            )
            for stage in repo.index.stages
        ]


def each_stage(function):
    return pytest.mark.parametrize("stage", stages(), ids=lambda stage: stage.name)(function)


@cache
def definitions() -> dict[str, Any]:
    return params.read_yaml(ROOT / "dvc.yaml")["stages"]


def below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def test_the_graph_is_small_enough_to_read():
    assert len(definitions()) <= 13 and len(stages()) <= 24
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 260
    assert len((ROOT / "dvc.lock").read_text(encoding="utf-8").splitlines()) <= 1500


# --- code


@each_stage
def test_a_stage_runs_the_module_of_its_name_in_one_simple_command(stage):
    assert stage.command[0] == "exec" and source(stage.module)
    verb = stage.name.split("@")[0]
    assert stage.module == f"pipeline.stages.{verb}"
    assert not set("|&;<>$`") & set(" ".join(stage.command)), "shells differ among machines"
    assert "  " not in stage.text, "DVC folds lines in dvc.lock, and may lose the second space"


@each_stage
def test_code_dependencies_are_the_packages_of_the_import_closure(stage):
    imported = {name.split(".")[1] for name in closure(stage.module) if "." in name}
    packages = {f"pipeline/{name}" for name in imported - NOT_DECLARED - {"stages"}}
    module = stage.module.replace(".", "/") + ".py"
    assert stage.code == packages | {module}


def test_every_stage_module_is_in_the_graph():
    modules = {path.stem for path in (ROOT / "pipeline/stages").glob("[a-z]*.py")}
    assert {f"pipeline.stages.{name}" for name in modules} == {s.module for s in stages()}


@pytest.mark.parametrize("file", ["dvc.lock", "data/dvc.lock"])
def test_the_lock_file_has_no_stage_that_the_graph_does_not_have(file):
    """DVC never drops an entry of a stage that is gone, and reads it with each command."""
    assert set(params.read_yaml(ROOT / file)["stages"]) <= {stage.name for stage in stages()}


# --- parameters


@cache
def loaded(module: str) -> set[str]:
    """The sections that a module asks `params.load` for; they must be written out."""
    path = source(module)
    assert path
    sections = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "params.load":
            assert all(isinstance(a, ast.Constant) and isinstance(a.value, str) for a in node.args)
            sections |= {ast.literal_eval(argument) for argument in node.args}
    return sections


@pytest.mark.parametrize("module", sorted({stage.module for stage in stages()}))
def test_declared_parameters_are_those_that_the_stage_loads(module):
    declared = {p.split(".")[0] for s in stages() if s.module == module for p in s.parameters}
    assert declared == loaded(module)


# --- data


@each_stage
def test_paths_on_the_command_line_are_declared(stage):
    root = params.load("data").data.root if stage.name != "simulate_sample" else "data/sample"
    declared = stage.deps | set(stage.outs)
    for path in stage.paths - {root, *READ_BESIDE_THE_GRAPH}:
        known = {path, f"{root}/{path}"}
        assert any(below(k, d) or below(d, k) for k in known for d in declared), path


@each_stage
def test_declared_data_is_on_the_command_line(stage):
    root = params.load("data").data.root if stage.name != "simulate_sample" else "data/sample"
    for path in (stage.deps - ORDER_ONLY | set(stage.outs)) - stage.code:
        assert any(below(path, given) for given in stage.paths | {root}), path


@each_stage
def test_metrics_and_plots_are_in_git_and_outputs_in_the_cache(stage):
    for path, out in stage.outs.items():
        shown = bool(out.metric or out.plot)
        assert out.use_cache != shown, f"{path}: `cache: false` is for metrics and plots alone"
        assert below(path, "metrics") == shown, path
        assert not out.persist, "persist keeps an old model and turns the run cache off"


def test_no_stage_is_always_changed_or_frozen():
    for name, stage in definitions().items():
        body = stage.get("do", stage)
        assert not {"always_changed", "frozen", "wdir"} & set(body), name
        assert body.get("desc"), f"{name}: say in `desc` what it does"


def test_every_input_comes_from_a_stage():
    outs = {path for stage in stages() for path in stage.outs}
    for stage in stages():
        for dep in stage.deps - stage.code - {"params.yaml"}:  # which people write
            assert any(below(dep, out) or below(out, dep) for out in outs), (stage.name, dep)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git repository")
def test_git_ignores_what_dvc_caches_and_keeps_the_rest():
    cached = [path for stage in stages() for path, out in stage.outs.items() if out.use_cache]
    paths = [path for stage in stages() for path in stage.outs]
    command = ["git", "check-ignore", *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert sorted(done.stdout.split()) == sorted(cached)


# --- what people compare


def numbers(content: Any) -> list[float]:
    """All numbers of a metrics file."""
    if isinstance(content, dict):
        return [number for value in content.values() for number in numbers(value)]
    return [content]


def test_dvc_metrics_are_few_and_plain_numbers():
    paths = {path for stage in stages() for path, out in stage.outs.items() if out.metric}
    assert paths == {f"metrics/{name}.json" for name in ("evaluation", "pretext", "shuffled")}
    found = [n for path in paths for n in numbers(json.loads((ROOT / path).read_text()))]
    assert len(found) <= 60
    assert all(number is None or isinstance(number, int | float) for number in found)


@pytest.mark.parametrize("profile", ["paper", "small", "ci"])
def test_the_graph_resolves_with_every_profile(tmp_path, profile):
    from dvc.repo import Repo

    from pipeline.base.profile import apply

    Repo.init(str(tmp_path), no_scm=True).close()
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    apply(ROOT / f"profiles/{profile}.yaml", tmp_path / "params.yaml")
    theirs = params.load("generators", path=tmp_path / "params.yaml").generators
    names = {stage.name for stage in stages(tmp_path)}
    assert {f"extract_features@{generator}" for generator in theirs} <= names
