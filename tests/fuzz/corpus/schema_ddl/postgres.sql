\connect shop
SET search_path TO public;
CREATE TYPE public.order_status AS ENUM ('PENDING', 'SHIPPED', 'it''s');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE EXTENSION hstore;
CREATE TABLE IF NOT EXISTS public.customers (
  id bigserial PRIMARY KEY, -- a comment; with a semicolon
  "Full ""Name""" character varying(100) DEFAULT 'x'';y' NOT NULL,
  tags text[] DEFAULT '{}'::text[], matrix integer ARRAY[3],
  region char(2) CHECK (region IN ('DE', 'FR')),
  amount numeric(12,2) DEFAULT 0.00 /* nested /* comment */ ; ok */, free numeric, meta jsonb,
  updated_at timestamp(3) with time zone DEFAULT now() NOT NULL, local timestamp without time zone,
  span interval day to second(3), qty positive, day date, u uuid, raw bytea, ok bool,
  up text GENERATED ALWAYS AS (upper(region)) STORED,
  CONSTRAINT c UNIQUE (id), CHECK (id > 0), EXCLUDE USING gist (id WITH =)
) PARTITION BY RANGE (id);
CREATE TABLE public.customers_1 PARTITION OF public.customers FOR VALUES FROM (1) TO (2);
CREATE TABLE public.orders (order_id int NOT NULL, customer int, status order_status NOT NULL, updated_at timestamptz);
COPY public.orders (order_id) FROM stdin;
1	; CREATE TABLE not_one (x int);
\.
ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (order_id);
ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_customer_fk FOREIGN KEY (Customer) REFERENCES public.customers(ID) ON DELETE SET NULL;
COMMENT ON TABLE public.customers IS 'all of them';
COMMENT ON COLUMN public.customers.day IS 'when';
CREATE FUNCTION f() RETURNS int AS $$ begin; CREATE TABLE x(a int); end $$ LANGUAGE sql;
