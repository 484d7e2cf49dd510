"""Fetching files: pre-trained weights, data set archives, and the mirror in the internet's place.

In: a URL (http, https, file) and, where known, a checksum.  Out: a file that is complete and
verified, or an error and whatever lay there before.  A transfer goes to `NAME.part` beside its
destination, is verified there and then moved; a broken one is resumed if the server can
(RFC 9110, section 14: Range and If-Range).

`RUSHLIGHT_MIRROR` (a folder or a URL) holds the same files under their plain names with a
`SHA256SUMS` file, whose checksums replace the built-in ones.  While it is set nothing is fetched
from anywhere else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from rushlight.errors import FileFormatError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "MirrorError",
    "download_url_to_file",
    "get_dir",
    "load_state_dict_from_url",
    "set_dir",
]

CHUNK = 1 << 18  # bytes read at a time: 256 KiB keeps the bar lively and the overhead small
TIMEOUT = 60.0  # seconds without a byte before a connection counts as dead
ATTEMPTS = 4  # connections tried for one file, as long as each brings new bytes
USER_AGENT = "rushlight"
SUMS_NAME = "SHA256SUMS"
SUMS_LIMIT = 16 << 20
HASH_IN_NAME = re.compile(r"-([a-f0-9]*)\.")  # resnet18-f37072fd.pth: 8 hex digits of the SHA-256

_hub_dir: str | None = None


class MirrorError(RuntimeError):
    """`RUSHLIGHT_MIRROR` is set, but it lacks the file, its checksum, or cannot be read."""


class Checksum(NamedTuple):
    """What a file's digest must be; `digest` may be a prefix, as in the names of weight files."""

    algorithm: str  # a hashlib name: "md5", "sha256"
    digest: str  # lower-case hex, whole or a prefix

    def matches(self, path: str | Path) -> bool:
        """Whether the file at `path` has this digest."""
        return digest_of(path, self.algorithm).startswith(self.digest)


class Source(NamedTuple):
    """Where the bytes of a file come from, and what they must hash to."""

    location: str  # a URL or, with `local`, a path
    local: bool
    checksum: Checksum | None
    mirror: str = ""  # the mirror it belongs to


def digest_of(path: str | Path, algorithm: str = "sha256") -> str:
    """The hex digest of a file, read in pieces."""
    # The digest finds damage; md5 is only used where published checksums are md5.
    state = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()


def get_dir() -> str:
    """The folder for downloaded models: `$TORCH_HOME/hub`, by default `~/.cache/torch/hub`.

    `$XDG_CACHE_HOME/torch` takes the place of `~/.cache/torch` where that variable is set.

    Example:
        >>> import rushlight as rl
        >>> rl.hub.set_dir("models"); rl.hub.get_dir()
        'models'
    """
    if os.getenv("TORCH_HUB"):
        warnings.warn("TORCH_HUB is deprecated, please use env TORCH_HOME instead")
    if _hub_dir is not None:
        return _hub_dir
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    home = os.getenv("TORCH_HOME", os.path.join(cache, "torch"))
    return os.path.join(os.path.expanduser(home), "hub")


def set_dir(d: str | Path) -> None:
    """Sets the folder that `get_dir` returns, for this process.

    Args:
        d: a path; `~` stands for the home folder. It is made when something is saved there.
    """
    global _hub_dir
    _hub_dir = os.path.expanduser(os.fspath(d))


