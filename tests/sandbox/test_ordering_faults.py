import pytest

from comet_mcp.sandbox import CALLS, FAULTS, Fault, Sandbox
from comet_mcp.sandbox.faults import Faults


def taken(faults: Faults, call: str, times: int) -> list[str | None]:
    return [fault.fault if fault else None for fault in (faults.take(call) for _ in range(times))]


def test_a_fault_happens_once_unless_more_is_ordered() -> None:
    faults = Faults()
    faults.add("create", "garbage")
    assert taken(faults, "create", 2) == ["garbage", None]
    faults.add("create", "html", times=3)
    assert taken(faults, "create", 4) == ["html", "html", "html", None]


def test_a_fault_can_wait_for_some_requests_to_pass() -> None:
    faults = Faults()
    faults.add("list", "html", after=2, times=2)
    assert taken(faults, "list", 5) == [None, None, "html", "html", None]


def test_only_its_own_call_gets_a_fault_and_a_star_means_any() -> None:
    faults = Faults()
    faults.add("list", "html")
    faults.add("*", "garbage", times=2)
    assert taken(faults, "create", 1) == ["garbage"]
    assert taken(faults, "list", 3) == ["html", "garbage", None]


def test_every_request_counts_towards_the_wait_whatever_else_happens_to_it() -> None:
    faults = Faults()
    faults.add("list", "html", times=2)
    faults.add("list", "garbage", after=2)
    assert taken(faults, "list", 4) == ["html", "html", "garbage", None]


def test_a_star_gives_the_faults_of_creates_to_creates_only() -> None:
    faults = Faults()
    faults.add("*", "duplicate")
    assert taken(faults, "list", 1) == [None]
    assert taken(faults, "create", 1) == ["duplicate"]


def test_cleared_faults_do_not_happen() -> None:
    faults = Faults()
    faults.add("*", "html", times=9)
    assert [order.fault for order in faults.pending] == ["html"]
    faults.clear()
    assert taken(faults, "list", 1) == [None]


def test_numbers_are_values_too() -> None:
    assert Faults().add("list", "latency", value=0.5).number == 0.5
    assert Faults().add("list", "latency").number == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("create:reset_after", Fault("create", "reset_after")),
        ("*:status=503", Fault("*", "status", value="503")),
        ("list:latency=0.5*3", Fault("list", "latency", value="0.5", times=3)),
        ("create:duplicate*2", Fault("create", "duplicate", times=2)),
        ("list:redirect=http://127.0.0.1:1/a=b*c", Fault("list", "redirect", value="http://127.0.0.1:1/a=b*c")),
        ("create:refused=no: not today*2", Fault("create", "refused", value="no: not today", times=2)),
        ("create:refused=", Fault("create", "refused", value="")),
    ],
)
def test_a_fault_is_written_as_call_name_value_and_times(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("reset_after", "'reset_after' is not CALL:NAME[=VALUE][*TIMES]"),
        ("", "'' is not CALL:NAME[=VALUE][*TIMES]"),
        ("make:html", "There is no call 'make'. The calls are: create, list,"),
        (":html", "There is no call ''."),
        ("create:nonsense", "There is no fault 'nonsense'. The faults are: latency, hang,"),
        ("create:", "There is no fault ''."),
        ("list:late", "The fault late only happens to create, not to list."),
        ("list:wrong_key", "The fault wrong_key only happens to reveal and reveal_batch, not to list."),
        ("create:create_with_id=x", "The value of the fault create_with_id is an id, not 'x'."),
        ("list:html=3", "The fault html takes no value."),
        ("list:status=99", "The value of the fault status is an HTTP status from 200 to 599, not '99'."),
        ("list:status=abc", "The value of the fault status is an HTTP status from 200 to 599, not 'abc'."),
        ("list:latency=-1", "The value of the fault latency is a number of seconds, not '-1'."),
        ("list:huge=0", "The value of the fault huge is a number of MiB from 1 to 9999, not '0'."),
        ("list:html*0", "A fault happens at least once, after none or more requests."),
    ],
)
def test_what_is_no_fault_is_refused_with_what_there_is(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^.+\.$") as error:
        Fault.parse(text)
    assert f"{error.value}".startswith(sentence)


def test_the_refusal_names_every_call_and_fault() -> None:
    with pytest.raises(ValueError, match="CALL:NAME") as error:
        Fault.parse("?")
    assert all(name in f"{error.value}" for name in (*CALLS, *FAULTS))


def test_a_parsed_fault_can_be_ordered() -> None:
    sandbox = Sandbox()
    sandbox.faults.order(Fault.parse("create:html*2"))
    assert taken(sandbox.faults, "create", 3) == ["html", "html", None]
