create or replace TRANSIENT TABLE SHOP.SALES.ORDERS cluster by (ID) (
	ID NUMBER(38,0) NOT NULL autoincrement start 1 increment 1 noorder COMMENT 'the key',
	KEY VARCHAR(16777216) WITH TAG (x.y='z') COLLATE 'en-ci',
	N INT, A NUMBER(10,2), F FLOAT, V VARIANT, L ARRAY, O OBJECT,
	AT TIMESTAMP_NTZ(9), Z TIMESTAMP_TZ(3), L2 TIMESTAMP_LTZ, B BINARY(20),
	UPDATED_AT TIMESTAMP_NTZ(6) NOT NULL,
	CUSTOMER NUMBER(38,0) FOREIGN KEY REFERENCES SALES.CUSTOMERS(ID),
	constraint PK primary key (ID) rely,
)COMMENT='all orders'
;
create or replace table SHOP.SALES.CUSTOMERS (ID number primary key, UPDATED_AT timestamp_ntz not null);
create or replace view V as select 1;
