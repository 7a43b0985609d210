CREATE TABLE `my-project.sales.orders`
(
  id INT64 NOT NULL OPTIONS(description="the key; it's \"unique\""),
  amount NUMERIC, price NUMERIC(10, 2), wide BIGNUMERIC, x FLOAT64, ok BOOL,
  name STRING(50), tags ARRAY<STRING>, raw BYTES, at DATETIME, t TIME,
  item STRUCT<sku STRING OPTIONS(description='a, b'), qty INT64>,
  updated_at TIMESTAMP NOT NULL,
  customer INT64 NOT NULL REFERENCES sales.customers(id) NOT ENFORCED,
  PRIMARY KEY (id) NOT ENFORCED
)
PARTITION BY DATE(updated_at) CLUSTER BY id
OPTIONS(description='''all
'orders' ''', labels=[('a', 'b')]);
CREATE TABLE sales.customers (id INT64 NOT NULL, updated_at TIMESTAMP NOT NULL, PRIMARY KEY(id) NOT ENFORCED);
