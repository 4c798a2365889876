"""`cometapi-mcp usage`: bars, tables, JSON and CSV of what was spent."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from comet_mcp.clock import SYSTEM
from tests.e2e.steps import served
from tests.services.spend import DAY, many, spent
from tests.support import Home, data_of, in_process

MakeHome = Callable[..., Home]
USD = 500_000


@pytest.fixture
def home(make_home: MakeHome) -> Home:
    home = make_home(dialect="gateway", COMETAPI_MCP_TIMEZONE="UTC")
    blog, shop = (home.sandbox.add_key(name, unlimited_quota=True) for name in ("blog", "=shop\x1b[2J"))
    for ago, key, model, usd in ((3 * DAY, blog, "gpt-4o", 1), (2 * DAY, shop, "o3", 4), (60, blog, "o3", 0.5)):
        spent(home.sandbox, key.id, model, int(usd * USD), ago, token_name=key.name)
    return home


def usage(home: Home, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return in_process("usage", "--span", "last 5 days", *arguments, environment=home.environment, **options)


def test_it_draws_bars_by_day_and_tables_by_key_and_model(home: Home) -> None:
    done = usage(home)
    assert done.returncode == 0, done.stderr
    assert "$5.50 in 3 calls" in done.stdout
    bars = re.findall(r"^\w{3} \d{4}-\d\d-\d\d +(\$[\d.]+) *(█*)$", done.stdout, re.MULTILINE)
    assert [cost for cost, _ in bars] == ["$0.00", "$1.00", "$4.00", "$0.00", "$0.50"]
    assert [len(bar) for _, bar in bars] == [0, 10, 40, 0, 5]
    assert re.search(r"^=shop\\u001b\[2J \(id 2\) +\$4\.00 +73% +1$", done.stdout, re.MULTILINE)
    assert re.search(r"^o3 +\$4\.50 +82% +2$", done.stdout, re.MULTILINE)
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_the_sum_agrees_with_the_lines_below_it_and_with_the_tools(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_TIMEZONE="UTC")
    spent(home.sandbox, home.sandbox.add_key("blog").id, "gpt-4o", 5_989_514, 60, token_name="blog")
    done = usage(home)
    assert re.findall(r"\$[1-9][\d.]*", done.stdout) == ["$11.98"] * 4, "in all, by day, key and model"

    async def told() -> Any:
        async with served(home) as client:
            return data_of(await client.call_tool("get_usage", {"span": "last 5 days", "by": "key"}))

    report = anyio.run(told)
    assert (report["total"], report["items"][0]["cost"]) == ("$11.98", "$11.98")


def test_a_terminal_without_blocks_gets_other_bars(home: Home) -> None:
    assert "#" * 40 in usage(home, encoding="ascii").stdout


def test_one_table_is_cut_after_so_many_lines_with_the_rest(home: Home) -> None:
    done = usage(home, "--by", "key,model", "--top", "1")
    assert re.search(r"^2 more +\$1\.50 +27% +2$", done.stdout, re.MULTILINE)


def test_one_key_is_shown_by_its_name_or_id(home: Home) -> None:
    by_name, by_id = (json.loads(usage(home, "--json", "--key", key).stdout) for key in ("blog", "1"))
    assert {**by_name, "end": 0} == {**by_id, "end": 0}
    assert (by_name["cost_usd"], by_name["units"], by_name["calls"]) == (1.5, 750_000, 2)
    assert by_name["by_key"] == [{"key_id": 1, "key": "blog", "cost_usd": 1.5, "units": 750_000, "calls": 2}]
    assert usage(home, "--key", "nobody").returncode == 1


def test_csv_is_read_by_others_and_holds_no_formula(home: Home) -> None:
    rows = list(csv.DictReader(usage(home, "--csv", "--by", "key,day").stdout.splitlines()))
    assert [(row["key_id"], row["cost_usd"]) for row in rows] == [("2", "4.0"), ("1", "1.0"), ("1", "0.5")]
    assert rows[0]["key"].startswith("'=shop")
    days = [row["day"] for row in csv.DictReader(usage(home, "--csv").stdout.splitlines())]
    assert days == sorted(days)


def test_the_span_before_is_told_beside_it(home: Home) -> None:
    now = SYSTEM.now()
    for ago, usd in ((0, 1), (100 * DAY, 2)):
        spent(home.sandbox, 1, "gpt-4o", usd * USD, ago + 60)
    span = f"since {datetime.fromtimestamp(now - 99 * DAY, UTC):%Y-%m-%d}"
    done = in_process("usage", "--span", span, environment=home.environment)
    assert re.search(r"^Before: \$2\.00 \(", done.stdout, re.MULTILINE)


def test_a_long_span_has_a_bar_for_each_month(home: Home) -> None:
    done = in_process("usage", "--span", "last 100 days", environment=home.environment)
    assert len(re.findall(r"^\d{4}-\d\d +\$", done.stdout, re.MULTILINE)) in (4, 5)


def test_what_could_not_be_read_is_told_and_is_a_failure(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway-2026-03", COMETAPI_MCP_CALLS="60")
    many(home.sandbox, 3000, every=60)
    done = usage(home, "--by", "key", "--json")
    assert done.returncode == 1
    assert "are not in these sums" in done.stderr
    assert json.loads(done.stdout)["notes"] != []


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--json", "--csv"], 2, "two forms"),
        (["--by", "user"], 1, '"key,day"'),
        (["--span", "lately"], 1, '"last 7 days"'),
        (["--top", "0"], 2, "--top"),
    ],
)
def test_a_wrong_command_is_told_what_is_right(home: Home, arguments: list[str], status: int, said: str) -> None:
    done = usage(home, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
