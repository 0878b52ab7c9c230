SELECT
  household_id,
  campaign_id,
  campaign_type,
  start_date AS starts_at,
  end_date AS ends_at,
  DATEDIFF(TRY_CAST(end_date AS DATE), TRY_CAST(start_date AS DATE)) AS campaign_days
FROM bronze.campaign_households
