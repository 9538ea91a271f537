"""The outside world, one seam a folder: typed errors, timeouts, no knowledge of jobs."""
