SELECT
  population.household_id,
  CASE WHEN COUNT(line.basket_id) = 0 THEN 1 ELSE 0 END AS label
FROM population
LEFT JOIN silver.transactions AS line
  ON line.household_id = population.household_id
  AND line.purchased_at >= :as_of
  AND line.purchased_at < :label_end
GROUP BY population.household_id
