WITH baskets AS (
  SELECT
    household_id,
    basket_id,
    MAX(purchased_at) AS purchased_at,
    SUM(sales_value) AS spend
  FROM silver.transactions
  WHERE purchased_at >= :as_of - INTERVAL 364 DAYS AND purchased_at < :as_of
  GROUP BY household_id, basket_id
)
SELECT
  household_id,
  (UNIX_SECONDS(:as_of) - UNIX_SECONDS(MAX(purchased_at))) / 86400D AS recency_days,
  (UNIX_SECONDS(:as_of) - UNIX_SECONDS(MIN(purchased_at))) / 86400D AS tenure_days,
  COUNT(*) AS basket_count,
  SUM(spend) AS spend_sum,
  AVG(spend) AS spend_mean,
  MAX(spend) AS spend_max,
  (UNIX_SECONDS(MAX(purchased_at)) - UNIX_SECONDS(MIN(purchased_at))) / NULLIF(COUNT(*) - 1, 0) / 86400D AS gap_mean_days
FROM baskets
GROUP BY household_id
