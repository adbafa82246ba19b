"""dvc.yaml against the source: every stage declares what it runs, imports, reads, writes and loads,
and nothing else.

The graph is the one that DVC itself resolves, with all members of `foreach` and `matrix`.
"""

import ast
import shlex
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import params, schema
from tests.closure import ROOT, closure

# A wall-clock figure would make dvc.lock differ from run to run: it is a top-level metric, and no
# output of the stage.
WRITTEN_BESIDE_THE_GRAPH = {"metrics/speed.json"}
# The report shows the sample's contact sheet where there is one; as a dep it would make the sample
# for every other data.
READ_BESIDE_THE_GRAPH = {"metrics/sample.png"}
# Folders that several stages write into: who reads them checks their files against SHA-256 sums
# that lie in a folder of git.
READ_BY_SUMS = {
    "data/features": "metrics/features",
    "data/perturbed": "metrics/perturbed",
    "data/scores": "metrics/generators",
    "data/bootstrap": "metrics/generators",
}
ORDER_ONLY = {"data/inputs_checked.txt"}  # a dep whose content nobody reads
BESIDE_THE_GRAPH = WRITTEN_BESIDE_THE_GRAPH | READ_BESIDE_THE_GRAPH


@dataclass(frozen=True)
class Stage:
    """One stage as DVC runs it."""

    name: str  # with @member
    command: list[str]
    deps: set[str]
    parameters: set[str]
    outs: dict[str, Any]  # DVC's own output objects, by path

    @property
    def module(self) -> str:
        return self.command[self.command.index("-m") + 1]

    @property
    def arguments(self) -> list[str]:
        return self.command[self.command.index("-m") + 2 :]

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
                name=stage.name,
                command=shlex.split(stage.cmd),
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
def raw() -> dict[str, Any]:
    return params.read_yaml(ROOT / "dvc.yaml")


def source(module: str) -> Path:
    return ROOT / (module.replace(".", "/") + ".py")


def below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


# --- code


@each_stage
def test_a_stage_runs_the_module_of_its_name_in_one_simple_command(stage):
    assert stage.command[0] == "exec" and stage.command[-len(stage.arguments) - 2] == "-m"
    package, _, verb = stage.module.rpartition(".")
    assert package == "pipeline.stages" and source(stage.module).is_file()
    assert stage.name.split("@")[0] == verb or stage.name.startswith(verb + "_")
    assert not set("|&;<>$`") & set(" ".join(stage.command)), (
        "a shell would differ from machine to machine"
    )


@each_stage
def test_code_deps_are_the_import_closure(stage):
    needed = closure(stage.module)
    undeclared = {file for file in needed if not any(below(file, dep) for dep in stage.code)}
    assert not undeclared, f"add to the deps of {stage.name} in dvc.yaml"
    for dep in stage.code:
        files = [
            p.relative_to(ROOT).as_posix()
            for p in ([ROOT / dep] if (ROOT / dep).is_file() else (ROOT / dep).rglob("*.py"))
        ]
        superfluous = {file for file in files if file.endswith(".py")} - needed
        assert not superfluous, f"remove from the deps of {stage.name} in dvc.yaml"


def test_files_of_the_package_that_are_no_modules_are_deps_of_who_reads_them():
    others = [
        p for p in (ROOT / "pipeline").rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")
    ]
    for path in others:
        readers = {
            f.relative_to(ROOT).as_posix()
            for f in (ROOT / "pipeline").rglob("*.py")
            if path.parent.name in f.read_text()
        }
        for stage in stages():
            declared = any(below(path.relative_to(ROOT).as_posix(), dep) for dep in stage.code)
            assert declared == bool(readers & closure(stage.module)), (stage.name, path.name)


def test_every_stage_module_is_in_the_graph():
    modules = {f"pipeline.stages.{p.stem}" for p in (ROOT / "pipeline/stages").glob("*.py")} - {
        "pipeline.stages.__init__"
    }
    assert modules == {stage.module for stage in stages()}


def test_the_lock_file_has_no_stage_that_the_graph_does_not_have():
    """DVC never drops an entry of a stage that is gone, and reads it with each command."""
    for stage, at, _ in (
        name.partition("@") for name in params.read_yaml(ROOT / "dvc.lock")["stages"]
    ):
        assert bool(at) == bool({"matrix", "foreach"} & set(raw()["stages"][stage])), (
            f"delete {stage}"
        )


# --- parameters


