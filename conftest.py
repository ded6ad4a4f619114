"""nbval: a claim that is not run for want of data is skipped with that reason, not reported as changed."""

import re

import pytest

NOT_RUN = re.compile(r"^\[not run\] (\S+) \((.*not available.*)\)$", re.MULTILINE)


def texts(outputs):
    """What a cell shows as text, one entry an output."""
    return [str(output.get("data", {}).get("text/plain") or output.get("text") or "") for output in outputs or []]


def missing_data(fresh, committed):
    """The reason why claims of a cell could not be judged here, or None if there is none or something else changed."""
    absent = {claim: reason for text in texts(fresh) for claim, reason in NOT_RUN.findall(text)}
    names = re.compile("|".join(rf"\[[a-z ]+\] {re.escape(claim)}(?: .*)?" for claim in absent))
    rest = [[text for text in texts(outputs) if not names.fullmatch(text)] for outputs in (fresh, committed)]
    return "; ".join(absent.values()) if absent and rest[0] == rest[1] else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Turn nbval's failure into a skip where missing data are all that differs."""
    try:
        return (yield)
    except Exception:
        reason = missing_data(
            getattr(item, "test_outputs", None), getattr(getattr(item, "cell", None), "outputs", None)
        )
        if reason:
            pytest.skip(reason)
        raise
