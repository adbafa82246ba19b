"""Lists and folders of pictures, good, broken and hostile."""

import os

import pytest

from pipeline.base.errors import PipelineError
from pipeline.common.tally import Tally
from pipeline.face_sets import listing


@pytest.fixture
def fenced(tmp_path):
    """A data root with a picture outside, and links to it from inside."""
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.png").touch()
    (root / "data/folder").symlink_to(tmp_path / "outside")
    (root / "data/file.png").symlink_to(tmp_path / "outside/secret.png")
    (root / "data/real.png").touch()
    (root / "data/inner.png").symlink_to("real.png")
    return root


def test_lists_are_cleaned_and_keep_their_order(tmp_path):
    path = tmp_path / "train.txt"
    path.write_bytes(b"\xef\xbb\xbf./data/b.jpg\r\n\r\n data/a 1.JPG \r\ndata//b.jpg\n")
    assert listing.read_list(path, tmp_path) == ["data/b.jpg", "data/a 1.JPG"]


def test_only_line_ends_end_a_line(tmp_path):
    path = tmp_path / "train.txt"
    path.write_bytes("data/a\u2028b\x85c.jpg\rdata/d.jpg\n".encode())
    assert listing.read_list(path, tmp_path) == ["data/a\u2028b\x85c.jpg", "data/d.jpg"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("/etc/passwd", "leads out of the data root"),
        ("../outside/secret.png", "leads out of the data root"),
        ("data/../../outside/secret.png", "leads out of the data root"),
        ("data/../data/real.png", "leads out of the data root"),
        ("./data/folder/secret.png", "leads out of the data root"),
        ("data/file.png", "leads out of the data root"),
        ("..", "leads out of the data root"),
        ("data/a\0b.png", "leads out of the data root"),
        (r"data\real.png", "has backslashes; separate folders by /"),
        ("data/real.png 1", "one path a line, without other columns"),
        ("data/real.png,0", "one path a line, without other columns"),
        ("data/real.gif", r"does not end in \.jpeg, \.jpg, \.png, \.webp"),
        ("a/" * 100_000 + "a.png", "longer than a path can be"),
        (b"data/\xff.png", "not UTF-8; save the list as UTF-8"),
    ],
)
def test_an_entry_that_is_no_path_below_the_root_is_refused_with_its_line(fenced, entry, message):
    path = fenced / "list.txt"
    path.write_bytes(b"data/real.png\n" + (entry if isinstance(entry, bytes) else entry.encode()))
    with pytest.raises(PipelineError, match=rf"list\.txt, line 2: .*{message}"):
        listing.read_list(path, fenced)


def test_links_within_the_root_and_to_the_root_are_fine(fenced, tmp_path):
    names = ["data/inner.png", "data/not-there.png"]
    (fenced / "list.txt").write_text("\n".join(names))
    (tmp_path / "link").symlink_to(fenced)
    for root in (fenced, tmp_path / "link"):
        assert listing.read_list(root / "list.txt", root) == names


def test_missing_and_empty_lists_are_errors(tmp_path):
    with pytest.raises(PipelineError, match="no such list"):
        listing.read_list(tmp_path / "train.txt", tmp_path)
    (tmp_path / "train.txt").write_text("\n \n")
    with pytest.raises(PipelineError, match="the list is empty"):
        listing.read_list(tmp_path / "train.txt", tmp_path)


def test_folders_are_listed_sorted_and_recursive(tmp_path):
    names = ["b.PNG", "a/z.jpeg", "a.jpg", "c.webp"]
    for name in names:
        (tmp_path / "sdxl" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "sdxl" / name).touch()
    passed_over = Tally()
    assert listing.list_pictures("sdxl", tmp_path, passed_over) == [
        f"sdxl/{name}" for name in sorted(names)
    ]
    assert not passed_over


