from datetime import timedelta

from entities import meter, site
from feast import FeatureView, PushSource
from feast.aggregation import Aggregation

from scorelake.feature_store.source import LakeSource

DAY = timedelta(days=1)

meter_state = FeatureView(
    name="meter_state",
    entities=[site, meter],
    tags={"history": "keep"},
    ttl=30 * DAY,
    source=PushSource(
        name="meter_push",
        batch_source=LakeSource(name="meters", table="silver.water_meters", field_mapping={"kind": "meter_kind"}),
    ),
)

meter_use = FeatureView(
    name="meter_use",
    entities=[site, meter],
    source=LakeSource(
        name="readings_by_meter",
        table="silver.water_readings",
        aggregations=[
            Aggregation(column="litres", function="sum", time_window=7 * DAY, name="litres_7d"),
            Aggregation(column="*", function="count", time_window=7 * DAY, name="readings_7d"),
            Aggregation(column="price", function="sum", time_window=7 * DAY, name="paid_7d"),
            Aggregation(column="price", function="mean", name="price_mean"),
            Aggregation(column="note", function="last", name="last_note"),
            Aggregation(column="note", function="first", time_window=7 * DAY, name="first_note_7d"),
            Aggregation(column="note", function="count_distinct", name="notes"),
            Aggregation(column="flow", function="max", time_window=7 * DAY, name="flow_max_7d"),
            Aggregation(column="flow", function="min", name="flow_min"),
            Aggregation(column="flow", function="stddev", name="flow_stddev"),
            Aggregation(column="flow", function="variance", name="flow_variance"),
            Aggregation(function="age", name="last_reading_age"),
            Aggregation(column="litres", function="mean", time_window=timedelta(seconds=90)),
        ],
    ),
)

site_use = FeatureView(
    name="site_use",
    entities=[site],
    source=LakeSource(
        name="readings_by_site",
        table="silver.water_readings",
        aggregations=[Aggregation(column="litres", function="sum", time_window=28 * DAY, name="site_litres_28d")],
    ),
)

tariff = FeatureView(
    name="tariff", tags={"history": "keep"}, source=LakeSource(name="tariffs", table="gold.water_tariffs")
)
