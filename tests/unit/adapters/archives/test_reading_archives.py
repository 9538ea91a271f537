"""What a caller may count on when it reads archives."""

import io
import tarfile
import tracemalloc
import zipfile

import pytest

from pipeline.adapters.archives import Archive, ArchiveLimits, open_archive
from pipeline.errors import Permanent, Refused, StorageUnavailable
from pipeline.states import Reason
from tests.unit.adapters.archives import building as b
from tests.unit.adapters.archives.building import Tarred, Zipped, tar_of, zip_of

MIB = 1 << 20


def opened(data: bytes, limits: ArchiveLimits | None = None) -> Archive:
    return open_archive(io.BytesIO(data), limits or ArchiveLimits())


def names(archive: Archive) -> list[str]:
    return [member.name for member in archive]


@pytest.mark.parametrize(
    ("data", "known_as", "count"),
    [
        (zip_of("a.sql", Zipped("d/", b"", 0), "../x"), "zip", 2),
        (tar_of("a.sql"), "tar", None),
        (b.gzipped(tar_of("a.sql")), "tar.gz", None),
    ],
)
def test_the_format_is_known_by_content_and_a_zip_counts_its_files(
    data: bytes, known_as: str, count: int | None
) -> None:
    archive = opened(data)
    assert (archive.format, archive.count) == (known_as, count)


@pytest.mark.parametrize("pack", [zip_of, tar_of, lambda *names: b.gzipped(tar_of(*names))])
def test_members_come_in_the_order_of_the_archive_every_time(pack) -> None:
    archive = opened(pack("z.sql", "a/x.sql", "b/x.sql", "a/b.sql"))
    expected = ["z.sql", "a/x.sql", "b/x.sql", "a/b.sql"]
    assert names(archive) == expected
    assert names(archive) == expected


def test_a_zip_member_can_be_read_late_and_twice() -> None:
    archive = opened(zip_of(("a.sql", b"one"), ("b.sql", b"two")))
    first, second = list(archive)
    assert [second.read(), first.read(), first.read()] == [b"two", b"one", b"one"]


def test_a_tar_member_that_has_passed_cannot_be_read() -> None:
    first, _ = list(opened(tar_of("a.sql", "b.sql")))
    with pytest.raises(Permanent, match="passed"):
        first.read()


def test_a_tar_member_is_read_once() -> None:
    member = next(iter(opened(tar_of("a.sql"))))
    member.read()
    with pytest.raises(Permanent, match="passed"):
        member.read()


def test_a_new_pass_over_a_tar_ends_the_older_one() -> None:
    archive = opened(tar_of("a.sql", "b.sql"))
    older = iter(archive)
    member = next(older)
    assert names(archive) == ["a.sql", "b.sql"]
    with pytest.raises(Permanent, match="newer pass"):
        member.read()
    with pytest.raises(Permanent, match="newer pass"):
        next(older)


def test_tar_members_may_be_skipped_or_read_in_any_mix() -> None:
    data = b.gzipped(tar_of(*(Tarred(f"{i}.sql", b"%d" % i * 70_000) for i in range(9))))
    read = [member.read()[:1] for member in opened(data) if int(member.name[0]) % 3 == 1]
    assert read == [b"1", b"4", b"7"]


