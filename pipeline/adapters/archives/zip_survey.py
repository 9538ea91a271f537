"""What only the whole directory of a ZIP can tell, gathered record by record in little memory."""

from array import array

from pipeline.adapters.archives import refusals, zip_entry
from pipeline.adapters.archives.model import ArchiveLimits
from pipeline.adapters.archives.zip_directory import LOCAL_BYTES, Location, Record
from pipeline.errors import Refused
from pipeline.states import Reason


class Survey:
    """Counts, totals, repeated names and overlaps."""

    def __init__(self, location: Location, limits: ArchiveLimits) -> None:
        self._location = location
        self._limits = limits
        self._entries = 0
        self._total_bytes = 0
        self._encrypted = 0
        self._seen: set[int] = set()
        self._ends = array("Q")
        self.starts = array("Q")
        self.repeated: set[int] = set()
        self.files = 0

    def add(self, record: Record) -> None:
        """Counts one record in; raises ``Refused`` at the record that is too much."""
        self._entries += 1
        if self._entries > self._limits.max_entries:
            raise refusals.too_many(self._limits)
        entry = zip_entry.judge(record, self._limits)
        if 0 <= record.start < self._location.start:
            self.starts.append(record.start)
            end = record.start + LOCAL_BYTES + len(record.raw_name) + record.packed_bytes
            # No entry reaches into the directory, and ZIP64 can tell more than an array holds.
            self._ends.append(min(end, self._location.start))
        if entry.is_folder:
            return
        self.files += 1
        self._encrypted += zip_entry.is_encrypted(record)
        # Names as numbers: 200,000 of them may be 1 KB long each.
        key = hash(entry.name)
        if not entry.has_unsafe_name:
            (self.repeated if key in self._seen else self._seen).add(key)
        if entry.problem is None:
            self._total_bytes += record.size_bytes
            if self._total_bytes > self._limits.max_total_bytes:
                raise refusals.too_large(self._limits)

    def finish(self) -> None:
        """``starts`` is sorted, and the directory agrees with itself; else ``Refused``."""
        location = self._location
        told = self._entries if location.is_zip64 else self._entries & 0xFFFF
        if told != location.entries:
            raise Refused(
                f"The ZIP's directory lists {self._entries} entries and its end says "
                f"{location.entries}: the archive is damaged.",
                reason=Reason.CORRUPT,
            )
        if self.files and self._encrypted == self.files:
            raise Refused(
                "The ZIP is encrypted: pack it again without a password.", reason=Reason.ENCRYPTED
            )
        self._seen.clear()
        self._refuse_overlaps()

    def _refuse_overlaps(self) -> None:
        """Sorts the starts; a header without its extra field is the least an entry takes."""
        starts, ends = self.starts, self._ends
        free_from = 0
        for index in sorted(range(len(starts)), key=starts.__getitem__):
            if starts[index] < free_from:
                raise Refused(
                    "Entries of the ZIP share the same bytes, as bombs do: pack it again.",
                    reason=Reason.OVERLAPPING_ENTRIES,
                )
            free_from = ends[index]
        self.starts = array("Q", sorted(starts))
        self._ends = array("Q")
