CREATE OR REPLACE TABLE main.sales.events (
  user_id STRING NOT NULL COMMENT 'who \'it\' was',
  event_time TIMESTAMP NOT NULL,
  local TIMESTAMP_NTZ, n INT, big BIGINT GENERATED ALWAYS AS IDENTITY, f FLOAT, d DECIMAL(10,2), plain DECIMAL,
  tags ARRAY<STRING>, nested ARRAY<STRUCT<a: INT, b: ARRAY<INT>>>, m MAP<STRING, INT>,
  s STRUCT<a: INT NOT NULL COMMENT 'x', b: STRING>,
  updated_at TIMESTAMP,
  CONSTRAINT pk PRIMARY KEY (user_id, event_time TIMESERIES)
) USING DELTA PARTITIONED BY (n) LOCATION 's3://x/y' COMMENT 'all events'
TBLPROPERTIES (delta.enableChangeDataFeed = true);