def test_the_defect_inside_an_entry_is_the_entrys_first_and_then_the_archives() -> None:
    data = b.gzipped(tar_of("a.sql", Tarred("b.sql", bytes(range(256)) * 4000)))
    members = iter(opened(data[: len(data) // 2]))
    next(members)
    with pytest.raises(Permanent) as of_entry:
        next(members).read()
    with pytest.raises(Refused) as of_whole:
        next(members)
    assert of_entry.value.reason == of_whole.value.reason == Reason.TRUNCATED


def test_a_bomb_in_a_tar_gz_costs_its_entry_only_while_it_is_small() -> None:
    packed = b.gzipped(tar_of(Tarred("bomb.sql", bytes(12 * MIB)), "good.sql"))
    found: dict[str, bytes | Reason] = {}
    for member in opened(packed):
        try:
            found[member.name] = member.read()
        except Permanent as error:
            found[member.name] = error.reason
    assert found == {"bomb.sql": Reason.TOO_LARGE, "good.sql": b"select 1\n"}


@pytest.mark.parametrize(
    "name", ["a.zip", "b/C.ZIP", "d.tar", "e.tgz", "f.sql.gz", "g.7z", "h.rar"]
)
def test_nested_archives_are_told_and_not_expanded(name: str) -> None:
    inner = zip_of("in.sql")
    (member,) = opened(zip_of((name, inner)))
    assert member.nested_archive
    assert member.read() == inner


def test_sql_is_no_nested_archive() -> None:
    (member,) = opened(zip_of("gz.sql"))
    assert not member.nested_archive


def test_a_lying_entry_costs_its_declared_size_in_memory() -> None:
    data = zip_of(Zipped("liar.sql", bytes(64 * MIB), size=10), "good.sql")
    archive = opened(data)
    tracemalloc.start()
    liar, _ = list(archive)
    with pytest.raises(Permanent) as failure:
        liar.read()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert failure.value.reason == Reason.CORRUPT
    assert peak_bytes < MIB


@pytest.mark.parametrize("kind", [b"x", b"L"])
def test_a_huge_extended_header_costs_little_memory(kind: bytes) -> None:
    body = b.header_block(b"h", b"%011o\0" % (64 * MIB), kind)
    file = io.BytesIO(b.gzipped(body + bytes(64 * MIB) + tar_of("good.sql")))
    tracemalloc.start()
    with open_archive(file, ArchiveLimits(max_ratio=10_000)) as archive:
        members = [member.problem for member in archive]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(members) == 1
    assert peak_bytes < 4 * MIB


def test_an_entry_of_the_largest_allowed_size_is_held_once() -> None:
    archive = opened(zip_of(Zipped("x.sql", b"-" * 8 * MIB, b.STORED)))
    tracemalloc.start()
    (member,) = archive
    content = member.read()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(content) == 8 * MIB
    assert peak_bytes < 10 * MIB


@pytest.mark.parametrize(("limit", "reason"), [(2000, None), (50, Reason.TOO_LARGE)])
def test_the_ratio_is_a_setting(limit: int, reason: Reason | None) -> None:
    (member,) = opened(zip_of(("x.sql", bytes(2 * MIB))), ArchiveLimits(max_ratio=limit))
    assert (member.problem and member.problem.reason) == reason


def test_depth_and_name_length_are_settings() -> None:
    data = zip_of("a/b/c.sql", "long_name.sql")
    bad = [m.name for m in opened(data, ArchiveLimits(max_depth=2)) if m.problem]
    assert bad == ["a/b/c.sql"]
    bad = [m.name for m in opened(data, ArchiveLimits(max_name_bytes=10)) if m.problem]
    assert bad == ["long_name.sql"]


def test_the_total_counts_only_what_can_be_read() -> None:
    data = zip_of(Zipped("huge.sql", size=4_000_000_000), "good.sql")
    assert names(opened(data, ArchiveLimits(max_total_bytes=100))) == ["huge.sql", "good.sql"]


def test_too_many_entries_are_refused_before_the_directory_is_read() -> None:
    class Counting(io.BytesIO):
        read_bytes = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.read_bytes += len(data)
            return data

    file = Counting(b.many_zipped(30_000))
    with pytest.raises(Refused) as refusal:
        open_archive(file, ArchiveLimits(max_entries=100))
    assert refusal.value.reason == Reason.TOO_MANY_ENTRIES
    assert file.read_bytes < 400_000


def test_a_zip_reads_as_zipfile_reads_it() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(50):
            archive.writestr(f"目录/{i}.sql", f"select {i}\n" * i * 100)
    with zipfile.ZipFile(out) as archive:
        expected = [(name, archive.read(name)) for name in archive.namelist()]
    assert [(m.name, m.read()) for m in opened(out.getvalue())] == expected


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(info)
    assert content is not None
    return content.read()


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_reads_as_tarfile_reads_it(kind: b.TarFormat) -> None:
    entries = [Tarred(f"目录/{'d/' * i}{i}.sql", b"select\n" * i * 999) for i in range(25)]
    data = tar_of(*entries, kind=kind)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [(info.name, _extracted(archive, info)) for info in archive]
    assert [(m.name, m.read()) for m in opened(data)] == expected


class Broken(io.BytesIO):
    """A file on a storage that goes away after it was opened."""

    away = False

    def read(self, size: int | None = -1) -> bytes:
        if self.away:
            raise OSError("connection reset")
        return super().read(size)


@pytest.mark.parametrize("pack", [zip_of, tar_of, lambda *names: b.gzipped(tar_of(*names))])
def test_a_storage_that_goes_away_is_no_fault_of_the_archive(pack) -> None:
    file = Broken(pack("a.sql"))
    archive = open_archive(file, ArchiveLimits())
    file.away = True
    with pytest.raises(StorageUnavailable, match="connection reset"):
        list(archive)


class OneByte(io.BytesIO):
    """A file that gives fewer bytes than asked for, as raw files may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 1, 1))


@pytest.mark.parametrize("pack", [zip_of, tar_of, lambda *names: b.gzipped(tar_of(*names))])
def test_short_reads_of_the_file_are_no_truncation(pack) -> None:
    assert [m.read() for m in open_archive(OneByte(pack("a.sql")))] == [b"select 1\n"]


def test_a_stream_is_refused() -> None:
    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(Refused, match="stream"):
        open_archive(Stream(zip_of("a.sql")))


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_a_closed_archive_is_not_read_and_the_file_stays_open(pack) -> None:
    file = io.BytesIO(pack("a.sql"))
    with open_archive(file) as archive:
        member = next(iter(archive))
    with pytest.raises(StorageUnavailable, match="closed"):
        member.read()
    assert not file.closed
