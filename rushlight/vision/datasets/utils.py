"""What the data set classes share: downloads, checks, unpacking, the record of what was checked.

The functions are torchvision's; `fetch` of `rushlight.hub` (mirror, resume) and the careful
unpacker of `_archive.py` do the work.

A record, `.rushlight-verified.json`, lies in a data set's folder when its files came out of a
verified archive: file name -> SHA-256.  Later runs compare with it, so damage on disk is found
even where a mirror's archive differs from the published one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rushlight.errors import FileFormatError
from rushlight.hub import Checksum, digest_of, fetch, find_source, plain_name
from rushlight.vision._files import write_whole
from rushlight.vision.datasets import _archive

__all__ = [
    "calculate_md5",
    "check_integrity",
    "check_md5",
    "download_and_extract_archive",
    "download_url",
    "extract_archive",
    "iterable_to_str",
    "list_dir",
    "list_files",
    "verify_str_arg",
]

RECORD_NAME = ".rushlight-verified.json"


def calculate_md5(fpath: str | Path, chunk_size: int = 1024 * 1024) -> str:
    """The MD5 digest of a file in hex, read `chunk_size` bytes at a time."""
    import hashlib

    state = hashlib.md5(usedforsecurity=False)
    with open(fpath, "rb") as file:
        while chunk := file.read(chunk_size):
            state.update(chunk)
    return state.hexdigest()


def check_md5(fpath: str | Path, md5: str, **kwargs: Any) -> bool:
    """Whether the file's MD5 digest is `md5`; further arguments as in `calculate_md5`."""
    return md5 == calculate_md5(fpath, **kwargs)


def check_integrity(fpath: str | Path, md5: str | None = None) -> bool:
    """Whether `fpath` is a file and, if `md5` is given, has that digest.

    Example:
        >>> check_integrity("no such file")
        False
    """
    if not os.path.isfile(fpath):
        return False
    return md5 is None or check_md5(fpath, md5)


def download_url(
    url: str,
    root: str | Path,
    filename: str | Path | None = None,
    md5: str | None = None,
    max_redirect_hops: int = 3,
    *,
    mirror_names: Sequence[str] = (),
) -> None:
    """Makes `root/filename` the verified file of `url`; a file that is right is left alone.

    Args:
        url: http, https or file URL.
        root: folder for the file; made if missing.
        filename: by default the URL's last part.
        md5: expected digest. With `RUSHLIGHT_MIRROR` set, the mirror's SHA-256 replaces it.
        max_redirect_hops: accepted for compatibility; the HTTP client's own limit (10) holds.
        mirror_names: names to look up in the mirror, first one found; default the URL's last part.

    Raises:
        FileFormatError: the file is not what its checksum says, or was cut short.
        MirrorError: a mirror is set and lacks the file.
    """
    root = os.path.expanduser(os.fspath(root))
    target = os.path.join(root, os.fspath(filename) if filename else plain_name(url))
    os.makedirs(root, exist_ok=True)
    wanted = find_source(url, Checksum("md5", md5) if md5 else None, mirror_names).checksum
    if os.path.isfile(target) and (wanted is None or wanted.matches(target)):
        return
    fetch(url, target, checksum=Checksum("md5", md5) if md5 else None, mirror_names=mirror_names)


def extract_archive(
    from_path: str | Path, to_path: str | Path | None = None, remove_finished: bool = False
) -> str | Path:
    """Unpacks an archive, or decompresses a single file, by its name's suffix.

    Args:
        from_path: .tar, .tar.gz, .tgz, .tar.bz2, .tbz, .tbz2, .tar.xz, .zip, .gz, .bz2 or .xz file.
        to_path: target folder; by default the archive's own.
        remove_finished: whether to delete the archive afterwards.

    Returns:
        The folder, or for a single file that file; of the type of `from_path`.

    Raises:
        FileFormatError: the archive is damaged, or would write outside the folder or too much.
        RuntimeError: the suffix is not known.
    """
    folder = os.path.dirname(from_path) if to_path is None else os.fspath(to_path)
    suffix, archive, _ = _archive.split_suffix(from_path)
    if archive:
        _archive.unpack(from_path, folder or ".")
        result = folder
    else:
        result = os.path.join(folder, os.path.basename(from_path).removesuffix(suffix))
        _archive.decompress(from_path, result)
    if remove_finished:
        os.remove(from_path)
    return result if isinstance(from_path, str) else Path(result)


