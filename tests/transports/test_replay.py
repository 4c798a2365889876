"""What may be answered from a recording, and what is made good afterwards. No server is loaded here."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from comet_mcp.transports import handover, replay
from comet_mcp.transports import recording as recordings
from comet_mcp.transports.handover import Handover, Recorder
from comet_mcp.transports.recording import MOST, Cache, Recording, recorded, request_in
from comet_mcp.transports.replay import Taken, _answer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is replayed there")

READY = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'


def line(method: str, number: Any = 1, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()


def opening(number: Any = 0, name: str = "a client") -> bytes:
    return line("initialize", number, clientInfo={"name": name}, capabilities={})


def answer_to(number: Any, result: str = '{"tools":[]}') -> bytes:
    return b'{"jsonrpc":"2.0","id":%s,"result":%s}\n' % (json.dumps(number).encode(), result.encode())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(handover, "_LAST_MOMENT", 20)  # however busy the machine is
    return Cache()


def record(cache: Cache, *methods: str, files: dict[str, str] | None = None, client: str = "a client") -> Recording:
    """What a start leaves in which the server has answered these methods."""
    recorder = Recorder(cache, files or {})
    for number, text in enumerate((opening(name=client), *map(line, methods, range(1, 9)))):
        recorder.read(text)
        recorder.answered(number, answer_to(number, json.dumps({"of": number})))
    recorder.end()
    request = request_in(opening(name=client))
    assert request
    found = recorded(cache.path_of(request))
    assert found
    return found


def replayed(cache: Cache, *lines: bytes) -> tuple[list[bytes], Taken]:
    """The lines that come for these while the server is being loaded, and what is handed over then."""
    (ours_in, theirs_out), (theirs_in, ours_out), (done, tell) = os.pipe(), os.pipe(), os.pipe()
    with os.fdopen(ours_in, "rb", 0) as inward, os.fdopen(ours_out, "wb", 0) as outward:
        taken = Taken((inward, outward))
        answering = threading.Thread(target=_answer, args=(taken, cache, done))
        answering.start()
        sent = b"".join(text + b"\n" for text in (*lines, b'{"last":1}'))
        os.write(theirs_out, sent)  # the last is no line of a handshake, so it ends
        answering.join(20)
        assert not answering.is_alive()
    with os.fdopen(theirs_in, "rb") as written:
        answers = written.read().splitlines(keepends=True)
    for descriptor in (theirs_out, done, tell):
        os.close(descriptor)
    assert b"".join(text + b"\n" for text in taken.lines) + taken.rest == sent
    return answers, taken


def test_an_opening_and_what_follows_is_answered_as_before_with_the_ids_of_today(cache: Cache) -> None:
    record(cache, "tools/list", "ping")
    answers, taken = replayed(cache, opening(7), READY, line("ping", "x"), line("tools/list", 8))
    assert answers == [answer_to(7, '{"of": 0}'), answer_to("x", '{"of": 2}'), answer_to(8, '{"of": 1}')]
    assert taken.rest == b'{"last":1}\n'


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([opening(name="another client")], id="another opening"),
        pytest.param([line("tools/list")], id="no opening"),
        pytest.param([READY], id="ready before the opening"),
        pytest.param([b"\xef\xbb\xbf" + opening()], id="a byte order mark"),
        pytest.param(
            [line("initialize", 0, clientInfo={"name": "a client"}, capabilities={}, more=1)], id="more in it"
        ),
        pytest.param([opening().replace(b"{", b'{"extra":1,', 1)], id="another key beside"),
        pytest.param([opening().replace(b"}", b"", 1)], id="no JSON"),
        pytest.param([opening()[:-1] + b',"id":0}'], id="an id twice"),
        pytest.param([opening().replace(b'"2.0"', b'"1.0"')], id="another version"),
        pytest.param([b"[" + opening() + b"]"], id="a batch"),
        *(
            pytest.param([opening(odd)], id=f"the id {odd!r}")
            for odd in (None, True, 1.0, 2**53, "é", "\x7f", [1], "x" * 201)
        ),
    ],
)
def test_what_was_not_asked_before_in_these_words_is_for_the_server(cache: Cache, lines: list[bytes]) -> None:
    record(cache, "tools/list")
    assert replayed(cache, *lines)[0] == []


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(opening(5), id="a second opening"),
        pytest.param(line("tools/list", 0), id="an id that was used"),
        pytest.param(line("tools/list", 5, cursor="2"), id="other parameters"),
        pytest.param(line("prompts/list", 5), id="a method that was not asked"),
        pytest.param(line("tools/call", 5, name="list_api_keys"), id="a call"),
        pytest.param(
            b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":0}}', id="a cancellation"
        ),
        pytest.param(READY.replace(b"}", b',"params":{"x":1}}'), id="ready with a word"),
        pytest.param(b'{"jsonrpc":"2.0","id":0,"result":{}}', id="an answer"),
        pytest.param(b"", id="an empty line"),
        pytest.param(line("tools/list", 5, x="y" * 70_000), id="a long line"),
    ],
)
def test_the_first_line_that_is_anything_else_ends_it_for_good(cache: Cache, after: bytes) -> None:
    record(cache, "tools/list", "ping")
    answers, taken = replayed(cache, opening(), after, line("ping", 9))
    assert answers == [answer_to(0, '{"of": 0}')]
    assert taken.lines == [opening()]


def test_no_more_lines_are_kept_than_a_handshake_has(cache: Cache) -> None:
    record(cache, "ping")
    many = [line("ping", number) for number in range(1, 500)]
    answers, taken = replayed(cache, opening(), *many)
    assert len(answers) == len(taken.lines) < 100


def test_what_a_client_does_not_read_is_left_for_the_server_to_write(cache: Cache) -> None:
    large = json.dumps("x" * 50_000)
    recorder = Recorder(cache, {})
    for number, text in enumerate([opening(), line("tools/list", 1)]):
        recorder.read(text)
        recorder.answered(number, answer_to(number, large))
    recorder.end()
    (ours_in, theirs_out), (theirs_in, ours_out), (done, tell) = os.pipe(), os.pipe(), os.pipe()
    sent = [opening(), *(line("tools/list", number) for number in range(1, 9))]
    os.write(theirs_out, b"".join(text + b"\n" for text in sent))
    with os.fdopen(ours_in, "rb", 0) as inward, os.fdopen(ours_out, "wb", 0) as outward:
        taken = Taken((inward, outward))
        answering = threading.Thread(target=_answer, args=(taken, cache, done), daemon=True)
        answering.start()
        answering.join(5)
        assert not answering.is_alive()
    with os.fdopen(theirs_in, "rb") as written:
        assert written.read() + taken.unwritten == b"".join(taken.answers.values())
    assert b"".join(text + b"\n" for text in taken.lines) + taken.rest == b"".join(text + b"\n" for text in sent)
    assert len(taken.lines) < len(sent)
    for descriptor in (theirs_out, done, tell):
        os.close(descriptor)


def test_parameters_that_are_written_in_another_order_mean_the_same(cache: Cache) -> None:
    record(cache)
    other = (
        b'{"method":"initialize","params":{"capabilities":{}, "clientInfo":{"name":"a client"}},"id":3,"jsonrpc":"2.0"}'
    )
    assert replayed(cache, other)[0] == [answer_to(3, '{"of": 0}')]


def test_true_is_not_one(cache: Cache) -> None:
    recorder = Recorder(cache, {})
    recorder.read(line("initialize", 0, x=1))
    recorder.answered(0, answer_to(0))
    recorder.end()
    assert replayed(cache, line("initialize", 0, x=1))[0]
    assert not replayed(cache, line("initialize", 0, x=True))[0]


# What makes a recording one that does not hold.


def spoil(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "half":
        path.write_bytes(content[: len(content) // 2])
    elif how == "another answer":
        path.write_bytes(content.replace(b"of", b"ov"))
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "writable by others":
        path.chmod(0o620)
    elif how == "a link":
        path.rename(path.with_name("elsewhere"))
        path.symlink_to(path.with_name("elsewhere"))
    elif how == "a folder":
        path.unlink()
        path.mkdir()
    elif how == "a pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        text = json.dumps({"odd": how}).encode()
        path.write_bytes(recordings._seal(path, text) + b"\n" + text)


@pytest.mark.parametrize(
    "how",
    ["half", "another answer", "empty", "writable by others", "a link", "a folder", "a pipe", "another form"],
)
def test_a_recording_that_is_damaged_or_may_be_somebody_elses_is_as_good_as_none(cache: Cache, how: str) -> None:
    spoil(record(cache, "tools/list").path, how)
    assert replayed(cache, opening())[0] == []


def test_a_recording_of_another_user_is_as_good_as_none(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    record(cache)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert replayed(cache, opening())[0] == []


@pytest.mark.parametrize("then", ["other", None, "a pipe"])
def test_a_recording_holds_for_the_config_files_as_they_were(cache: Cache, tmp_path: Path, then: str | None) -> None:
    config = tmp_path / "config.toml"
    config.write_text("as it was")
    record(cache, files=recordings.digests([config]))
    assert replayed(cache, opening())[0]
    config.unlink() if then != "other" else config.write_text(then)
    if then == "a pipe":
        os.mkfifo(config)
    assert replayed(cache, opening())[0] == []


def test_a_config_that_can_be_read_only_once_is_not_read_for_a_recording(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config")
    assert recordings.digests([tmp_path / "config"]) is None


@pytest.mark.parametrize("variable", ["COMETAPI_MCP_READ_ONLY", "COMETAPI_MCP_REPLAY", "PYTHONPATH", "HOME", "TZ"])
def test_a_recording_holds_for_the_variables_as_they_were(
    cache: Cache, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(cache)
    monkeypatch.setenv(variable, "1")
    assert Cache().is_empty
    assert replayed(Cache(), opening())[0] == []


@pytest.mark.usefixtures("cache")
def test_a_recording_holds_for_the_code_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "comet_mcp"
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "a.py").write_text("1")
    monkeypatch.setattr(recordings, "_SOURCES", ("made_up",))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "made_up").symlink_to(folder)
    (folder / "__init__.py").touch()
    before = Cache()
    record(before)
    assert not Cache().is_empty
    (folder / "deeper" / "a.py").write_text("22")
    assert Cache().is_empty


@pytest.mark.usefixtures("cache")
def test_a_recording_holds_for_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    record(Cache())
    (tmp_path / "pydantic-9.dist-info").mkdir()
    assert Cache().is_empty


def test_recordings_are_few_and_private(cache: Cache) -> None:
    for number in range(MOST + 3):
        record(cache, client=f"client {number}")
    files = list(cache.folder.iterdir())
    assert len(files) == MOST
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert replayed(cache, opening(name=f"client {MOST + 2}"))[0]
    assert not replayed(cache, opening(name="client 0"))[0]


def test_a_recording_under_the_name_of_another_is_as_good_as_none(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_before = record(cache).path
    monkeypatch.setenv("COMETAPI_MCP_READ_ONLY", "1")
    of_now = Cache()
    of_before.replace(record(of_now).path)
    assert replayed(of_now, opening())[0] == []


def test_what_a_client_says_of_itself_stands_in_no_recording(cache: Cache) -> None:
    path = record(cache, "tools/list", client="made-up-secret").path
    assert b"made-up-secret" not in path.read_bytes()
    assert b"made-up-secret" not in path.name.encode()


def test_a_disk_that_is_full_leaves_nothing_behind(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = record(cache)
    before = recording.path.read_bytes()

    def full(self: Path, _target: Path) -> None:
        assert self.exists()
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        recording.save()
    assert [(path, path.read_bytes()) for path in cache.folder.iterdir()] == [(recording.path, before)]


def test_what_lies_in_the_folder_beside_does_not_keep_recordings_from_being_few(cache: Cache) -> None:
    (cache.folder / "a folder").mkdir(parents=True)
    (cache.folder / "to nowhere").symlink_to("nothing")
    for path in cache.folder.iterdir():
        os.utime(path, (1, 1), follow_symlinks=False)
    for number in range(MOST + 3):
        record(cache, client=f"client {number}")
    assert len([path for path in cache.folder.iterdir() if path.is_file()]) == MOST


def test_a_user_without_a_home_is_served_without_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", no_home)
    monkeypatch.setattr(replay, "is_piped", lambda: True)
    assert replay.cache_for_this_start() is None


# What is recorded.


def test_a_client_that_asks_the_same_in_ever_other_words_fills_no_memory(cache: Cache) -> None:
    recorder = Recorder(cache, {})
    recorder.read(opening())
    recorder.answered(0, answer_to(0))
    for number in range(1, 200):
        recorder.read(line("tools/list", number, other=number))
        recorder.answered(number, answer_to(number, json.dumps("x" * 10_000)))
    assert recorder._recording
    assert sum(map(len, recorder._recording._answers.values())) < 150_000
    recorder.end()
    assert len(replayed(cache, opening(), line("tools/list", 1, other=1))[0]) == 2


def test_a_start_under_other_settings_than_those_it_was_answered_by_does_not_add_to_them(
    cache: Cache, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    of_now = recordings.digests([config])
    config.write_text("as it was")
    recording = record(cache, files=recordings.digests([config]))
    assert of_now
    recorder = Recorder(cache, of_now, recording)
    for number, text in enumerate([opening(), line("tools/list", 1)]):
        recorder.read(text)
        recorder.answered(number, answer_to(number))
    recorder.end()
    assert replayed(cache, opening(), line("tools/list", 1))[0] == []
    config.unlink()
    assert replayed(cache, opening(), line("tools/list", 1))[0] == [answer_to(0), answer_to(1)]


@pytest.mark.parametrize(
    "answer",
    [
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x"}}\n',
        b'{"id":1,"jsonrpc":"2.0","result":{}}\n',
        b'{"jsonrpc":"2.0","id":2,"result":{}}\n',
    ],
)
def test_only_a_result_to_that_very_request_is_recorded(cache: Cache, answer: bytes) -> None:
    recorder = Recorder(cache, {})
    recorder.read(opening())
    recorder.answered(0, answer_to(0))
    recorder.read(line("tools/list", 1))
    recorder.answered(1, answer)
    recorder.end()
    assert len(replayed(cache, opening(), line("tools/list", 1))[0]) == 1


def test_what_comes_after_the_handshake_is_not_recorded(cache: Cache) -> None:
    recorder = Recorder(cache, {})
    for number, text in enumerate([opening(), line("tools/call", 1), line("tools/list", 2)]):
        recorder.read(text)
        recorder.answered(number, answer_to(number))
    recorder.end()
    assert len(replayed(cache, opening(), line("tools/list", 1))[0]) == 1


def test_what_is_being_saved_when_the_connection_ends_is_waited_for(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_ending, save = threading.Event(), Recording.save

    def late(recording: Recording) -> None:
        is_ending.wait(20)
        save(recording)

    monkeypatch.setattr(Recording, "save", late)
    recorder = Recorder(cache, {})
    recorder.read(opening())
    recorder.answered(0, answer_to(0))
    recorder.read(line("tools/call", 1))
    threading.Timer(0.05, is_ending.set).start()
    recorder.end()
    assert len(replayed(cache, opening())[0]) == 1


def test_a_start_adds_to_the_recording_that_it_was_answered_from(cache: Cache) -> None:
    recorder = Recorder(cache, {}, record(cache, "ping"))
    for number, text in enumerate([opening(), line("tools/list", 1)]):
        recorder.read(text)
        recorder.answered(number, answer_to(number))
    recorder.end()
    answers, _ = replayed(cache, opening(), line("ping", 1), line("tools/list", 2))
    assert answers == [answer_to(0, '{"of": 0}'), answer_to(1, '{"of": 1}'), answer_to(2)]


# What is made good afterwards.


def handed_over(cache: Cache) -> Handover:
    record(cache, "tools/list")
    _, taken = replayed(cache, opening(), line("tools/list", 1))
    return Handover(taken, Recorder(cache, {}, taken.recording))


def test_the_server_sees_nothing_new_before_it_has_answered_what_was_answered(cache: Cache) -> None:
    handover = handed_over(cache)
    assert handover.lines == [opening(), line("tools/list", 1)]
    passes = []
    for text in handover.lines:
        passes.append(handover.lets_pass)
        handover.read(text)
    passes.append(handover.lets_pass)
    for number in (1, 0):
        assert handover.was_sent(number, answer_to(number, json.dumps({"of": number})))
        passes.append(handover.lets_pass)
    assert passes == [True, True, False, False, True]
    assert not handover.was_sent(2, answer_to(2))


def test_a_difference_is_told_and_drops_the_recording(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    handover = handed_over(cache)
    for text in handover.lines:
        handover.read(text)
    assert handover.was_sent(0, answer_to(0, '{"of": 0}'))
    assert handover.was_sent(1, answer_to(1, '{"other": 1}'))  # the client has an answer: it gets no second one
    assert "is not what this one gives" in caplog.text
    handover.end()
    assert cache.is_empty


def test_without_a_recording_everything_goes_its_way() -> None:
    handover = Handover()
    handover.read(opening())
    assert (handover.lines, handover.lets_pass, handover.was_sent(0, answer_to(0))) == ([], True, False)
    handover.end()
