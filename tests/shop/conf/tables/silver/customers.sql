SELECT
  country,
  customer_code,
  registered_at,
  segment,
  birth_year,
  email,
  newsletter
FROM bronze.customers
