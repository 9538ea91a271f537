"""The config documents of the three collectors; importing them takes pydantic alone."""

from pipeline.collect.config.api import ApiConfig
from pipeline.collect.config.crawler import CrawlerConfig
from pipeline.collect.config.database import DatabaseConfig
from pipeline.collect.config.document import TaskDocument
from pipeline.collect.config.storage import StorageConfig

__all__ = ["ApiConfig", "CrawlerConfig", "DatabaseConfig", "StorageConfig", "TaskDocument"]