def download_and_extract_archive(
    url: str,
    download_root: str | Path,
    extract_root: str | Path | None = None,
    filename: str | Path | None = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """`download_url`, then `extract_archive` into `extract_root` (default: the same folder)."""
    root = os.path.expanduser(os.fspath(download_root))
    name = os.fspath(filename) if filename else plain_name(url)
    download_url(url, root, name, md5)
    target = root if extract_root is None else extract_root
    extract_archive(os.path.join(root, name), target, remove_finished)


def list_dir(root: str | Path, prefix: bool = False) -> list[str]:
    """The folders in `root`: their names, or with `prefix` their paths."""
    root = os.path.expanduser(os.fspath(root))
    names = [name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name))]
    return [os.path.join(root, name) for name in names] if prefix else names


def list_files(root: str | Path, suffix: str | tuple[str, ...], prefix: bool = False) -> list[str]:
    """The files in `root` whose names end in `suffix`: names, or with `prefix` paths."""
    root = os.path.expanduser(os.fspath(root))
    names = [
        name
        for name in os.listdir(root)
        if name.endswith(suffix) and os.path.isfile(os.path.join(root, name))
    ]
    return [os.path.join(root, name) for name in names] if prefix else names


def iterable_to_str(iterable: Iterable[Any]) -> str:
    """The items in single quotes with commas between.

    Example:
        >>> iterable_to_str(["train", "test"])
        "'train', 'test'"
    """
    return "'" + "', '".join(str(item) for item in iterable) + "'"


def verify_str_arg(
    value: Any,
    arg: str | None = None,
    valid_values: Iterable[str] | None = None,
    custom_msg: str | None = None,
) -> Any:
    """Returns `value` if it is a string among `valid_values`; raises ValueError otherwise."""
    if not isinstance(value, str):
        place = "" if arg is None else f" for argument {arg}"
        raise ValueError(f"Expected type str{place}, but got type {type(value)}.")
    if valid_values is None or value in (valid := tuple(valid_values)):
        return value
    raise ValueError(
        custom_msg
        or f"Unknown value '{value}' for argument {arg}. "
        f"Valid values are {{{iterable_to_str(valid)}}}."
    )


def read_record(folder: str | Path) -> dict[str, str]:
    """File name -> SHA-256 of the files in `folder` that came from a verified archive."""
    path = os.path.join(folder, RECORD_NAME)
    try:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise FileFormatError(f"'{path}' is damaged: {error}") from error
    if not isinstance(record, dict) or not all(isinstance(v, str) for v in record.values()):
        raise FileFormatError(f"'{path}' is damaged: not a table of checksums")
    return record


def write_record(folder: str | Path, names: Iterable[str], keep: bool = True) -> None:
    """Notes the present digests of `names`, beside (`keep`) those noted before."""
    try:
        record = read_record(folder) if keep else {}
    except FileFormatError:
        record = {}
    record.update({name: digest_of(os.path.join(folder, name)) for name in names})
    content = json.dumps(record, indent=1, sort_keys=True).encode()
    write_whole(os.path.join(folder, RECORD_NAME), content)


def check_recorded(path: str | Path) -> None:
    """Compares a file with the record of its folder, if it is noted there.

    Raises:
        FileFormatError: the file changed since it was verified.
    """
    folder, name = os.path.split(path)
    noted = read_record(folder).get(name)
    if noted is not None and digest_of(path) != noted:
        raise FileFormatError(
            f"'{path}' changed since it was verified. You can use download=True to download it"
        )
