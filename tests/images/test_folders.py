"""Walking folders: links, circles, and what systems put there."""

import os

import pytest
from trees import touch

from utils.images.folders import is_passed_over, walk_folder
from utils.system.errors import UserError
from utils.system.notices import warnings_given


def link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target, target_is_directory=True)


def test_links_to_files_and_folders_are_followed(tmp_path):
    touch(tmp_path / "disk", ["b/1.png", "2.png"])
    touch(tmp_path / "set", ["a/0.png"])
    link(tmp_path / "set/b", tmp_path / "disk/b")
    link(tmp_path / "set/c/2.png", tmp_path / "disk/2.png")
    tree = walk_folder(tmp_path / "set")
    assert tree.names == {"": [], "a": ["0.png"], "b": ["1.png"], "c": ["2.png"]}
    tree.tell()
    assert not warnings_given()


@pytest.mark.parametrize("target", [".", "..", "../..", "../../..", "/"])
def test_links_in_circles_end(tmp_path, target):
    touch(tmp_path / "set", ["a/0.png"])
    link(tmp_path / "set/a/again", target)
    tree = walk_folder(tmp_path / "set")
    assert {below: names for below, names in tree.names.items() if names} == {"a": ["0.png"]}
    tree.tell()
    assert len(warnings_given()) == 1 and "a/again: a link to" in warnings_given()[0]


def test_folders_that_link_to_each_other_are_listed_once_each(tmp_path):
    count = 30
    for one in range(count):
        touch(tmp_path, [f"{one:02d}/0.png"])
        for other in range(count):
            link(tmp_path / f"{one:02d}/to{other:02d}", f"../{other:02d}")
    tree = walk_folder(tmp_path)
    assert len(tree.names) == count + 1 and len(tree.repeated) == count * count


def test_a_tree_that_is_linked_twice_counts_once_and_that_is_said(tmp_path):
    touch(tmp_path / "disk", ["0.png"])
    for name in "ba":
        link(tmp_path / f"set/{name}", tmp_path / "disk")
    touch(tmp_path / "set", ["z/1.png"])
    link(tmp_path / "set/a2", "z")  # comes before z by name, but z lies there
    tree = walk_folder(tmp_path / "set")
    assert tree.names == {"": [], "z": ["1.png"], "a": ["0.png"]}
    assert tree.repeated == [("a2", str(tmp_path / "set/z")), ("b", str(tmp_path / "set/a"))]


def test_parts_may_share_a_tree(tmp_path):
    touch(tmp_path / "disk", ["s/0.png"])
    for name in ("train", "test"):
        link(tmp_path / f"set/{name}", tmp_path / "disk")
    tree = walk_folder(tmp_path / "set", part_of=lambda below: below.partition("/")[0])
    assert sorted(tree.names) == ["", "test", "test/s", "train", "train/s"] and not tree.repeated


def test_links_that_lead_nowhere_are_named(tmp_path):
    touch(tmp_path, ["a/0.png"])
    link(tmp_path / "b", tmp_path / "gone")
    walk_folder(tmp_path).tell()
    assert warnings_given() == [
        f"{tmp_path}/b: a link that leads nowhere is left out (the first of 1); correct or remove it"
    ]


def test_files_of_systems_are_passed_over(tmp_path):
    touch(
        tmp_path, ["a/0.png", "a/._0.png", ".DS_Store", "a/Thumbs.db", "a/desktop.ini", "__MACOSX/a/0.png", ".x/0.png"]
    )
    assert walk_folder(tmp_path).names == {"": [], "a": ["0.png"]}
    assert not is_passed_over("a.png")


def test_a_folder_may_be_called_like_a_file(tmp_path):
    touch(tmp_path, ["a.png/0.png"])
    assert walk_folder(tmp_path, files={".png"}).names == {"": [], "a.png": ["0.png"]}


def test_folders_too_deep_in_each_other_are_refused(tmp_path):
    touch(tmp_path, ["/".join(["d"] * 40) + "/0.png"])
    with pytest.raises(UserError, match="more than 32 folders in each other"):
        walk_folder(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "a").mkdir(mode=0)
    with pytest.raises(UserError, match="cannot be read"):
        walk_folder(tmp_path)