@cache
def loaded(module: str) -> set[str]:
    """The sections that a module asks `params.load` for; they must be written out."""
    tree = ast.parse(source(module).read_text(encoding="utf-8"))
    sections = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "params.load":
            assert not node.keywords and all(
                isinstance(a, ast.Constant) and isinstance(a.value, str) for a in node.args
            )
            sections |= {ast.literal_eval(argument) for argument in node.args}
    return sections


@each_stage
def test_parameters_are_those_that_the_module_loads(stage):
    assert stage.parameters == loaded(stage.module)


def test_only_stages_load_parameters():
    for path in (ROOT / "pipeline").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "stages" not in path.parts and path.name not in ("params.py", "compare.py"):
            assert "params.load" not in text, path
        assert "load_all(" not in text or path.name == "params.py", path


def test_every_parameter_section_is_read_by_a_stage():
    # The launcher is only written into commands.
    assert set().union(*(stage.parameters for stage in stages())) | {"launcher"} == set(
        schema.Params.model_fields
    )


# --- paths


def data_root(stage: Stage) -> str:
    return (
        stage.arguments[stage.arguments.index("--root") + 1] if "--root" in stage.arguments else ""
    )


@each_stage
def test_paths_on_the_command_line_are_declared(stage):
    declared = stage.deps | set(stage.outs)
    root = data_root(stage)
    for word in stage.arguments:
        named = "/" not in word and (not Path(word).suffix or stage.name.endswith(f"@{word}"))
        if word.startswith("--") or named or word in BESIDE_THE_GRAPH:
            continue
        if word in READ_BY_SUMS:
            assert READ_BY_SUMS[word] in stage.deps, (
                f"{stage.name}: {READ_BY_SUMS[word]} must tell of changes in {word}"
            )
        elif (
            word == root
        ):  # pictures are read from it where their digests are known from the features
            known = "data/features" in stage.arguments or stage.module.endswith(".report")
            assert any(below(path, root) for path in declared) or known
        else:
            assert {word, f"{root}/{word}"} & declared, (
                f"{stage.name}: {word} is no dep, output, metric or plot"
            )


@each_stage
def test_declared_data_is_on_the_command_line(stage):
    root = data_root(stage)
    for path in ((stage.deps - ORDER_ONLY) | set(stage.outs)) - stage.code:
        assert path in stage.arguments or (root and below(path, root)), (
            f"{stage.name}: nothing names {path}"
        )


@each_stage
def test_metrics_and_plots_are_in_git_and_outputs_in_the_cache(stage):
    for path, out in stage.outs.items():
        shown = bool(out.metric or out.plot)
        assert out.use_cache != shown, (
            f"{stage.name}: {path}: `cache: false` belongs to metrics and plots, and to them alone"
        )
        assert below(path, "metrics") == shown, f"{stage.name}: {path}"
        assert not out.persist, (
            "persist keeps an old model after a change and turns the run cache off"
        )


def test_no_stage_is_always_changed_or_frozen():
    for name, stage in raw()["stages"].items():
        body = stage.get("do", stage)
        assert not {"always_changed", "frozen", "wdir"} & set(body), name
        assert body.get("desc"), f"{name}: say in `desc` what it does"


def test_no_folder_dep_holds_cached_outputs_of_several_stages():
    cached = [path for stage in stages() for path, out in stage.outs.items() if out.use_cache]
    for stage in stages():
        for dep in stage.deps:
            assert not [path for path in cached if path != dep and below(path, dep)], (
                f"{stage.name}: depend on single files"
            )


def test_every_input_comes_from_a_stage_or_the_repository():
    outs = {path for stage in stages() for path in stage.outs}
    for stage in stages():
        for dep in stage.deps - stage.code:
            made = any(below(dep, out) or below(out, dep) for out in outs)
            assert made, f"{stage.name}: no stage writes {dep}"


def test_top_level_metrics_and_plots_name_what_stages_write():
    written = {path for stage in stages() for path in stage.outs} | WRITTEN_BESIDE_THE_GRAPH
    named = set(raw().get("metrics", []))
    for plot in raw().get("plots", []):
        for title, options in plot.items() if isinstance(plot, dict) else [(plot, None)]:
            axis = (options or {}).get("y")
            named |= set(axis) if isinstance(axis, dict) else {title}
    assert named >= WRITTEN_BESIDE_THE_GRAPH
    assert named <= written


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git repository")
def test_git_ignores_what_dvc_caches_and_keeps_the_rest():
    for stage in stages():
        for path, out in stage.outs.items():
            ignored = (
                subprocess.run(
                    ["git", "check-ignore", "-q", path], cwd=ROOT, check=False
                ).returncode
                == 0
            )
            assert ignored == out.use_cache, path