def test_what_is_passed_over_is_counted_with_its_first_name(fenced):
    for name in [".a.png", ".hidden/b.png", "notes.txt", "z.bmp", "sub/.c.png"]:
        (fenced / "data" / name).parent.mkdir(exist_ok=True)
        (fenced / "data" / name).touch()
    os.close(os.open(os.fsencode(fenced / "data") + b"/\xff.png", os.O_CREAT))
    passed_over = Tally()
    names = listing.list_pictures("data", fenced, passed_over)
    assert names == ["data/inner.png", "data/real.png"]
    assert passed_over == {
        "hidden": {"count": 3, "first": "data/.a.png"},
        "linked_folder": {"count": 1, "first": "data/folder"},
        "link_outside": {"count": 1, "first": "data/file.png"},
        "other_extension": {"count": 2, "first": "data/notes.txt"},
        "name_not_utf_8": {"count": 1, "first": "data/\\udcff.png"},
    }
    assert passed_over.total == 8
    assert "2 x other_extension (first: data/notes.txt)" in str(passed_over)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".ipynb_checkpoints/1-checkpoint.png", "hidden"),
        (".thumbnails/large/1.png", "hidden"),
        ("a/.AppleDouble/1.png", "hidden"),
        ("@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "folder_of_a_program"),
        ("a/__MACOSX/1.png", "folder_of_a_program"),
        ("#recycle/1.png", "folder_of_a_program"),
        ("$RECYCLE.BIN/1.png", "folder_of_a_program"),
        ("lost+found/1.png", "folder_of_a_program"),
        ("Thumbnails/1.png", "folder_of_a_program"),
    ],
)
def test_every_file_in_folders_of_programs_is_counted(fenced, name, reason):
    for path in (fenced / "data/set" / name, fenced / "data/set/a.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (fenced / "data/set" / name).with_name("other.txt").touch()
    passed_over = Tally()
    assert listing.list_pictures("data/set", fenced, passed_over) == ["data/set/a.png"]
    assert passed_over == {reason: {"count": 2, "first": f"data/set/{name}"}}


def test_pipes_and_folders_that_cannot_be_read_are_counted(fenced, monkeypatch):
    (fenced / "data/set/closed").mkdir(parents=True)
    (fenced / "data/set/a.png").touch()
    os.mkfifo(fenced / "data/set/pipe.png")
    real = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    passed_over = Tally()
    assert listing.list_pictures("data/set", fenced, passed_over) == ["data/set/a.png"]
    closed = {"count": 1, "first": "data/set/closed", "cause": "Permission denied"}
    assert passed_over == {
        "not_a_file": {"count": 1, "first": "data/set/pipe.png"},
        "unreadable_folder": closed,
    }


def test_files_in_a_folder_whose_name_is_not_utf_8_are_counted(fenced):
    folder = os.fsencode(fenced / "data/set") + b"/\xff"
    os.makedirs(folder)
    for name in (folder + b"/a.png", folder + b"/../b.png"):
        os.close(os.open(name, os.O_CREAT))
    passed_over = Tally()
    assert listing.list_pictures("data/set", fenced, passed_over) == ["data/set/b.png"]
    assert passed_over == {"name_not_utf_8": {"count": 1, "first": "data/set/\\udcff/a.png"}}


@pytest.mark.parametrize(
    "name", ["0_real", "real", "REAL", "nature", "real_images", "1-real", "photos"]
)
def test_a_folder_of_photographs_among_generated_pictures_is_refused(tmp_path, name):
    for folder in (name, "1_fake"):
        (tmp_path / "data/sdxl/train" / folder).mkdir(parents=True)
        (tmp_path / "data/sdxl/train" / folder / "a.png").touch()
    with pytest.raises(PipelineError, match=rf"data/sdxl: by its name the folder '{name}' holds"):
        listing.list_pictures("data/sdxl", tmp_path, Tally())


@pytest.mark.parametrize("name", ["realesrgan", "surreal", "photoreal_sdxl", "1_fake", "ai"])
def test_other_folders_are_not(tmp_path, name):
    (tmp_path / "sdxl" / name).mkdir(parents=True)
    (tmp_path / "sdxl" / name / "real.png").touch()
    assert listing.list_pictures("sdxl", tmp_path, Tally()) == [f"sdxl/{name}/real.png"]


def test_a_generator_folder_may_itself_be_a_link(fenced):
    assert listing.list_pictures("data/folder", fenced, Tally()) == ["data/folder/secret.png"]


def test_folders_without_pictures_are_errors(tmp_path):
    with pytest.raises(PipelineError, match=r"sdxl: no such folder.*out of generators in"):
        listing.list_pictures("sdxl", tmp_path, Tally())
    (tmp_path / "sdxl/.hidden.png").mkdir(parents=True)
    with pytest.raises(PipelineError, match=r"sdxl: no \.jpeg, \.jpg, \.png, \.webp file"):
        listing.list_pictures("sdxl", tmp_path, Tally())
