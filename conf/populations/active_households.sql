-- Households with a basket in the 84 days before :as_of.
SELECT DISTINCT household_id
FROM silver.transactions
WHERE purchased_at >= :as_of - INTERVAL 84 DAYS AND purchased_at < :as_of
