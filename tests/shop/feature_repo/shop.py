"""Customers of the shop, known by country and code together."""

from datetime import timedelta
from typing import Any

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.aggregation import Aggregation
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Bool, Float64, Int32, String

from scorelake.feature_store.source import LakeSource

DAY = timedelta(days=1)

country = Entity(name="country", join_keys=["country"], value_type=ValueType.STRING)
customer = Entity(name="customer", join_keys=["customer_code"], value_type=ValueType.STRING)

customer_sales = FeatureView(
    name="customer_sales",
    entities=[country, customer],
    source=LakeSource(
        name="sales_of_customers",
        table="silver.sales",
        aggregations=[
            Aggregation(column="*", function="count", time_window=30 * DAY, name="sale_count_30d"),
            Aggregation(column="*", function="count", time_window=200 * DAY, name="sale_count_200d"),
            Aggregation(column="amount", function="sum", time_window=30 * DAY, name="amount_sum_30d"),
            Aggregation(column="amount", function="sum", time_window=200 * DAY, name="amount_sum_200d"),
            Aggregation(column="amount", function="mean", time_window=200 * DAY, name="amount_mean_200d"),
            Aggregation(column="amount", function="max", time_window=200 * DAY, name="amount_max_200d"),
            Aggregation(column="amount", function="stddev", time_window=200 * DAY, name="amount_stddev_200d"),
            Aggregation(column="amount", function="last", name="last_amount"),
            Aggregation(column="quantity", function="sum", time_window=90 * DAY, name="quantity_sum_90d"),
            Aggregation(column="größe", function="count_distinct", time_window=200 * DAY, name="size_count_200d"),
            Aggregation(column="*", function="age", time_window=200 * DAY, name="sale_recency"),
        ],
    ),
)

customer_visits = FeatureView(
    name="customer_visits",
    entities=[country, customer],
    source=LakeSource(
        name="visits_of_customers",
        table="silver.events",
        aggregations=[
            Aggregation(column="*", function="count", time_window=28 * DAY, name="visit_count_28d"),
            Aggregation(column="pages", function="sum", time_window=28 * DAY, name="pages_sum_28d"),
            Aggregation(column="device", function="last", time_window=90 * DAY, name="last_visit_device"),
        ],
    ),
)

customer_profile = FeatureView(
    name="customer_profile",
    entities=[country, customer],
    # Said here, since all columns would be taken otherwise: the personal one stays out of every store.
    schema=[
        Field(name="segment", dtype=String),
        Field(name="birth_year", dtype=Int32),
        Field(name="newsletter", dtype=Bool),
    ],
    source=LakeSource(name="customers", table="silver.customers"),
)

country_sales = FeatureView(
    name="country_sales",
    entities=[country],
    source=LakeSource(
        name="sales_of_countries",
        table="silver.sales",
        aggregations=[
            Aggregation(column="amount", function="sum", time_window=28 * DAY, name="country_amount_sum_28d")
        ],
    ),
)


@on_demand_feature_view(
    sources=[customer_sales[["sale_count_200d", "sale_recency"]]],
    schema=[Field(name="sale_overdue_ratio", dtype=Float64)],
    mode="python",
)
def customer_ratios(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """1 when the customer has been away for the usual time between two sales."""
    pairs = zip(inputs["sale_recency"], inputs["sale_count_200d"], strict=True)
    return {"sale_overdue_ratio": [None if age is None else age * count / (200 * 86400) for age, count in pairs]}


shop_v1 = FeatureService(
    name="shop_v1",
    features=[
        customer_sales,
        customer_visits,
        customer_profile,
        country_sales,
        customer_ratios,
    ],
)
