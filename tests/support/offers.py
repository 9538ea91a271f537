"""Services for tests: quick, slow, failing, hungry and deadly ones."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from pydantic import BaseModel

from pipeline.kinds.service import Limits, Rejected, RetryLater, service

_never = threading.Event()


def _pause(seconds):
    _never.wait(seconds)


class Text(BaseModel):
    text: str


class Words(BaseModel):
    words: int


@service("test", "text", input=Text, output=Words)
class TextService:
    """Counts words.

    And nothing else.
    """

    def count(self, input_data, context):
        return {"words": len(input_data.text.split())}

    async def count_later(self, input_data, context):
        await asyncio.sleep(0)
        return Words(words=len(input_data.text.split()))

    def misfit(self, input_data, context):
        return {"words": "many"}

    def _hidden(self, input_data, context):
        return {"words": 0}


@service("test", "any")
class AnyService:
    """Takes tasks of any name."""

    def echo(self, input_data, context):
        return {"input": input_data, "context": context.get("language"), "user": context.user_id}

    def needs(self, input_data, context):
        return {"given": input_data, "needs": context.needs}

    def fail(self, input_data, context):
        raise ValueError(input_data.get("why", "It did not work"))

    def reject(self, input_data, context):
        raise Rejected("This text is not taken.")

    def strange(self, input_data, context):
        return {1, 2}

    def large(self, input_data, context):
        return "x" * input_data["bytes"]

    def away(self, input_data, context):
        """Fails until its file says that it was called so often."""
        path = Path(input_data["path"])
        with path.open("a") as log:
            log.write(".")
        if len(path.read_text()) < input_data["until"]:
            raise ConnectionError("away")
        return {"calls": len(path.read_text())}

    def later(self, input_data, context):
        if context.attempt < 2:
            raise RetryLater("Not now.", after_s=0.1)
        return {"attempt": context.attempt}

    def tell(self, input_data, context):
        context.progress(0.5, "half", done=3)
        context.partial("Hello, ")
        context.partial("world")
        context.note_model("small", input_tokens=10, output_tokens=2)
        context.note_model("small", input_tokens=1, output_tokens=1)
        with context.open("notes.txt", "w") as notes:
            notes.write("x")
        return {"folder": str(context.folder)}

    async def traced(self, input_data, context):
        from opentelemetry import trace

        return f"{trace.get_current_span().get_span_context().span_id:016x}"

    def escape(self, input_data, context):
        context.open("../outside", "w")

    def wait(self, input_data, context):
        """Waits until it is told to stop, and says so."""
        Path(input_data["path"]).write_text(str(os.getpid()))
        while not context.cancelled():
            _pause(0.01)
        return "stopped"

    async def wait_async(self, input_data, context):
        Path(input_data["path"]).write_text("begun")
        try:
            await asyncio.sleep(600)
        finally:
            Path(input_data["path"]).write_text("cancelled")

    def execute_task(self, task_name, input_data, context):
        return {"general": task_name}


@service("test", "stubborn", limits=Limits(soft_time_limit_s=0.2, time_limit_s=0.5))
class StubbornService:
    """Does not listen."""

    def sleep(self, input_data, context):
        _pause(input_data.get("seconds", 30))

    async def sleep_async(self, input_data, context):
        await asyncio.sleep(600)

    def soft(self, input_data, context):
        while not context.cancelled():
            _pause(0.01)
        return "what there was"


@service("test", "deaf", limits=Limits(soft_time_limit_s=0.1, time_limit_s=60.0))
class DeafService:
    """Hears nothing, and has much time."""

    def sleep(self, input_data, context):
        Path(input_data["path"]).touch()
        _pause(60)


@service("test", "narrow", limits=Limits(concurrency=2))
class NarrowService:
    """Writes into a folder who is inside, and how many that are."""

    def enter(self, input_data, context):
        folder = Path(input_data["folder"])
        mine = folder / f"in-{context.task_id}-{context.attempt}"
        mine.touch()
        inside = len(list(folder.glob("in-*")))
        _pause(input_data.get("seconds", 0.05))
        mine.unlink()
        with (folder / "seen").open("a") as seen:
            seen.write(f"{os.getpid()} {inside}\n")
        return {"inside": inside}


@service("test", "slowed", limits=Limits(rate_per_s=10))
class SlowedService:
    """Tells when it was called."""

    def call(self, input_data, context):
        return {"at": time.time()}


@service("test", "shared", limits=Limits(max_attempts=2))
class SharedService:
    """The first call is told to come later; no other may come before."""

    def call(self, input_data, context):
        path = Path(input_data["path"])
        with path.open("a") as log:
            log.write(f"{time.time()}\n")
        if len(path.read_text().splitlines()) == 1:
            raise RetryLater("Too many requests.", after_s=2.0, shared=True)
        return {}


@service("test", "heavy", heavy=True, limits=Limits(time_limit_s=20.0))
class HeavyService:
    """Runs in a process of its own."""

    def where(self, input_data, context):
        print("a line on standard output")
        return {"pid": os.getpid(), "folder": str(context.folder)}

    def steps(self, input_data, context):
        """Goes on from its checkpoint; each step is told in a file."""
        begun = context.checkpoint["step"] if context.checkpoint else 0
        for step in range(begun, input_data["steps"]):
            with Path(input_data["path"]).open("a") as log:
                log.write(f"{context.attempt}:{step}\n")
            context.save_checkpoint({"step": step + 1})
            context.progress((step + 1) / input_data["steps"], f"step {step}")
            context.partial(f"{step} ")
            context.note_model("small", input_tokens=1, output_tokens=1)
            _pause(input_data.get("pause_s", 0.05))
        return {"attempt": context.attempt}

    def pieces(self, input_data, context):
        """Goes on in another run after each piece, as long work does."""
        done = context.checkpoint or 0
        if done < input_data["pieces"]:
            context.save_checkpoint(done + 1)
            raise RetryLater("The next piece", after_s=0.0)
        return {"pieces": done}

    def hang(self, input_data, context):
        """Never ends, nor does what it has started."""
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(input_data["path"]).write_text(f"{os.getpid()} {child.pid}")
        while True:
            _pause(10)

    def traced(self, input_data, context):
        return os.environ.get("TRACEPARENT")

    def crash(self, input_data, context):
        os.kill(os.getpid(), signal.SIGSEGV)

    def leave(self, input_data, context):
        os._exit(3)

    def eat(self, input_data, context):
        kept = []
        while True:
            kept.append(bytearray(16 * 1024 * 1024))
            _pause(0.01)

    def fail(self, input_data, context):
        raise ValueError("It did not work")

    async def later(self, input_data, context):
        await asyncio.sleep(0.01)
        return "async"


@service("test", "brief", heavy=True, limits=Limits(time_limit_s=3.0, max_attempts=1))
class BriefService(HeavyService):
    """The same, with little time; its process starts within that, too."""


@service("test", "once", heavy=True, limits=Limits(time_limit_s=60.0, max_attempts=1))
class OnceService(HeavyService):
    """The same, with all the time that a busy machine takes to start it, and one try."""


@service("test", "single", heavy=True, limits=Limits(concurrency=1, time_limit_s=4.0))
class SingleService(HeavyService):
    """The same, one after the other."""


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@service("test", "hostile", limits=Limits(time_limit_s=30.0, max_attempts=1))
class HostileService:
    """What a service may do wrong."""

    def flood(self, input_data, context):
        for number in range(100_000):
            context.progress(number / 100_000, "on the way")
        for _ in range(2000):
            context.partial("x" * 500)
        return "done"

    def surrogate(self, input_data, context):
        context.partial("half \ud800 and \0")
        context.progress(float("nan"), "\0\ud800")
        return {"text": "half \ud800 and \0", "number": 2**70}

    def deep(self, input_data, context):
        value: list = []
        for _ in range(100_000):
            value = [value]
        return value

    def interrupt(self, input_data, context):
        raise KeyboardInterrupt

    def exit(self, input_data, context):
        sys.exit("bye")

    def unspeakable(self, input_data, context):
        raise Unspeakable

    def long_error(self, input_data, context):
        raise ValueError("\0" + "x" * 100_000)

    def large_checkpoint(self, input_data, context):
        context.save_checkpoint("x" * 2_000_000)

    def threads(self, input_data, context):
        def tell():
            for number in range(200):
                context.progress(number / 200)
                context.note_model("m", input_tokens=1, output_tokens=1)

        several = [threading.Thread(target=tell) for _ in range(5)]
        for each in several:
            each.start()
        for each in several:
            each.join()
        return "done"

    def after_the_end(self, input_data, context):
        def late():
            _pause(0.3)
            context.partial("late")
            context.progress(1.0)

        threading.Thread(target=late, daemon=True).start()
        return "done"


@service("test", "unborn")
class UnbornService:
    """Cannot be made."""

    def __init__(self):
        raise OSError("no licence")

    def call(self, input_data, context):
        return None
