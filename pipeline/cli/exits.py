"""The exit codes, as SQLFluff's; scripts and CI rely on them."""

#: The gate passed.
CLEAN = 0
#: The gate failed.
FAILED = 1
#: The tool could not do it: bad option, no such file, nothing linted, a server away.
UNABLE = 2
#: What a signal ends is this plus the signal's number: 130 for Ctrl-C, 143 for SIGTERM.
SIGNAL = 128
