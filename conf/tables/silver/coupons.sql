SELECT
  campaign_id,
  coupon_upc,
  product_id
FROM bronze.coupons
