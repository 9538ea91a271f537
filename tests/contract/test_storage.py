"""What a blob storage must do, in a folder and on a remote one alike; then disks that fail."""

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import fsspec
import pytest

from pipeline.errors import NotFound, Refused, StorageUnavailable
from pipeline.states import Reason
from pipeline.store.blobs import BlobStore
from pipeline.store.spool import _open_nameless
from tests.support.waiting import eventually
from tests.support.workers import ROOT

MIB = 1024 * 1024
FSIZE_LIMIT = 64 * 1024


@pytest.fixture(params=["folder", "file-url", "remote"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    """Each kind of storage in turn, empty."""
    urls = {
        "folder": str(tmp_path / "blobs"),
        "file-url": f"file://{tmp_path}/blobs",
        "remote": f"memory://{uuid.uuid4().hex}",
    }
    yield BlobStore(urls[request.param])
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for blobs."""
    return tmp_path / "blobs"


def stored(blobs: BlobStore) -> list[str]:
    """Return every file of the storage."""
    return sorted(blobs._fs.find(blobs._root)) if blobs._fs.exists(blobs._root) else []


def whole(stream: BinaryIO) -> bytes:
    with closing(stream):
        return stream.read()


@pytest.mark.parametrize("content", [b"", b"x", b"\0\r\n\xff" * 1000, os.urandom(3 * MIB + 7)])
def test_content_comes_back_byte_for_byte(blobs: BlobStore, content: bytes) -> None:
    blob = blobs.put(content)
    assert blob.digest == hashlib.sha256(content).hexdigest()
    assert blob.size_bytes == len(content)
    assert blobs.exists(blob.digest)
    assert blobs.read(blob.digest) == content
    assert whole(blobs.open(blob.digest)) == content


def test_stream_is_stored_to_its_end(blobs: BlobStore) -> None:
    content = os.urandom(2 * MIB + 1)
    assert blobs.read(blobs.put(io.BytesIO(content)).digest) == content


def test_ranges_are_read_alone(blobs: BlobStore) -> None:
    digest = blobs.put(bytes(range(256))).digest
    parts = [(10, 5), (250, 1 << 40), (0, 0), (300, 5), (0, 2)]
    expected = [bytes(range(10, 15)), bytes(range(250, 256)), b"", b"", b"\0\1"]
    assert blobs.read_parts(digest, parts) == expected
    assert blobs.read_parts(digest, []) == []


def test_opened_blob_can_be_sought(blobs: BlobStore) -> None:
    with closing(blobs.open(blobs.put(b"0123456789").digest)) as stream:
        stream.seek(-3, os.SEEK_END)
        assert stream.read() == b"789"
        stream.seek(2)
        assert stream.read(2) == b"23"


def test_equal_content_is_one_blob(blobs: BlobStore) -> None:
    assert blobs.put(b"same") == blobs.put(io.BytesIO(b"same"))
    assert len(stored(blobs)) == 1


def test_too_large_a_stream_is_refused_while_it_comes_and_leaves_nothing(blobs: BlobStore) -> None:
    read: list[int] = []

    class Endless(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            read.append(size)
            return b"x" * size

    with pytest.raises(Refused) as told:
        blobs.put(Endless(), limit_bytes=3 * MIB)
    assert told.value.reason == Reason.TOO_LARGE
    assert sum(read) <= 5 * MIB
    assert stored(blobs) == []


def test_content_of_exactly_the_limit_is_taken(blobs: BlobStore) -> None:
    assert blobs.put(b"x" * 100, limit_bytes=100).size_bytes == 100
    with pytest.raises(Refused):
        blobs.put(b"x" * 101, limit_bytes=100)


def test_upload_that_breaks_off_leaves_nothing(blobs: BlobStore) -> None:
    class Broken(io.BytesIO):
        def __init__(self) -> None:
            self.pieces = [b"x" * MIB]

        def read(self, size: int | None = -1, /) -> bytes:
            if not self.pieces:
                raise ConnectionResetError("the client went away")
            return self.pieces.pop()

    with pytest.raises(Exception) as told:  # noqa: PT011 - which one is the caller's affair
        blobs.put(Broken())
    assert not isinstance(told.value, StorageUnavailable), "the storage is not at fault"
    assert stored(blobs) == []


def test_what_is_not_there_is_not_found(blobs: BlobStore) -> None:
    digest = hashlib.sha256(b"never stored").hexdigest()
    assert not blobs.exists(digest)
    assert not blobs.has_named("jobs/1/report.json")
    for ask in (
        lambda: blobs.read(digest),
        lambda: blobs.read_parts(digest, [(5, 5), (7, 1)]),
        lambda: blobs.open(digest),
        lambda: blobs.open_named("jobs/1/report.json"),
    ):
        with pytest.raises(NotFound) as told:
            ask()
        assert told.value.message.endswith(".")


def test_named_file_stands_whole_after_the_block(blobs: BlobStore) -> None:
    with blobs.writing("jobs/1/report.json") as stream:
        stream.write(b"half")
        assert not blobs.has_named("jobs/1/report.json")
        stream.write(b" whole")
    assert whole(blobs.open_named("jobs/1/report.json")) == b"half whole"


def test_named_file_is_replaced_whole(blobs: BlobStore) -> None:
    for text in (b"the first, which is longer", b"second"):
        with blobs.writing("n") as stream:
            stream.write(text)
    assert whole(blobs.open_named("n")) == b"second"


def test_block_that_raises_writes_nothing_and_keeps_what_stood(blobs: BlobStore) -> None:
    with blobs.writing("n") as stream:
        stream.write(b"before")
    with pytest.raises(ZeroDivisionError), blobs.writing("n") as stream:
        stream.write(b"after" * (1 // (stream.write(b"after") - 5)))
    assert whole(blobs.open_named("n")) == b"before"
    assert len(stored(blobs)) == 1


def test_many_writers_of_one_content_make_one_whole_blob(blobs: BlobStore) -> None:
    content = os.urandom(MIB)
    digests: set[str] = set()
    threads = [
        threading.Thread(target=lambda: digests.add(blobs.put(content).digest)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 1
    assert blobs.read(digests.pop()) == content
    assert len(stored(blobs)) == 1


def test_check_leaves_nothing(blobs: BlobStore) -> None:
    blobs.check()
    assert stored(blobs) == []


def python(code: str, *arguments: str, limit: int | None = None) -> subprocess.Popen[str]:
    """Start Python code in a process of its own; ``limit`` is the largest file it may write."""
    head = "import resource, signal, sys\n"
    if limit is not None:
        head += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        head += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(code), *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_killed_writer_leaves_no_blob_and_hinders_nobody(folder: Path) -> None:
    writer = python(
        """
        from pipeline.store.blobs import BlobStore
        class Slow:
            sent = False
            def read(self, size):
                if self.sent:
                    print("half", flush=True)
                    sys.stdin.read()
                self.sent = True
                return b"x" * size
        BlobStore(sys.argv[1]).put(Slow())
        """,
        str(folder),
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "half\n"
    writer.kill()
    writer.communicate()
    blobs = BlobStore(str(folder))
    left = stored(blobs)
    assert [path for path in left if "/sha256/" in path] == []
    nameless = _open_nameless(folder)
    if nameless is not None:
        nameless.close()
        assert left == []
    blob = blobs.put(b"x" * MIB)
    assert blobs.read(blob.digest) == b"x" * MIB


def test_killed_writer_of_a_named_file_keeps_what_stood(folder: Path) -> None:
    blobs = BlobStore(str(folder))
    with blobs.writing("n") as stream:
        stream.write(b"before")
    writer = python(
        """
        from pipeline.store.blobs import BlobStore
        with BlobStore(sys.argv[1]).writing("n") as stream:
            stream.write(b"after"); stream.flush()
            print("half", flush=True)
            sys.stdin.read()
        """,
        str(folder),
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "half\n"
    writer.kill()
    writer.communicate()
    assert whole(blobs.open_named("n")) == b"before"


def test_full_disk_is_typed_and_leaves_nothing(folder: Path) -> None:
    writer = python(
        """
        from pipeline.errors import StorageUnavailable
        from pipeline.store.blobs import BlobStore
        blobs = BlobStore(sys.argv[1])
        for act in (lambda: blobs.put(b"x" * 1_000_000), lambda: write(blobs)):
            try:
                act()
            except StorageUnavailable as error:
                print(error.reason, error.message.count("\\n"))
        """.replace(
            "blobs = Blob",
            """def write(blobs):
            with blobs.writing("n") as stream:
                stream.write(b"x" * 1_000_000)
        blobs = Blob""",
        ),
        str(folder),
        limit=FSIZE_LIMIT,
    )
    told, _ = writer.communicate(timeout=30)
    assert told.splitlines() == ["storage 0", "storage 0"]
    assert stored(BlobStore(str(folder))) == []


def test_full_disk_on_its_last_bytes_is_typed(folder: Path) -> None:
    """What fits the buffers fails at the flush, not at the write."""
    writer = python(
        """
        from pipeline.errors import StorageUnavailable
        from pipeline.store.blobs import BlobStore
        try:
            BlobStore(sys.argv[1]).put(b"x" * 2000)
        except StorageUnavailable as error:
            print(error.reason)
        """,
        str(folder),
        limit=1000,
    )
    told, _ = writer.communicate(timeout=30)
    assert told.splitlines() == ["storage"]
    assert stored(BlobStore(str(folder))) == []


def test_path_that_is_no_folder_is_typed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    blobs = BlobStore(str(tmp_path / "file" / "blobs"))
    for act in (lambda: blobs.put(b"x"), blobs.check):
        with pytest.raises(StorageUnavailable):
            act()
    assert not blobs.exists(hashlib.sha256(b"x").hexdigest())


def test_read_only_folder_is_typed() -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        blobs = BlobStore(f"{place}/blobs")
        blob = blobs.put(b"before")
        with nobody_may_write(Path(place)):
            with pytest.raises(StorageUnavailable) as told:
                blobs.put(b"x")
            assert told.value.reason == Reason.STORAGE
            with pytest.raises(StorageUnavailable), blobs.writing("n") as stream:
                stream.write(b"x")
            assert blobs.read(blob.digest) == b"before"
        assert blobs.put(b"x").size_bytes == 1


@contextmanager
def nobody_may_write(place: Path) -> Iterator[None]:
    """Take the right to write below the folder away for the block, from root by being another."""
    folders = [path for path in place.rglob("*") if path.is_dir()]
    modes = [folder.stat().st_mode for folder in folders]
    for folder in folders:
        folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        for path in place.rglob("*"):
            if path.is_file():
                path.chmod(0o644)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        for folder, mode in zip(folders, modes, strict=True):
            folder.chmod(mode)


def test_storage_that_comes_back_is_used_again(folder: Path) -> None:
    blobs = BlobStore(str(folder))
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("in the way")
    with pytest.raises(StorageUnavailable):
        blobs.put(b"x")
    folder.unlink()
    assert blobs.read(blobs.put(b"x").digest) == b"x"
    assert eventually(lambda: blobs.exists(hashlib.sha256(b"x").hexdigest()), within_s=1)
