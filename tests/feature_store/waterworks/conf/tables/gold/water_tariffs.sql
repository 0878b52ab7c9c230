SELECT 1 AS tariff_id, CAST(1 AS DECIMAL(6,3)) AS cents
