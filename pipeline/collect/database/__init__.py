"""Rows from one database to another: PostgreSQL, MySQL or MariaDB, and SQLite."""
