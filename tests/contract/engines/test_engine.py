"""What every engine does."""

from itertools import pairwise

import pytest

from pipeline.adapters.engines.errors import ImageMissing, NoSuchContainer, OutputTooLarge
from tests.contract.engines.bench import Bench, said
from tests.support.waiting import eventually

WAIT = "print('here', flush=True)\ntime.sleep(600)"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT
POLITE = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n" + WAIT


def test_engine_says_what_it_is(bench: Bench) -> None:
    told = bench.engine.ping()

    assert (told.cpus > 0, told.memory_bytes > 0, bool(told.version)) == (True, True, True)


def test_created_container_has_not_run(bench: Bench) -> None:
    spec = bench.spec("print('never')", labels={"quayline.run": "5"})

    created = bench.engine.create(spec)

    assert (created.state, created.exit_code, created.started_at) == ("created", None, None)
    assert created.labels["quayline.run"] == "5"
    assert said(bench.engine.logs(spec.name)) == b""
    assert abs(created.age_s) < 60


def test_what_is_not_there_is_not_found(bench: Bench) -> None:
    assert bench.engine.find("task-of-nobody") is None
    with pytest.raises(NoSuchContainer):
        bench.engine.start("task-of-nobody")
    with pytest.raises(NoSuchContainer):
        list(bench.engine.logs("task-of-nobody"))
    with pytest.raises(NoSuchContainer):
        list(bench.engine.outputs("task-of-nobody", limit_bytes=1))


def test_to_end_what_is_not_there_is_fine(bench: Bench) -> None:
    bench.engine.stop("task-of-nobody", grace_s=1)
    bench.engine.kill("task-of-nobody")
    bench.engine.remove("task-of-nobody")


def test_second_create_adopts_the_first(bench: Bench) -> None:
    spec = bench.spec(WAIT)
    first = bench.engine.create(spec)

    assert bench.engine.create(spec) == first

    bench.engine.start(spec.name)
    assert bench.engine.create(spec).state == "running"
    assert [seen.id for seen in bench.engine.listed()] == [first.id]


def test_second_start_starts_nothing(bench: Bench) -> None:
    name = bench.started("open('marks', 'a').write('x'); print('done')")
    ended = bench.ended(name)

    again = bench.engine.start(name)

    assert (again.state, again.finished_at) == ("exited", ended.finished_at)
    assert bench.outputs(name) == {"marks": b"x"}


@pytest.mark.parametrize("code", [0, 1, 3, 125, 126, 127])
def test_exit_code_is_the_programs(bench: Bench, code: int) -> None:
    ended = bench.ran(f"sys.exit({code})")

    assert (ended.state, ended.exit_code, ended.oom_killed) == ("exited", code, False)
    assert ended.started_at is not None
    assert ended.finished_at is not None
    assert ended.started_at <= ended.finished_at


def test_crash_is_128_and_its_signal(bench: Bench) -> None:
    ended = bench.ran("os.kill(os.getpid(), signal.SIGSEGV)")

    assert (ended.exit_code, ended.oom_killed) == (139, False)


def test_stop_lets_the_program_end_itself(bench: Bench) -> None:
    name = bench.started(POLITE)
    bench.says(name, b"here")

    bench.engine.stop(name, grace_s=20)

    assert bench.ended(name, within_s=1).exit_code == 7


def test_stop_kills_after_the_grace(bench: Bench) -> None:
    name = bench.started(DEAF)
    bench.says(name, b"here")

    bench.engine.stop(name, grace_s=1)
    bench.engine.stop(name, grace_s=1)

    assert bench.ended(name, within_s=1).exit_code == 137


def test_kill_ends_it_at_once(bench: Bench) -> None:
    name = bench.started(DEAF)
    bench.says(name, b"here")

    bench.engine.kill(name)
    bench.engine.kill(name)

    ended = bench.ended(name)
    assert (ended.exit_code, ended.oom_killed) == (137, False)


