"""Private RabbitMQ and PostgreSQL servers that a test may kill: nobody else's server is touched.

They are started from the installed binaries (Debian's places and PATH) on free ports, with their
data in a temporary folder, in a session of their own that is killed at the end.
"""

import gc
import getpass
import logging
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pika
import psutil
import psycopg
import pytest
from dramatiq.common import dq_name, xq_name
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from tests.support import reaper
from tests.support.waiting import eventually

S = TypeVar("S", bound="Server")

START_S = 60.0

# Ten lines and a traceback for every knock at a server that is still starting.
logging.getLogger("pika").setLevel(logging.CRITICAL)


class Server:
    """A server process of a test's own: ``start``, ``kill`` (no goodbye) and ``start`` again."""

    name = "server"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server; it answers when this returns."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                env=self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self.options(),
            )
        reaper.started(self._process.pid)
        try:
            eventually(self._settled, within_s=START_S, what=f"{self.name} answers", every_s=0.2)
            assert self._process.poll() is None, f"{self.name} ended at its start"
        except AssertionError:
            print((self.folder / "server.log").read_text(errors="replace")[-4000:])
            raise

    def _settled(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None or self.answers()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the server at once; what it had not written is lost."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)
        self._process.wait(START_S)
        reaper.ended(self._process.pid)
        self._process = None

    def restart(self) -> None:
        """Kill the server and start it again."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop the server's processes where they are: connections stay open and nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        # Not the process group: each of PostgreSQL's backends has one of its own.
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        for each in (server, *server.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                each.send_signal(number)

    def command(self) -> Sequence[str]:
        """Return the command that runs the server in the foreground."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return the server's whole environment."""
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder), "LC_ALL": "C"}

    def options(self) -> dict[str, Any]:
        """Return more options of ``Popen``."""
        return {}

    def answers(self) -> bool:
        """Tell whether clients are let in."""
        raise NotImplementedError

    def close(self) -> None:
        """End the server and whatever came with it."""
        self.kill()


