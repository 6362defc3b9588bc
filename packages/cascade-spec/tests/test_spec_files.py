"""Claims about `File`: a path that stands for the content of a file."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.spec import CachedCall, FileUnreadableError, InputError, SpecError
from cascade.spec.common import ParamContract
from cascade.spec.encoding.canonical import digest
from cascade.spec.inputs.files import File


@cs.task
def use(data: Any) -> None: ...


def key(value: object) -> str:
    found = cs.ByInputs().key(CachedCall(use, (value,), {}))
    assert found is not None
    return found.digest


def age(path: Path, seconds: float) -> None:
    """Make a file look as if it had been changed so many seconds ago."""
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_file_is_its_content(tmp_path: Path) -> None:
    """The key has the content of a file and nothing else of it: not its path, name, mode or time."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("a")
    other.write_text("a")
    other.chmod(0o600)
    age(other, 1000)
    assert key(cs.File(one)) == key(cs.File(other)) == key(File(str(one)))
    assert key([cs.File(one)]) == key([cs.File(other)])
    other.write_text("b")
    assert key(cs.File(one)) != key(cs.File(other))
    assert len({key(cs.File(one)), key(one), key(str(one)), key(b"a"), key("a")}) == 5


@pytest.mark.parametrize("seconds", [0.0, 1.0, 1000.0])
def test_each_change_of_a_file_shows(tmp_path: Path, seconds: float) -> None:
    """A change of the same length shows, whenever the file was changed before; so does a replaced file."""
    path = tmp_path / "data"
    path.write_text("one")
    age(path, seconds)
    seen = {digest(cs.File(path))}
    for content in ("two", "six", "ten"):
        path.write_text(content)
        seen.add(digest(cs.File(path)))
    replacement = tmp_path / "new"
    replacement.write_text("new")
    replacement.replace(path)
    seen.add(digest(cs.File(path)))
    assert len(seen) == 5


def test_a_young_file_is_read_each_time(tmp_path: Path) -> None:
    """A change within one tick of the file system's clock shows: a file younger than two seconds is read again."""
    path = tmp_path / "data"
    path.write_text("one")
    told = path.stat()
    before = digest(cs.File(path))
    path.write_text("two")
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert digest(cs.File(path)) != before


def test_an_old_file_is_read_once(tmp_path: Path) -> None:
    """While device, inode, size and time are the same, and the file is two seconds old, it is not read again."""
    path = tmp_path / "data"
    path.write_text("one")
    age(path, 3)
    told = path.stat()
    before = digest(cs.File(path))
    path.write_text("two")
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert digest(cs.File(path)) == before
    age(path, 4)
    assert digest(cs.File(path)) != before


def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    """A symbolic link that comes to lead to another file is another content."""
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    for name in "ab":
        age(tmp_path / name, 1000)
    link = tmp_path / "link"
    link.symlink_to("a")
    before = digest(cs.File(link))
    link.unlink()
    link.symlink_to("b")
    assert digest(cs.File(link)) != before


def test_what_can_not_be_read_is_named(tmp_path: Path) -> None:
    """A file that is not there, and what is no file, are an error that names the path; a pipe is not waited for."""
    os.mkfifo(tmp_path / "pipe")
    for path, told in [
        ("missing", "No such file"),
        (".", "it is not a file"),
        ("pipe", "it is not a file"),
        ("/dev/zero", "it is not a file"),
    ]:
        with pytest.raises(FileUnreadableError, match=told) as caught:
            digest(cs.File(tmp_path / path))
        assert caught.value.path == str(tmp_path / path)
        assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("path", ["", None, 1, b"bytes", "with\0nothing"])
def test_a_file_of_no_path_is_refused(path: Any) -> None:
    """What is no path is refused where it is written."""
    with pytest.raises(SpecError, match="give the path of a file"):
        cs.File(path)


def test_a_file_is_a_path(tmp_path: Path) -> None:
    """A file can be opened like a path, is a value, prints as its path, and survives pickling."""
    file = cs.File(tmp_path / "data")
    file.path.write_text("text")
    with open(file) as opened, file.open("rb") as binary:  # noqa: PTH123 - what a user writes
        assert (opened.read(), binary.read()) == ("text", b"text")
    assert os.fspath(file) == str(file) == str(tmp_path / "data")
    assert pickle.loads(pickle.dumps(file)) == file == cs.File(file)
    assert len({file, cs.File(str(tmp_path / "data")), cs.File("other")}) == 2
    assert repr(cs.File("a.csv")) == "File('a.csv')"


def test_a_parameter_may_be_a_file(tmp_path: Path) -> None:
    """The text of a parameter of this type is the path of a file that is there."""
    contract = ParamContract("data", File)
    path = tmp_path / "data.csv"
    with pytest.raises(InputError, match="can't be read as File: there is no such file"):
        contract.parse(str(path))
    path.write_text("1,2")
    assert contract.parse(str(path)) == cs.File(path)
    assert contract.read({"data": cs.File(path)}) == cs.File(path)
    with pytest.raises(InputError, match="give File"):
        contract.read({"data": str(path)})
