SELECT
  country,
  sale_id,
  NULLIF(customer_code, '') AS customer_code,
  version,
  sold_at,
  NULLIF(`größe`, '') AS `größe`,
  amount,
  quantity
FROM bronze.sales
