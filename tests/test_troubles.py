"""Errors of machines are told in one line, with what to do, and without values of rows."""

from __future__ import annotations

import pytest

from scorelake.troubles import told

BURIED = """An error occurred while calling o97.saveAsTable.
: org.apache.spark.SparkException: [DELTA_REPLACE_WHERE_MISMATCH] row of Jane Doe
\tat org.apache.spark.sql.Something
Caused by: java.io.IOException: {cause}
\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)
"""


class Py4JJavaError(Exception):
    """What py4j raises looks like this from outside."""


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        ("No space left on device", "a disk is full: make room"),
        ("java.lang.OutOfMemoryError: Java heap space", "out of memory: raise spark.driver.memory"),
        ("Lost executor 2 on 10.0.0.7", "a worker was lost"),
        ("Connection refused", "a service cannot be reached"),
    ],
)
def test_a_buried_trouble_is_told_with_what_to_do(cause: str, advice: str) -> None:
    line = told(Py4JJavaError(BURIED.format(cause=cause)))
    assert line.startswith(f"Py4JJavaError: java.io.IOException; {advice}")
    assert "\n" not in line


def test_values_in_texts_of_the_jvm_are_not_told() -> None:
    assert told(Py4JJavaError(BURIED.format(cause="value 17 of Jane Doe"))) == "Py4JJavaError: java.io.IOException"


def test_a_trouble_may_be_the_cause_of_another_error() -> None:
    error = ValueError("cannot write\nmore")
    error.__cause__ = OSError(28, "No space left on device")
    assert told(error).startswith("ValueError: cannot write; a disk is full")


def test_anything_else_is_its_type_and_first_line() -> None:
    assert told(KeyError()) == "KeyError"
    assert told(ValueError("a\nb")) == "ValueError: a"


def test_an_error_that_is_its_own_cause_is_told_once() -> None:
    error = ValueError("a")
    error.__cause__ = error
    assert told(error) == "ValueError: a"
