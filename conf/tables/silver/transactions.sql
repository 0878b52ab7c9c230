SELECT
  line.household_id,
  line.basket_id,
  line.product_id,
  line.store_id,
  line.transaction_timestamp AS purchased_at,
  line.week AS shop_week,
  line.quantity,
  line.sales_value,
  line.retail_disc,
  line.coupon_disc,
  line.coupon_match_disc,
  product.department,
  product.brand
FROM bronze.transactions AS line
LEFT JOIN silver.products AS product ON product.product_id = TRY_CAST(line.product_id AS BIGINT)
