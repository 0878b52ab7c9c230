"""A stable name for the current night: the view `scores.<model>_current`, in a catalog that keeps views."""

from __future__ import annotations

from scorelake.stores.lake import Lake


def refresh(lake: Lake, model: str) -> None:
    """Make the view of the rows served on the newest night, if the lake has a catalog and the view is not there.

    Below a plain `lake.root` there is nowhere to keep a view: readers write its two lines themselves (README).
    """
    name = f"scores.{model}_current"
    if not lake.settings.catalog or lake.spark.catalog.tableExists(lake.identifier(name)):
        return
    table = lake.identifier(f"scores.{model}")
    newest = f"SELECT max(score_date) FROM {table} WHERE served"
    lake.spark.sql(
        f"CREATE VIEW IF NOT EXISTS {lake.identifier(name)} AS\n"
        f"SELECT * FROM {table} WHERE served AND score_date = ({newest})"
    )