class Rabbit(Server):
    """A RabbitMQ node under a name, a port mapper and a cookie of its own."""

    name = "RabbitMQ"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = binary("rabbitmq-server", "/usr/lib/rabbitmq/bin", "rabbitmq-server")
        self._control = binary("rabbitmqctl", "/usr/lib/rabbitmq/bin", "rabbitmq-server")
        self._epmd = binary("epmd", "/usr/bin", "erlang-base")
        ports = {"distribution": free_port(), "epmd": free_port()}
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "disk_free_limit.absolute = 1MB\n"
            "vm_memory_high_watermark.relative = 0.4\n"
        )
        (folder / "plugins").write_text("[].\n")
        self._environment = {
            **super().environment(),
            "RABBITMQ_NODENAME": f"quayline-{os.getpid()}-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(ports["distribution"]),
            "ERL_EPMD_PORT": str(ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            # The launcher becomes the server instead of staying beside it.
            "RUNNING_UNDER_SYSTEMD": "1",
            # Idle schedulers do not spin: the tests need the cores.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }
        reaper.clean_up(folder, [self._epmd, "-kill"], self._environment)

    @property
    def url(self) -> str:
        """The address of the node's default virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    def control(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` on the node; return what it printed."""
        done = subprocess.run(
            [self._control, "-q", *arguments],
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
        assert done.returncode == 0, f"rabbitmqctl {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def channel(self) -> AbstractContextManager[BlockingChannel]:
        """Open a channel to the node, for the block."""
        return _channel(self.url)

    def delete_queues(self, names: Iterable[str]) -> None:
        """Delete the queues with their delay and dead-letter queues, whatever is in them."""
        with self.channel() as channel:
            for name in names:
                for queue in (name, dq_name(name), xq_name(name)):
                    channel.queue_delete(queue)

    @contextmanager
    def out_of_memory(self) -> Iterator[None]:
        """Hold the memory alarm up: RabbitMQ reads nothing more from those who publish."""
        self.control("set_vm_memory_high_watermark", "0.00001")
        try:
            yield
        finally:
            self.control("set_vm_memory_high_watermark", "0.4")

    def command(self) -> Sequence[str]:
        return [self._server]

    def environment(self) -> dict[str, str]:
        return dict(self._environment)

    def answers(self) -> bool:
        parameters = pika.URLParameters(f"{self.url}?socket_timeout=5&stack_timeout=5")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            connection = pika.BlockingConnection(parameters)
            connection.channel()
            connection.close()
        except (AMQPError, OSError):
            return False
        return True

    def close(self) -> None:
        """End the node and its port mapper."""
        self.kill()
        eventually(self._mapper_ended, within_s=10, what="RabbitMQ's port mapper ended")

    def _mapper_ended(self) -> bool:
        # It does not let itself be ended while it thinks that the node lives.
        done = subprocess.run(
            [self._epmd, "-kill"],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
        return done.returncode == 0 or "Cannot connect" in done.stderr


class Postgres(Server):
    """A PostgreSQL cluster with the role ``quayline``."""

    name = "PostgreSQL"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version)
        places = str(newest[-1]) if newest else "/usr/bin"
        self._server = binary("postgres", places, "postgresql")
        self._initdb = binary("initdb", places, "postgresql")
        self._user = _unprivileged_user()
        reaper.clean_up(folder)
        if self._user != getpass.getuser():
            shutil.chown(folder, self._user, _group_of(self._user))
        how = ("-U", "quayline", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
        self._run(self._initdb, "-D", str(folder / "data"), *how)

    @property
    def url(self) -> str:
        """The address of the cluster's first database."""
        return f"postgresql://quayline@127.0.0.1:{self.port}/postgres"

    def make_database(self) -> str:
        """Return the address of a new, empty database."""
        name = f"test_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}".encode())
        return self.url.rsplit("/", 1)[0] + f"/{name}"

    def restart(self) -> None:
        """Restart in immediate mode: every connection is cut, every transaction is lost."""
        self.kill(signal.SIGQUIT)
        self.start()

    def command(self) -> Sequence[str]:
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "100",
        }
        told = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [self._server, "-D", str(self.folder / "data"), *told]

    def options(self) -> dict[str, Any]:
        if self._user == getpass.getuser():
            return {}
        return {"user": self._user, "group": _group_of(self._user), "extra_groups": []}

    def answers(self) -> bool:
        try:
            with psycopg.connect(self.url, connect_timeout=5) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def close(self) -> None:
        """End the cluster."""
        self.kill(signal.SIGQUIT)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command,
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
            **self.options(),
        )
        assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"


@contextmanager
def own_rabbit() -> Iterator[Rabbit]:
    """Yield a running RabbitMQ node; nothing of it is left afterwards."""
    with own_server("rabbitmq", Rabbit) as server:
        yield server


@contextmanager
def own_postgres() -> Iterator[Postgres]:
    """Yield a running PostgreSQL cluster; nothing of it is left afterwards."""
    with own_server("postgres", Postgres) as server:
        yield server


@contextmanager
def own_server(name: str, make: Callable[[Path], S]) -> Iterator[S]:
    """Yield a running server in a folder of its own; nothing of it is left afterwards."""
    with _folder(name) as folder:
        server = make(folder)
        try:
            server.start()
            yield server
        finally:
            server.close()


def drop_broken_connections() -> None:
    """Free the sockets of connections that could not be made: pika leaves them to the collector.

    Each would warn, in whatever test the collector happens to run.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@contextmanager
def _channel(url: str) -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection.channel()
    finally:
        connection.close()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens now."""
    # Below the ports that the kernel gives to clients: a client that knocks before the server
    # listens would now and then be given that very port and talk to itself.
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def binary(name: str, place: str, package: str) -> str:
    """Return the path of an installed program; the test fails with what to install without it."""
    found = shutil.which(name, path=place) or shutil.which(name)
    if found is None:
        pytest.fail(
            f"{name} is not installed. The fault tests start, freeze and kill servers of their own"
            f" (yours are not touched), so they need its program even where your services run in"
            f" Docker: apt-get install --no-install-recommends {package}",
            pytrace=False,
        )
    return found


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    # Not pytest's: its folders are closed to the unprivileged user that PostgreSQL insists on.
    folder = Path(tempfile.mkdtemp(prefix=f"quayline-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _version(place: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(place))]


def _unprivileged_user() -> str:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return getpass.getuser()
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid
