"""The fixed SQL as a ZIP: only files that changed, under their own paths, in their own encoding.

Equal jobs give equal bytes: the entries' times and modes are constants.
"""

import zipfile
from typing import BinaryIO

from pipeline.kinds.sql_lint.reports.changed import changed_bytes, is_safe
from pipeline.kinds.sql_lint.reports.model import LintReport

# The earliest time that ZIP can say.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_REGULAR_FILE_0644 = 0o100644 << 16


def write(report: LintReport, out: BinaryIO) -> None:
    """Write the ZIP; memory holds one file and the names of those written."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in report.files():
            data = changed_bytes(file)
            if data is None or not is_safe(file.path):
                continue
            entry = zipfile.ZipInfo(file.path, _EPOCH)
            entry.create_system = _UNIX
            entry.external_attr = _REGULAR_FILE_0644
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
