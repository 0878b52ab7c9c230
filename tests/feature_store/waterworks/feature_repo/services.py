import pandas as pd
from feast import FeatureService, Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64
from views import meter_state, meter_use, site_use, tariff

plan = RequestSource(name="plan", schema=[Field(name="planned_litres", dtype=Int64)])


@on_demand_feature_view(
    sources=[meter_use, site_use],
    schema=[Field(name="share_of_site", dtype=Float64), Field(name="per_reading", dtype=Float64)],
)
def use_ratios(inputs: pd.DataFrame) -> pd.DataFrame:
    ratios = pd.DataFrame()
    ratios["share_of_site"] = inputs["litres_7d"] / inputs["site_litres_28d"]
    ratios["per_reading"] = inputs["litres_7d"] / inputs["meter_use__readings_7d"]
    return ratios


@on_demand_feature_view(
    sources=[meter_use[["litres_7d"]], plan], schema=[Field(name="over_plan", dtype=Int64)], mode="python"
)
def plan_gap(inputs):
    pairs = zip(inputs["litres_7d"], inputs["planned_litres"], strict=True)
    return {"over_plan": [None if used is None else used - planned for used, planned in pairs]}


meters = FeatureService(
    name="meters",
    features=[
        meter_state[["capacity", "meter_kind"]],
        meter_use[["litres_7d", "readings_7d", "last_note"]],
        tariff[["cents"]],
        use_ratios[["share_of_site"]],
    ],
)
neighbours = FeatureService(
    name="neighbours",
    features=[
        tariff[["cents"]],
        site_use.with_name("other_site").with_join_key_map({"site": "other"})[["site_litres_28d"]],
    ],
)
