"""One Spark session for the whole suite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scorelake import session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


pytest_plugins = ["tests.shop.night"]

IN_THE_SHOP = ("tests/test_notebooks.py", "tests/test_readme.py")
"""Files beside those of `tests/jobs` that ask for the shop."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Processes side by side take whole folders; what asks for the shop, whose life takes minutes, is one of them."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFolder(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "tests/jobs" if file in IN_THE_SHOP else file.rpartition("/")[0]

    return ByFolder(config, log)


@pytest.fixture(autouse=True)
def environment_stays() -> Iterator[None]:
    """Jobs export settings to this process; no test may see those of another."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1] / "lib")  # Python workers, as --py-files would
    warehouse = tmp_path_factory.mktemp("warehouse")
    spark = session.start(
        "scorelake-tests",
        master="local[2,4]",
        conf={
            "spark.sql.warehouse.dir": str(warehouse),
            "spark.driver.memory": "3g",
            # The first compiler alone halves the suite's start-up; it would also shrink the code cache to 48 MB, which
            # a suite fills: then the JVM stops compiling, and ends with a VirtualMachineError.
            "spark.driver.extraJavaOptions": (
                "-Duser.timezone=UTC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
            ),
        },
    )
    spark.sparkContext.setLogLevel("ERROR")
    yield spark
    spark.stop()
