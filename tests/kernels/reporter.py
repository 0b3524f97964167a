"""A plugin for the pytest inside: each verdict at once, as one JSON line."""

import json

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call" and report.outcome == "passed":
        return
    detail = str(report.longrepr)[-3_000:] if report.longrepr else ""
    print(
        json.dumps({"test": report.nodeid, "outcome": report.outcome, "detail": detail}), flush=True
    )


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        line = {"test": report.nodeid, "outcome": "failed", "detail": str(report.longrepr)[-3_000:]}
        print(json.dumps(line), flush=True)
