"""Archives from strangers, read in bounded memory: ZIP, tar and tar.gz, known by their content.

``open_archive`` refuses what is wrong with the whole; what is wrong with one entry stays with that
entry as its ``problem``, and its neighbours can be read. Nothing is ever written to disk.
"""

from pipeline.adapters.archives.bundle import write_bundle
from pipeline.adapters.archives.model import Archive, ArchiveLimits, Member, Problem
from pipeline.adapters.archives.opening import open_archive

__all__ = ["Archive", "ArchiveLimits", "Member", "Problem", "open_archive", "write_bundle"]
