-- As it comes out of the CRM's own database.
CREATE TABLE regions (
    region_id  INT PRIMARY KEY,
    name       VARCHAR(60) NOT NULL,
    version    BIGINT NOT NULL
);

CREATE TABLE accounts (
    account_id INT PRIMARY KEY,
    name       VARCHAR(120) NOT NULL,
    parent_id  INT REFERENCES accounts (account_id),   -- the company that it belongs to
    region_id  INT NOT NULL REFERENCES regions (region_id),
    version    BIGINT NOT NULL
);

CREATE TABLE contacts (
    contact_id INT PRIMARY KEY,
    account_id INT NOT NULL REFERENCES accounts (account_id),
    email      VARCHAR(120),
    version    BIGINT NOT NULL
);

CREATE TABLE opportunities (
    opportunity_id INT PRIMARY KEY,
    account_id     INT NOT NULL REFERENCES accounts (account_id),
    contact_id     INT REFERENCES contacts (contact_id),
    stage          ENUM('open', 'won', 'lost'),
    amount         DECIMAL(12, 2),
    version        BIGINT NOT NULL
);
