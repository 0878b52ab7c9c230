SELECT
  household_id,
  CAST(:run_date AS DATE) AS purchase_date,
  COUNT(DISTINCT basket_id) AS basket_count,
  COUNT(*) AS line_count,
  COUNT(DISTINCT department) AS department_count,
  SUM(sales_value) AS spend,
  SUM(retail_disc + coupon_disc + coupon_match_disc) AS discount
FROM silver.transactions
WHERE purchased_at >= :data_start AND purchased_at < :data_end
GROUP BY household_id
