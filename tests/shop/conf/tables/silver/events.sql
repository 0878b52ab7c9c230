SELECT
  event.event_id,
  GET_JSON_OBJECT(event.who, '$.country') AS country,
  GET_JSON_OBJECT(event.who, '$.code') AS customer_code,
  event.happened_at,
  event.recorded_at,
  event.pages,
  event.deleted,
  event.device
FROM bronze.events AS event
