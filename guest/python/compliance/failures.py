"""Plugin of pytest that knows the failures of `failures.toml`, and reports them as expected failures with their reasons."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

found: Counter[str] = Counter()


@cache
def known(config: pytest.Config) -> dict[str, Any]:
    """Returns the failures and the least number of passed tests on this engine."""
    engine = config.getoption("dburi")[0].partition("+")[0]
    table: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())[engine]
    return table


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and call.excinfo is not None:
        # Without the name of the engine, which is a part of the name of the class.
        name = re.sub(r"_\w+\+remote\w*::", "::", item.nodeid)
        for reason in known(item.config).get("failures", []):
            error = re.search(reason.get("error", ""), str(call.excinfo.value))
            if error is not None and re.search(reason.get("test", ""), name) is not None:
                found[reason["reason"]] += 1
                report.outcome = "skipped"
                report.wasxfail = reason["reason"]
                break
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for reason, count in found.most_common():
        terminalreporter.write_line(f"{count:4} {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    passed, least = len(reporter.stats.get("passed", [])), known(session.config)["passed"]
    if passed < least and not session.config.getoption("keyword"):
        reporter.write_line(f"\nonly {passed} tests passed, at least {least} are expected")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
