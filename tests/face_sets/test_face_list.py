"""Lists of faces as they are written and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError
from pipeline.face_sets import face_list

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=9)


NAMES = TEXT.filter(lambda name: name[:1] != "/" and ".." not in name.split("/"))


@given(
    st.lists(st.builds(face_list.ListedFace, NAMES, TEXT, TEXT), unique_by=lambda face: face.name)
)
def test_faces_come_back_in_the_order_of_their_names(tmp_path_factory, faces):
    path = tmp_path_factory.getbasetemp() / "faces.csv"
    face_list.write(path, faces)
    assert face_list.read(path) == sorted(faces)


def test_the_file_is_plain_csv(tmp_path):
    face_list.write(tmp_path / "a.csv", [face_list.ListedFace("data/1_a.png", "1", "ab")])
    assert (tmp_path / "a.csv").read_bytes() == b"name,person,sha256\ndata/1_a.png,1,ab\n"


@pytest.mark.parametrize(
    "text", ["", "name,person\na,b\n", "name,person,sha256\na,b\n", "\udcff", 140000 * "a"]
)
def test_another_file_is_an_error(tmp_path, text):
    (tmp_path / "a.csv").write_text(text, "utf-8", "surrogateescape")
    with pytest.raises(PipelineError, match=r"a\.csv: not a list of faces"):
        face_list.read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.png", "a.png"], "twice"),
        (["/etc/passwd"], "leads out of the data root"),
        (["data/../../a.png"], "leads out of the data root"),
    ],
)
def test_names_are_each_once_and_below_the_data_root(tmp_path, names, message):
    face_list.write(tmp_path / "a.csv", [face_list.ListedFace(name, "1", "ab") for name in names])
    with pytest.raises(PipelineError, match=message):
        face_list.read(tmp_path / "a.csv")


def test_a_missing_list_names_the_stage(tmp_path):
    with pytest.raises(PipelineError, match="dvc repro list_faces"):
        face_list.read(tmp_path / "a.csv")
