SELECT
  buyer.country,
  buyer.customer_code,
  IF(COUNT(sale.sale_id) = 0, 1, 0) AS label
FROM population AS buyer
LEFT JOIN silver.sales AS sale
  ON sale.country = buyer.country
  AND sale.customer_code = buyer.customer_code
  AND sale.sold_at >= :as_of
  AND sale.sold_at < :label_end
GROUP BY buyer.country, buyer.customer_code
