SELECT * FROM bronze.water_meters
