"""The features of the lapse models. A changed feature takes a new view, and the service a new version."""

from feast import FeatureService
from households import (
    household_baskets,
    household_campaigns,
    household_last_campaign,
    household_ratios,
    household_redemptions,
)

lapse_v1 = FeatureService(
    name="lapse_v1",
    features=[
        household_baskets,
        household_redemptions,
        household_campaigns,
        household_last_campaign,
        household_ratios,
    ],
    tags={"population": "active_households"},
)
