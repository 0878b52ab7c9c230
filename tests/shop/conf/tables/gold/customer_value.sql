SELECT
  sale.country,
  sale.customer_code,
  COUNT(*) AS sale_count,
  SUM(sale.amount) AS amount_sum,
  AVG(sale.amount) AS amount_mean,
  MAX(sale.amount) AS amount_max,
  (UNIX_SECONDS(:as_of) - UNIX_SECONDS(MAX(sale.sold_at))) / 86400D AS recency_days,
  MAX(customer.segment) AS segment
FROM silver.sales AS sale
LEFT JOIN silver.customers AS customer
  ON customer.country = sale.country AND customer.customer_code = sale.customer_code
WHERE sale.sold_at >= :as_of - INTERVAL 200 DAYS AND sale.sold_at < :as_of AND sale.customer_code IS NOT NULL
GROUP BY sale.country, sale.customer_code
