SELECT
  buyer.country,
  buyer.customer_code,
  CAST(COALESCE(SUM(sale.amount), 0) AS DOUBLE) AS label
FROM population AS buyer
LEFT JOIN silver.sales AS sale
  ON sale.country = buyer.country
  AND sale.customer_code = buyer.customer_code
  AND sale.sold_at >= :as_of
  AND sale.sold_at < :label_end
GROUP BY buyer.country, buyer.customer_code
