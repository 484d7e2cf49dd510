"""Downloads and unpacking: resuming, checksums, mirrors, damaged and malicious archives."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import os
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rushlight as rl
from rushlight import hub
from rushlight.errors import FileFormatError
from rushlight.vision.datasets import _archive
from rushlight.vision.datasets.utils import (
    check_integrity,
    download_and_extract_archive,
    download_url,
    extract_archive,
)


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUSHLIGHT_MIRROR", raising=False)


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def make_tar(path: Path, files: dict[str, bytes], prefix: str = "") -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_sums(mirror: Path) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(mirror).as_posix()}\n"
        for path in sorted(mirror.rglob("*"))
        if path.is_file() and path.name != "SHA256SUMS"
    ]
    (mirror / "SHA256SUMS").write_text("".join(lines))


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# ------------------------------------------------------------------------------ safe unpacking


def tar_of(path: Path, *members: tuple[str, str, str]) -> Path:
    """A tar of (name, kind, content or link target)."""
    kinds = {
        "file": tarfile.REGTYPE,
        "dir": tarfile.DIRTYPE,
        "sym": tarfile.SYMTYPE,
        "link": tarfile.LNKTYPE,
        "fifo": tarfile.FIFOTYPE,
        "dev": tarfile.CHRTYPE,
    }
    with tarfile.open(path, "w") as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kinds[kind]
            info.linkname = content if kind in ("sym", "link") else ""
            info.size = len(content) if kind == "file" else 0
            tar.addfile(info, io.BytesIO(content.encode()) if kind == "file" else None)
    return path


MALICIOUS: dict[str, list[tuple[str, str, str]]] = {
    "absolute": [("/tmp/rushlight-evil", "file", "x")],
    "parent": [("../evil", "file", "x")],
    "deep parent": [("a/../../evil", "file", "x")],
    "backslash": [("..\\evil", "file", "x")],
    "symlink out": [("l", "sym", "../evil")],
    "symlink absolute": [("l", "sym", "/etc/passwd")],
    "through symlink": [("l", "sym", "/tmp"), ("l/evil", "file", "x")],
    "through symlink to folder": [("d", "dir", ""), ("l", "sym", "d"), ("l/evil", "file", "x")],
    "hard link out": [("l", "link", "../evil")],
    "link to nothing": [("l", "sym", "later"), ("later", "file", "x")],
    "fifo": [("f", "fifo", "")],
    "device": [("c", "dev", "")],
    "file as folder": [("a", "file", "x"), ("a/b", "file", "y")],
    "folder as file": [("a/b", "file", "x"), ("a", "file", "y")],
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_malicious_tar(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_files(out, {"kept": b"before"})
    archive = tar_of(tmp_path / "a.tar", ("first", "file", "harmless"), *MALICIOUS[name])
    with pytest.raises(FileFormatError):
        extract_archive(str(archive), str(out))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "out"]
    assert tree(out) == {"kept": b"before"} and len(list(out.iterdir())) == 1


def test_links_inside_become_copies(tmp_path: Path) -> None:
    members = [("d/a", "file", "text"), ("d/b", "sym", "a"), ("c", "link", "d/a")]
    archive = tar_of(tmp_path / "a.tar", *members)
    assert extract_archive(archive, tmp_path / "out") == tmp_path / "out"
    assert tree(tmp_path / "out") == {"d/a": b"text", "d/b": b"text", "c": b"text"}
    assert not (tmp_path / "out" / "d" / "b").is_symlink()


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil"])
def test_malicious_zip(name: str, tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("first", "harmless")
        info = zipfile.ZipInfo("x")
        info.filename = name
        file.writestr(info, "x")
    with pytest.raises(FileFormatError):
        extract_archive(archive, tmp_path / "out")
    assert tree(tmp_path) == {"a.zip": archive.read_bytes()}


def test_zip_symlink_and_corruption(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        info = zipfile.ZipInfo("l")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "/etc/passwd")
    with pytest.raises(FileFormatError, match="neither a file nor a folder"):
        extract_archive(archive, tmp_path / "out")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a", b"content" * 10)
    content = bytearray(archive.read_bytes())
    content[35] ^= 1  # in the stored bytes: the CRC no longer fits
    archive.write_bytes(content)
    for damaged in (bytes(content), bytes(content[:60]), b"PK\3\4"):
        archive.write_bytes(damaged)
        with pytest.raises(FileFormatError):
            extract_archive(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("keep", [10, 100, -30, -8])
def test_truncated_tar(keep: int, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    make_tar(archive, {"a": os.urandom(3000), "b": b"x" * 3000})
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(FileFormatError):
        extract_archive(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_archive, "SMALL", 10_000)
    monkeypatch.setattr(_archive, "ENTRY_LIMIT", 20)
    archive = tmp_path / "a.tar.gz"
    make_tar(archive, {"zeros": bytes(3_000_000)})
    with pytest.raises(FileFormatError, match="more than"):
        extract_archive(archive, tmp_path / "out")
    (tmp_path / "b.gz").write_bytes(gzip.compress(bytes(3_000_000)))
    with pytest.raises(FileFormatError, match="more than"):
        extract_archive(tmp_path / "b.gz")
    make_tar(archive, {str(index): b"" for index in range(30)})
    with pytest.raises(FileFormatError, match="20 entries"):
        extract_archive(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == [] and not (tmp_path / "b").exists()


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz"])
def test_archive_types(suffix: str, tmp_path: Path) -> None:
    mode = {"gz": "w:gz", "bz": "w:bz2", "xz": "w:xz"}
    kind = next((mode[key] for key in mode if key in suffix), "w")
    archive = tmp_path / f"a{suffix}"
    with tarfile.open(archive, kind) as tar:  # type: ignore[call-overload]
        info = tarfile.TarInfo("d/f")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"text"))
    returned = extract_archive(str(archive), remove_finished=True)
    assert returned == str(tmp_path) and tree(tmp_path) == {"d/f": b"text"}


def test_file_where_the_archive_has_a_folder(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar", ("a", "file", "new"), ("d/f", "file", "x"))
    write_files(tmp_path / "out", {"a": b"old", "d": b"mine"})
    with pytest.raises(FileFormatError, match="has a folder of that name"):
        extract_archive(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"a": b"old", "d": b"mine"}


def test_tar_with_a_huge_header(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type = tarfile.XHDTYPE  # an extended header, read into memory as a whole
    info.size = 100 << 20
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(info.tobuf() + bytes(info.size), 1))
    with pytest.raises(FileFormatError, match="has a header of"):
        extract_archive(tmp_path / "a.tar.gz", tmp_path / "out")


def test_two_downloads_of_one_file_at_once(server: Any, tmp_path: Path) -> None:
    url, handler = server
    handler.files["a.bin"] = CONTENT
    failures: list[BaseException] = []

    def download() -> None:
        try:
            download_url(url + "a.bin", tmp_path, md5=MD5)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=download) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and tree(tmp_path) == {"a.bin": CONTENT}


def test_unknown_archives(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="has no suffixes that could be used to detect"):
        extract_archive(str(tmp_path / "plain"))
    with pytest.raises(RuntimeError, match=r"Unknown compression or archive type: '\.rar'"):
        extract_archive(str(tmp_path / "a.rar"))


# ------------------------------------------------------------------------------------ transfers


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `files`; can break off, and can resume."""

    files: dict[str, bytes] = {}
    break_after: list[int] = []  # bytes of each coming answer before the line is cut
    ranges = True
    chunked = False
    seen: list[str] = []

    def do_GET(self) -> None:
        content = self.files.get(self.path.partition("?")[0].lstrip("/"))
        if content is None:
            self.send_error(404)
            return
        if self.chunked:
            self.send_pieces(content)
            return
        start = 0
        tag = '"' + hashlib.md5(content).hexdigest() + '"'
        wanted = self.headers.get("Range")
        type(self).seen.append(wanted or "all")
        if wanted and self.ranges and self.headers.get("If-Range") == tag:
            start = int(re.match(r"bytes=(\d+)-", wanted).group(1))  # type: ignore[union-attr]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if self.ranges:
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = start + self.break_after.pop(0) if self.break_after else len(content)
        self.wfile.write(content[start:stop])

    def send_pieces(self, content: bytes) -> None:
        """An answer of unknown length, in chunks; `break_after` leaves out the closing one."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        stop = self.break_after.pop(0) if self.break_after else len(content)
        for start in range(0, stop, 1000):
            piece = content[start : min(start + 1000, stop)]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if stop == len(content):
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[Server]]]:
    handler = type("Handler", (Server,), {"files": {}, "break_after": [], "seen": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        serve = functools.partial(running.serve_forever, poll_interval=0.01)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}/", handler
        finally:
            running.shutdown()
            thread.join()


CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()


def test_download(server: Any, tmp_path: Path, capsys: Any) -> None:
    url, handler = server
    handler.files["a.bin"] = CONTENT
    download_url(url + "a.bin?x=1", tmp_path, md5=MD5)
    assert tree(tmp_path) == {"a.bin": CONTENT}
    captured = capsys.readouterr()
    assert captured.out == "" and "100%" in captured.err
    download_url(url + "a.bin", tmp_path, md5=MD5)  # there already
    assert handler.seen == ["all"]
    assert check_integrity(tmp_path / "a.bin", MD5)


def test_download_with_wrong_content(server: Any, tmp_path: Path) -> None:
    url, handler = server
    handler.files["a.bin"] = b"other"
    (tmp_path / "a.bin").write_bytes(b"before")
    with pytest.raises(FileFormatError, match=r"^File not found or corrupted\."):
        download_url(url + "a.bin", tmp_path, md5=MD5)
    assert tree(tmp_path) == {"a.bin": b"before"}
    with pytest.raises(OSError, match="404"):
        download_url(url + "b.bin", tmp_path, md5=MD5)
    with pytest.raises(ValueError, match="unknown url type"):
        download_url("ftp://127.0.0.1/c.bin", tmp_path)
    assert tree(tmp_path) == {"a.bin": b"before"}


def test_resume_within_a_download(server: Any, tmp_path: Path) -> None:
    url, handler = server
    handler.files["a.bin"] = CONTENT
    handler.break_after[:] = [1000, 300_000]
    download_url(url + "a.bin", tmp_path, md5=MD5)
    assert tree(tmp_path) == {"a.bin": CONTENT}
    assert handler.seen == ["all", "bytes=1000-", "bytes=301000-"]


def test_resume_in_a_later_run(server: Any, tmp_path: Path) -> None:
    url, handler = server
    handler.files["a.bin"] = CONTENT
    handler.break_after[:] = [1000, 0]
    with pytest.raises(FileFormatError, match="ended after 1000 of 1024000 bytes"):
        download_url(url + "a.bin", tmp_path, md5=MD5)
    assert not (tmp_path / "a.bin").exists() and (tmp_path / "a.bin.part").stat().st_size == 1000
    download_url(url + "a.bin", tmp_path, md5=MD5)
    assert tree(tmp_path) == {"a.bin": CONTENT} and handler.seen[-1] == "bytes=1000-"


def test_resume_when_the_file_changed(server: Any, tmp_path: Path) -> None:
    url, handler = server
    handler.files["a.bin"] = b"older" * 1000
    handler.break_after[:] = [1000, 0]
    with pytest.raises(FileFormatError):
        download_url(url + "a.bin", tmp_path, md5=MD5)
    handler.files["a.bin"] = CONTENT
    download_url(url + "a.bin", tmp_path, md5=MD5)
    assert tree(tmp_path) == {"a.bin": CONTENT}


def test_corrupt_partial_file_is_fetched_again(server: Any, tmp_path: Path) -> None:
    url, handler = server
    handler.files["a.bin"] = CONTENT
    handler.break_after[:] = [1000, 0]
    with pytest.raises(FileFormatError):
        download_url(url + "a.bin", tmp_path, md5=MD5)
    (tmp_path / "a.bin.part").write_bytes(bytes(1000))
    download_url(url + "a.bin", tmp_path, md5=MD5)
    assert tree(tmp_path) == {"a.bin": CONTENT}


def test_no_partial_file_without_ranges(server: Any, tmp_path: Path) -> None:
    url, handler = server
    handler.files["a.bin"] = CONTENT
    handler.ranges = False
    handler.break_after[:] = [1000]
    with pytest.raises(FileFormatError, match="ended after 1000"):
        download_url(url + "a.bin", tmp_path)
    assert tree(tmp_path) == {}


def test_mirror_on_the_web(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, handler = server
    handler.files["data/a.bin"] = CONTENT
    sums = f"{hashlib.sha256(CONTENT).hexdigest()} *./a.bin\n# a note\n{'0' * 64}  b.bin\n"
    handler.files["data/SHA256SUMS"] = sums.encode()
    monkeypatch.setenv("RUSHLIGHT_MIRROR", url + "data/")
    download_url("http://example.invalid/a.bin", tmp_path / "root", md5="not this one")
    assert tree(tmp_path / "root") == {"a.bin": CONTENT}
    with pytest.raises(hub.MirrorError, match="does not serve"):
        download_url("http://example.invalid/b.bin", tmp_path / "root")
    monkeypatch.setenv("RUSHLIGHT_MIRROR", url + "nothing")
    with pytest.raises(hub.MirrorError, match="cannot read"):
        download_url("http://example.invalid/b.bin", tmp_path / "root")
    assert tree(tmp_path / "root") == {"a.bin": CONTENT}


def test_answer_of_unknown_length(server: Any, tmp_path: Path) -> None:
    url, handler = server
    handler.protocol_version = "HTTP/1.1"
    handler.chunked = True
    handler.files["a.bin"] = CONTENT
    download_url(url + "a.bin", tmp_path)
    assert tree(tmp_path) == {"a.bin": CONTENT}
    handler.break_after[:] = [5000]
    with pytest.raises(FileFormatError, match=r"ended after \d+ of more bytes"):
        download_url(url + "a.bin", tmp_path, "b.bin")
    assert tree(tmp_path) == {"a.bin": CONTENT}


def test_download_and_extract(tmp_path: Path) -> None:
    make_tar(tmp_path / "a.tar.gz", {"d/f": b"text"})
    url = (tmp_path / "a.tar.gz").as_uri()
    download_and_extract_archive(url, tmp_path / "dl", tmp_path / "out", remove_finished=True)
    assert tree(tmp_path / "out") == {"d/f": b"text"} and tree(tmp_path / "dl") == {}


# ------------------------------------------------------------------------------------------ hub


def test_hub_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert hub.get_dir() == str(tmp_path / "cache" / "torch" / "hub")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    assert hub.get_dir() == str(tmp_path / "home" / "hub")
    monkeypatch.setattr(hub, "_hub_dir", None)
    hub.set_dir(tmp_path / "set")
    assert hub.get_dir() == str(tmp_path / "set")


def test_hub_download(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    url = (tmp_path / "a").as_uri()
    hub.download_url_to_file(url, tmp_path / "b", digest[:8], progress=False)
    assert (tmp_path / "b").read_bytes() == CONTENT
    with pytest.raises(FileFormatError, match=r'^invalid hash value \(expected "abc", got "'):
        hub.download_url_to_file(url, str(tmp_path / "c"), "abc", progress=False)
    assert not (tmp_path / "c").exists()


def test_hub_state_dict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    rl.save({"weight": rl.arange(4)}, mirror / "net-00000000.pth")
    write_sums(mirror)
    monkeypatch.setenv("RUSHLIGHT_MIRROR", str(mirror))
    load = functools.partial(
        hub.load_state_dict_from_url,
        "https://example.invalid/net-00000000.pth",
        model_dir=tmp_path / "models",
        check_hash=True,  # the mirror's checksum counts, not the one in the name
    )
    assert load()["weight"].tolist() == [0, 1, 2, 3]
    assert 'Downloading: "https://example.invalid/net-00000000.pth" to ' in capsys.readouterr().err
    monkeypatch.delenv("RUSHLIGHT_MIRROR")
    assert load(weights_only=True)["weight"].tolist() == [0, 1, 2, 3]  # kept from before