def test_signal_reaches_the_program(bench: Bench) -> None:
    name = bench.started(POLITE)
    bench.says(name, b"here")

    bench.engine.kill(name, signal="TERM")

    assert bench.ended(name).exit_code == 7


def test_listed_are_all_states(bench: Bench) -> None:
    created = bench.spec(WAIT)
    bench.engine.create(created)
    running = bench.started(WAIT)
    ended = bench.ran("sys.exit(3)").name

    found = {seen.name: seen for seen in bench.engine.listed()}

    assert {name: seen.state for name, seen in found.items()} == {
        created.name: "created",
        running: "running",
        ended: "exited",
    }
    assert found[ended].exit_code == 3
    assert found[running].labels["quayline.run"] == "1"


def test_removed_container_is_gone_also_while_it_runs(bench: Bench) -> None:
    name = bench.started(WAIT)

    bench.engine.remove(name)
    bench.engine.remove(name)

    assert bench.engine.find(name) is None
    assert bench.engine.listed() == []
    assert bench.engine.remove_leftovers() == 0


def test_name_may_be_used_again_after_removal(bench: Bench) -> None:
    spec = bench.spec("open('left', 'w').close()")
    first = bench.engine.create(spec)
    bench.engine.start(spec.name)
    bench.ended(spec.name)
    bench.engine.remove(spec.name)

    second = bench.engine.create(spec)

    assert (second.state, second.id != first.id) == ("created", True)
    assert bench.outputs(spec.name) == {}


MARK = "open('marks', 'a').write('x')"


def test_kept_output_is_where_the_next_one_begins(bench: Bench) -> None:
    name = bench.ran(MARK).name

    bench.engine.remove(name, keep_output=True)
    assert bench.engine.find(name) is None
    bench.ended(bench.started(MARK, name=name, resumes=True))

    assert bench.outputs(name) == {"marks": b"xx"}


@pytest.mark.parametrize(("keep", "resumes"), [(True, False), (False, True)])
def test_output_that_is_not_kept_or_not_asked_for_is_gone(
    bench: Bench, keep: bool, resumes: bool
) -> None:
    name = bench.ran(MARK).name

    bench.engine.remove(name, keep_output=keep)
    bench.ended(bench.started(MARK, name=name, resumes=resumes))

    assert bench.outputs(name) == {"marks": b"x"}


def test_image_that_is_missing_is_said(bench: Bench) -> None:
    spec = bench.spec("pass", image="data-collection-nothing:latest")

    with pytest.raises(ImageMissing, match="data-collection-nothing:latest"):
        bench.engine.create(spec)
    assert bench.engine.find(spec.name) is None


def test_log_keeps_streams_apart(bench: Bench) -> None:
    name = bench.ran("print('out', flush=True)\nprint('err', file=sys.stderr)").name

    assert said(bench.engine.logs(name), "stdout") == b"out\n"
    assert said(bench.engine.logs(name), "stderr") == b"err\n"


def test_log_keeps_bytes(bench: Bench) -> None:
    every = bytes(range(256))
    name = bench.ran("sys.stdout.buffer.write(bytes(range(256)))").name

    assert said(bench.engine.logs(name)) == every


def test_long_line_comes_in_pieces(bench: Bench) -> None:
    name = bench.ran("sys.stdout.write('x' * 100_000)").name

    pieces = list(bench.engine.logs(name))

    assert len(pieces) > 1
    assert said(iter(pieces)) == b"x" * 100_000


def test_log_of_100_000_lines_is_complete_and_resumes_anywhere(bench: Bench) -> None:
    code = (
        "for number in range(100_000):\n"
        "    print(number, file=sys.stdout if number % 3 else sys.stderr)"
    )
    name = bench.ran(code).name

    entries = list(bench.engine.logs(name))

    assert sorted(int(entry.data) for entry in entries) == list(range(100_000))
    stamps = [entry.timestamp for entry in entries]
    assert all(before < after for before, after in pairwise(stamps))
    for at in (50_000, 99_999):
        assert list(bench.engine.logs(name, since=stamps[at])) == entries[at + 1 :]


