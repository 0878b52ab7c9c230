SELECT DISTINCT country, customer_code
FROM silver.sales
WHERE sold_at >= :as_of - INTERVAL 200 DAYS AND sold_at < :as_of AND customer_code IS NOT NULL
