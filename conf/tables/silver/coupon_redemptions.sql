SELECT
  household_id,
  coupon_upc,
  campaign_id,
  redemption_date AS redeemed_at
FROM bronze.coupon_redemptions