def download_url_to_file(
    url: str, dst: str | Path, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Downloads `url` to the file `dst`, verified before it takes its place.

    Args:
        url: http, https or file URL. With `RUSHLIGHT_MIRROR` set only its last part counts.
        dst: path of the file to write. Its folder must exist.
        hash_prefix: beginning of the SHA-256 that the file must have, in hex.
        progress: whether to show a bar on stderr.

    Raises:
        FileFormatError: the checksum differs or the transfer was cut short; `dst` is as before.
        MirrorError: a mirror is set and lacks the file.
        urllib.error.URLError: the server cannot be reached.

    Example:
        >>> import pathlib, rushlight as rl
        >>> _ = pathlib.Path("a.txt").write_text("light")
        >>> rl.hub.download_url_to_file(pathlib.Path("a.txt").absolute().as_uri(), "b.txt")
        >>> pathlib.Path("b.txt").read_text()
        'light'
    """
    checksum = Checksum("sha256", hash_prefix) if hash_prefix else None
    fetch(url, os.path.expanduser(os.fspath(dst)), checksum=checksum, progress=progress)


def load_state_dict_from_url(
    url: str,
    model_dir: str | Path | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> dict[str, Any]:
    """Loads the object saved at `url`, downloading it once into `get_dir()/checkpoints`.

    A file that is there already is used as it is, whatever mirror is set.

    Args:
        url: address of a file written by `save`.
        model_dir: folder to keep the file in instead.
        map_location: as in `load`.
        progress: whether to show a bar on stderr while downloading.
        check_hash: the file name ends in `-HEX.EXT`, where HEX begins the file's SHA-256; check it.
        file_name: name to keep the file under; by default the URL's last part.
        weights_only: as in `load`.

    Raises:
        FileFormatError: the file does not have the right checksum, or is not readable.
        MirrorError: a mirror is set and lacks the file.
    """
    import rushlight as rl

    if os.getenv("TORCH_MODEL_ZOO"):
        warnings.warn("TORCH_MODEL_ZOO is deprecated, please use env TORCH_HOME instead")
    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else os.fspath(model_dir)
    os.makedirs(folder, exist_ok=True)
    name = file_name or plain_name(url)
    cached = os.path.join(folder, name)
    if not os.path.exists(cached):
        sys.stderr.write(f'Downloading: "{url}" to {cached}\n')
        found = HASH_IN_NAME.search(name) if check_hash else None
        prefix = found.group(1) if found else ""
        checksum = Checksum("sha256", prefix) if prefix else None
        fetch(url, cached, checksum=checksum, progress=progress)
    loaded: dict[str, Any] = rl.load(cached, map_location=map_location, weights_only=weights_only)
    return loaded


# ---------------------------------------------------------------------------------------------
# From a URL or a mirror to a verified file


def plain_name(url: str) -> str:
    """The file name a URL ends in, without query or fragment."""
    from urllib.parse import unquote, urlparse

    return os.path.basename(unquote(urlparse(url).path))


def fetch(
    url: str,
    destination: str,
    *,
    checksum: Checksum | None = None,
    progress: bool = True,
    mirror_names: Sequence[str] = (),
) -> None:
    """Makes `destination` the verified file of `url`, or of the mirror where one is set.

    `mirror_names` are the names looked up in the mirror, first one found; by default the URL's
    last part.  A resumed transfer whose checksum is wrong is tried once more from its beginning.
    """
    source = find_source(url, checksum, mirror_names)
    with _partial_file(destination) as part:
        resumed = _transfer(source, part, progress)
        if not _verified(source, part) and resumed:
            _forget(part)
            _transfer(source, part, progress)
        if not _verified(source, part):
            error = _checksum_error(source, part)
            _forget(part)
            raise error
        _remove(part + ".json")
        os.replace(part, destination)


def find_source(url: str, checksum: Checksum | None, mirror_names: Sequence[str] = ()) -> Source:
    """Where `url` is to be read from: itself, or the mirror with the mirror's checksum."""
    mirror = os.getenv("RUSHLIGHT_MIRROR")
    if not mirror:
        return Source(url, False, checksum)
    sums = read_mirror_sums(mirror)
    names = list(mirror_names) or [plain_name(url)]
    for name in names:
        if name in sums:
            break
    else:
        raise MirrorError(
            f"'{names[-1]}' is not listed in {SUMS_NAME} of the mirror {mirror}\n"
            f"RUSHLIGHT_MIRROR is set, so nothing is fetched from {url}; add the file and its "
            f"line (`sha256sum {names[-1]} >> {SUMS_NAME}`) or unset the variable."
        )
    location = _mirror_location(mirror, name)
    if not _is_url(mirror) and not os.path.isfile(location):
        raise MirrorError(f"{SUMS_NAME} of the mirror {mirror} lists '{name}', which is not there")
    return Source(location, not _is_url(mirror), Checksum("sha256", sums[name]), mirror)


def read_mirror_sums(mirror: str) -> Mapping[str, str]:
    """File name -> SHA-256 of a mirror, from its `SHA256SUMS` in `sha256sum`'s own format."""
    location = _mirror_location(mirror, SUMS_NAME)
    try:
        with _open_mirror(mirror, location) as file:
            text = file.read(SUMS_LIMIT + 1)
    except OSError as error:
        raise MirrorError(f"RUSHLIGHT_MIRROR={mirror}: cannot read {location} ({error})") from error
    if len(text) > SUMS_LIMIT:
        raise FileFormatError(f"{location} is larger than {SUMS_LIMIT} bytes")
    sums: dict[str, str] = {}
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = re.fullmatch(r"([0-9A-Fa-f]{64})\s[ *]?(.+)", line.rstrip())
        if not found:
            raise FileFormatError(f"{location}, line {number}: not `SHA256  NAME`: {line[:80]!r}")
        sums[found.group(2).removeprefix("./")] = found.group(1).lower()
    return sums


def _is_url(place: str) -> bool:
    return "://" in place


def _mirror_location(mirror: str, name: str) -> str:
    if not _is_url(mirror):
        return os.path.join(os.path.expanduser(mirror), *name.split("/"))
    from urllib.parse import quote

    return mirror.rstrip("/") + "/" + quote(name)


def _open_mirror(mirror: str, location: str) -> IO[bytes]:
    return _open_url(location)[0] if _is_url(mirror) else open(location, "rb")


def _verified(source: Source, path: str) -> bool:
    return source.checksum is None or source.checksum.matches(path)


def _checksum_error(source: Source, path: str) -> FileFormatError:
    assert source.checksum is not None
    algorithm, expected = source.checksum
    got = digest_of(path, algorithm)
    if algorithm == "md5":  # torchvision's words for a data set's archive
        return FileFormatError(
            f"File not found or corrupted.\n{source.location}: md5 is {got}, expected {expected}"
        )
    return FileFormatError(
        f'invalid hash value (expected "{expected}", got "{got}")\n{source.location}'
    )


# ---------------------------------------------------------------------------------------------
# One transfer


@contextlib.contextmanager
def _partial_file(destination: str) -> Iterator[str]:
    """The path to write to until the file is complete, held by this process alone.

    `NAME.part` is kept between runs for resuming.  While another process holds it, a name of
    this process's own is used, and removed if the download fails.
    """
    part = destination + ".part"
    with contextlib.ExitStack() as stack:
        if _hold(part, stack):
            path = part
            stack.callback(lambda: None if _resumable(part) else _forget(part))
        else:
            path = f"{destination}.{os.getpid()}.{threading.get_ident()}.part"
            stack.callback(_forget, path)
        yield path


def _hold(part: str, stack: contextlib.ExitStack) -> bool:
    """Takes an advisory lock on `part`; where the system has none the name is free for all."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    handle = open(part, "ab")  # noqa: SIM115  (the stack closes it, and that unlocks)
    stack.enter_context(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return _is_at(handle, part)  # not if its holder moved it into place meanwhile


def _is_at(handle: IO[bytes], path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _resumable(part: str) -> bool:
    return os.path.exists(part) and os.path.getsize(part) > 0 and os.path.exists(part + ".json")


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def _forget(part: str) -> None:
    _remove(part + ".json")
    _remove(part)


def _transfer(source: Source, part: str, progress: bool) -> bool:
    """Writes all bytes of `source` to `part`; says whether older bytes were kept."""
    if source.local:
        with open(source.location, "rb") as file:
            _copy(file, part, 0, os.path.getsize(source.location), progress)
        return False
    resumed = False
    for attempt in range(ATTEMPTS):
        before = _saved_bytes(source, part)
        resumed = resumed or before > 0
        total, ended = _transfer_once(source, part, before, progress)
        got = os.path.getsize(part)
        if ended and got == (got if total is None else total):
            return resumed
        if got <= before or not _resumable(part) or attempt == ATTEMPTS - 1:
            break
    raise FileFormatError(
        f"File not found or corrupted.\n{source.location} ended after {got} of "
        f"{'more' if total is None else total} bytes"
    )


def _saved_bytes(source: Source, part: str) -> int:
    """How many bytes of an earlier transfer of the same URL can be kept."""
    if not _resumable(part):
        return 0
    return os.path.getsize(part) if _note(part).get("url") == source.location else 0


def _note(part: str) -> dict[str, str]:
    try:
        with open(part + ".json", encoding="utf-8") as file:
            note = json.load(file)
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _transfer_once(
    source: Source, part: str, offset: int, progress: bool
) -> tuple[int | None, bool]:
    """One connection's worth: the full size, if the server states it, and whether it ended well."""
    from http.client import IncompleteRead

    url = source.location
    try:
        stream, headers, status = _open_url(url, offset, _note(part).get("validator", ""))
    except OSError as error:
        if not source.mirror:
            raise
        raise MirrorError(f"the mirror {source.mirror} does not serve {url} ({error})") from error
    with stream:
        if status != 206:
            offset = 0
        length = headers.get("Content-Length")
        total = None if length is None else offset + int(length)
        validator = headers.get("ETag") or headers.get("Last-Modified") or ""
        if headers.get("Accept-Ranges") == "bytes" and validator and not validator.startswith("W/"):
            with open(part + ".json", "w", encoding="utf-8") as file:
                json.dump({"url": url, "validator": validator}, file)
        elif status != 206:
            _remove(part + ".json")
        try:
            _copy(stream, part, offset, total, progress)
        except (ConnectionError, TimeoutError, IncompleteRead):
            return total, False
    return total, True


def _open_url(
    url: str, offset: int = 0, validator: str = ""
) -> tuple[IO[bytes], Mapping[str, str], int]:
    """Opens a URL, at `offset` if the server still has the file that `validator` names."""
    import urllib.error
    import urllib.request

    if url.partition("://")[0].lower() not in ("http", "https", "file"):
        raise ValueError(f"unknown url type: '{url}' (http, https and file are served)")
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if offset and validator:
        headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), None, TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing after the offset: start over
            error.close()
            return _open_url(url)
        raise
    status = getattr(answer, "status", None) or 200
    if status == 206 and not _continues(answer.headers, offset):
        answer.close()
        return _open_url(url)
    return answer, answer.headers, status


def _continues(headers: Mapping[str, str], offset: int) -> bool:
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range") or "")
    return bool(found) and int(found.group(1)) == offset  # type: ignore[union-attr]


def _copy(stream: IO[bytes], part: str, offset: int, total: int | None, progress: bool) -> None:
    from tqdm import tqdm

    with (
        open(part, "r+b" if os.path.exists(part) else "w+b") as file,
        tqdm(total=total, initial=offset, unit="B", unit_scale=True, disable=not progress) as bar,
    ):
        file.seek(offset)
        file.truncate()
        while chunk := stream.read(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
