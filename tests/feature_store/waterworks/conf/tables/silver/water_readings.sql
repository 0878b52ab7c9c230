SELECT * FROM bronze.water_readings
