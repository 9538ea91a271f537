"""A whole crawl: from the start pages to the output file, gone on with after a kill."""

from pathlib import Path
from typing import Any

from pipeline.collect.config.crawler import CrawlerConfig
from pipeline.collect.crawler import frontier
from pipeline.collect.crawler.addresses import absolute
from pipeline.collect.crawler.crawl import Crawl
from pipeline.collect.errors import CollectFailed, ConfigRefused, Stopped
from pipeline.collect.http.answer import open_client
from pipeline.collect.output import write_records
from pipeline.collect.progress import Progress
from pipeline.collect.secrets import shown
from pipeline.collect.state import State
from pipeline.collect.stopping import Stop


def crawl(
    config: CrawlerConfig,
    base_url: str | None,
    folder: Path,
    prefix: str,
    execution_id: str,
    progress: Progress,
    stop: Stop,
) -> dict[str, Any]:
    """Return the figures of a crawl whose items are in the output file.

    Raises ``CollectFailed`` where no page at all could be read, and ``Stopped``; in both cases
    the output file holds what there is, and the state goes on from there.
    """
    start_urls = _start_urls(config, base_url)
    state = State(folder, config, execution_id, frontier.TABLES)
    headers = {
        "User-Agent": config.user_agent,
        "Accept": "text/html,application/xhtml+xml,*/*;q=0.5",
    }
    try:
        if state.finished is not None:
            return state.finished
        with open_client(config.timeout_s, headers, config.concurrency + 1) as client:
            work = Crawl(config, state, client, progress, stop)
            try:
                work.run(start_urls)
            except Stopped as error:
                raise Stopped(str(error), _written(work, state, folder, prefix, config)) from None
            progress.stage("writing output")
            figures = _written(work, state, folder, prefix, config)
            if not figures["pages"]:
                raise CollectFailed(_nothing_read(figures), figures)
            state.finish(figures)
            return figures
    finally:
        state.close()


def _start_urls(config: CrawlerConfig, base_url: str | None) -> list[str]:
    given = config.target_urls or ([base_url] if base_url else [])
    urls = [absolute(base_url or "", each) for each in given]
    for told, url in zip(given, urls, strict=True):
        if url is None:
            raise ConfigRefused(f"target_urls: {shown(told)} needs a base_url, or is no URL.")
    if not urls:
        raise ConfigRefused("Give target_urls, or a base_url to start from.")
    return [url for url in urls if url is not None]


def _written(
    work: Crawl, state: State, folder: Path, prefix: str, config: CrawlerConfig
) -> dict[str, Any]:
    columns = work.extraction.columns
    name = write_records(folder, prefix, config.output_format, state.records, columns)
    return {**work.figures(), "output_files": [name]}


def _nothing_read(figures: dict[str, Any]) -> str:
    if figures["failures"]:
        return f"No page could be read; the first: {figures['failures'][0]}"
    if figures["refused_by_robots"]:
        return "No page could be read: robots.txt does not allow it (obey_robots)."
    return "No page could be read: none is of the content_types."
