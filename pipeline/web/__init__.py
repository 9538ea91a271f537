"""The HTTP side: jobs over HTTP for people and programs, and what containers call back to."""
