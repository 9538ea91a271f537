"""The timetable as data and the one loop that rings: ``python -m schedules``."""