def test_followed_log_ends_with_the_container(bench: Bench) -> None:
    code = "for number in range(20):\n    print(number, flush=True)\n    time.sleep(0.05)"
    name = bench.started(code)

    entries = list(bench.engine.logs(name, follow=True))

    assert [int(entry.data) for entry in entries] == list(range(20))
    assert list(bench.engine.logs(name)) == entries


def test_polled_log_is_the_whole_log(bench: Bench) -> None:
    code = (
        "for number in range(2000):\n"
        "    print(number, flush=True)\n"
        "    number % 100 or time.sleep(0.1)"
    )
    name = bench.started(code)
    polled: list[bytes] = []
    since = ""

    def poll() -> bool:
        nonlocal since
        seen = bench.engine.find(name)
        for entry in bench.engine.logs(name, since=since):
            since = entry.timestamp
            polled.append(entry.data)
        return seen is not None and seen.has_ended

    eventually(poll, within_s=60)

    assert [int(line) for line in polled] == list(range(2000))


def test_outputs_are_nested_files(bench: Bench) -> None:
    code = (
        "os.makedirs('a/b'); open('a/b/c.txt', 'w').write('deep')\n"
        "open('top', 'wb').write(bytes(3)); open('empty', 'w').close(); os.mkdir('folder')\n"
        "open('名前 x.json', 'w').write('{}')"
    )
    name = bench.ran(code).name

    assert bench.outputs(name) == {
        "a/b/c.txt": b"deep",
        "top": bytes(3),
        "empty": b"",
        "名前 x.json": b"{}",
    }


def test_outputs_leave_out_links_devices_and_unsafe_names(bench: Bench) -> None:
    code = (
        "os.symlink('/etc/passwd', 'link'); os.symlink('/etc', 'folder'); os.mkfifo('pipe')\n"
        "open('new\\nline', 'w').close(); open(b'\\xff', 'w').close()\n"
        "open('back\\\\slash', 'w').close(); open('\\u202e', 'w').close()\n"
        "open('good', 'w').close()"
    )
    name = bench.ran(code).name

    assert bench.outputs(name) == {"good": b""}


def test_output_of_too_many_bytes_is_refused(bench: Bench) -> None:
    # It takes no room: most of it was never written.
    name = bench.ran("open('sparse', 'w').truncate(2**40)").name

    with pytest.raises(OutputTooLarge, match="1000 bytes"):
        bench.outputs(name, limit_bytes=1000)


def test_output_of_too_many_files_is_refused(bench: Bench) -> None:
    name = bench.ran("for number in range(11): open(str(number), 'w').close()").name

    with pytest.raises(OutputTooLarge, match="10 files"):
        bench.outputs(name, limit_files=10)
    assert len(bench.outputs(name, limit_files=11)) == 11


def test_config_is_read_and_not_written(bench: Bench) -> None:
    code = (
        "text = pathlib.Path(os.environ['CONFIG_PATH']).read_text()\n"
        "pathlib.Path('copy').write_text(text)"
    )
    spec = bench.spec(code)
    bench.engine.create(spec)
    bench.engine.start(spec.name)
    bench.ended(spec.name)

    assert bench.outputs(spec.name)["copy"] == spec.config


def test_log_is_bounded(bench: Bench) -> None:
    code = "for number in range(30_000): print(f'{number:099}')"
    name = bench.ran(code, log_bytes=400_000).name

    entries = list(bench.engine.logs(name))

    assert len(said(iter(entries))) <= 400_000
    numbers = [int(entry.data) for entry in entries]
    assert numbers == list(range(numbers[0], 30_000))
    assert len(numbers) > 1000


def test_other_deployments_are_not_seen(bench: Bench, deployment: str) -> None:
    spec = bench.spec(WAIT, labels={"quayline.deployment": "another"})

    created = bench.engine.create(spec)

    assert created.labels["quayline.deployment"] == deployment
