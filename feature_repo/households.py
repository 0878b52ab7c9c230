"""What is known of a household at an instant: its baskets, coupons and campaigns."""

from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureView, Field, ValueType
from feast.aggregation import Aggregation
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int32, String

from scorelake.feature_store.source import LakeSource

WEEK, MONTH, QUARTER = timedelta(days=7), timedelta(days=28), timedelta(days=84)

household = Entity(
    name="household",
    join_keys=["household_id"],
    value_type=ValueType.INT64,
    description="Holder of a loyalty card, under a pseudonym.",
)

household_baskets = FeatureView(
    name="household_baskets",
    entities=[household],
    source=LakeSource(
        name="basket_lines",
        table="silver.transactions",
        aggregations=[
            Aggregation(column="basket_id", function="count_distinct", time_window=WEEK, name="basket_count_7d"),
            Aggregation(column="basket_id", function="count_distinct", time_window=MONTH, name="basket_count_28d"),
            Aggregation(column="basket_id", function="count_distinct", time_window=QUARTER, name="basket_count_84d"),
            Aggregation(column="shop_week", function="count_distinct", time_window=QUARTER, name="week_count_84d"),
            Aggregation(column="store_id", function="count_distinct", time_window=QUARTER, name="store_count_84d"),
            Aggregation(column="product_id", function="count_distinct", time_window=QUARTER, name="product_count_84d"),
            Aggregation(column="department", function="count_distinct", time_window=MONTH, name="department_count_28d"),
            Aggregation(
                column="department", function="count_distinct", time_window=QUARTER, name="department_count_84d"
            ),
            Aggregation(column="*", function="count", time_window=MONTH, name="line_count_28d"),
            Aggregation(column="sales_value", function="sum", time_window=MONTH, name="spend_28d"),
            Aggregation(column="sales_value", function="sum", time_window=QUARTER, name="spend_84d"),
            Aggregation(column="sales_value", function="max", time_window=QUARTER, name="line_value_max_84d"),
            Aggregation(column="retail_disc", function="sum", time_window=QUARTER, name="retail_discount_84d"),
            Aggregation(column="coupon_disc", function="sum", time_window=QUARTER, name="coupon_discount_84d"),
            Aggregation(column="*", function="age", time_window=QUARTER, name="basket_recency"),
        ],
    ),
)

household_redemptions = FeatureView(
    name="household_redemptions",
    entities=[household],
    source=LakeSource(
        name="coupon_redemptions",
        table="silver.coupon_redemptions",
        aggregations=[Aggregation(column="*", function="count", time_window=QUARTER, name="redemption_count_84d")],
    ),
)

household_campaigns = FeatureView(
    name="household_campaigns",
    entities=[household],
    source=LakeSource(
        name="campaigns_of_households",
        table="silver.campaign_households",
        aggregations=[Aggregation(column="*", function="count", time_window=QUARTER, name="campaign_count_84d")],
    ),
)

household_last_campaign = FeatureView(
    name="household_last_campaign",
    entities=[household],
    ttl=QUARTER,
    schema=[Field(name="campaign_type", dtype=String), Field(name="campaign_days", dtype=Int32)],
    source=LakeSource(name="last_campaign_of_households", table="silver.campaign_households"),
    description="The campaign that addressed the household last, unless that was more than 84 days ago.",
)


@on_demand_feature_view(
    sources=[household_baskets],
    schema=[
        Field(name="basket_overdue_ratio", dtype=Float64),
        Field(name="basket_trend", dtype=Float64),
        Field(name="spend_per_basket_84d", dtype=Float64),
        Field(name="discount_share_84d", dtype=Float64),
    ],
)
def household_ratios(inputs: pd.DataFrame) -> pd.DataFrame:
    """Null where the household has no basket in the 84 days, or has paid nothing."""
    import pandas as pd

    baskets = inputs["basket_count_84d"].astype("float64")
    spend = inputs["spend_84d"].astype("float64")
    discount = inputs["retail_discount_84d"].astype("float64") + inputs["coupon_discount_84d"].astype("float64")
    return pd.DataFrame(
        {
            # 1 when the household has been away for its usual time between two baskets
            "basket_overdue_ratio": inputs["basket_recency"].astype("float64") / (84 * 86400 / baskets),
            # 1 when the last 28 days were like the 84
            "basket_trend": 3 * inputs["basket_count_28d"].astype("float64") / baskets,
            "spend_per_basket_84d": spend / baskets,
            "discount_share_84d": discount / (spend + discount),
        }
    )
