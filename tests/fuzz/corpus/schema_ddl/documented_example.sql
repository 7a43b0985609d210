CREATE TABLE orders (order_id INT NOT NULL, product_id INT NOT NULL, order_date DATE NOT NULL,
 customer_id INT NOT NULL, quantity INT NOT NULL,
 order_status enum('PENDING','SHIPPED','DELIVERED','CANCELLED'), updated_at timestamp, PRIMARY KEY(order_id, product_id));