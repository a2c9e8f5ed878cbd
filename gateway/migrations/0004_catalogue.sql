CREATE SCHEMA catalogue;
GRANT USAGE ON SCHEMA catalogue TO pestle_serve;

CREATE TABLE catalogue.product (
    tenant_id        text NOT NULL REFERENCES tenancy.tenant,
    product_id       text NOT NULL,
    name             text NOT NULL,
    price_minor      bigint NOT NULL CHECK (price_minor >= 0),
    currency         text NOT NULL,
    tax_basis_points int NOT NULL CHECK (tax_basis_points BETWEEN 0 AND 10000),
    supply           text NOT NULL,
    storage          text NOT NULL,
    changed_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, product_id)
);
CREATE INDEX product_by_name ON catalogue.product (tenant_id, name, product_id);
SELECT public.pestle_guard('catalogue.product', 'SELECT, INSERT, UPDATE');

CREATE TABLE catalogue.pack (
    tenant_id  text NOT NULL,
    gtin       text NOT NULL CHECK (gtin ~ '^[0-9]{14}$'),
    product_id text NOT NULL,
    PRIMARY KEY (tenant_id, gtin),
    FOREIGN KEY (tenant_id, product_id) REFERENCES catalogue.product
);
CREATE INDEX pack_by_product ON catalogue.pack (tenant_id, product_id);
SELECT public.pestle_guard('catalogue.pack');

CREATE TABLE catalogue.recall (
    tenant_id  text NOT NULL,
    recall_id  uuid NOT NULL,
    reference  text NOT NULL,
    product_id text NOT NULL,
    lot        text,
    reason     text NOT NULL,
    issued     date NOT NULL,
    PRIMARY KEY (tenant_id, recall_id),
    UNIQUE NULLS NOT DISTINCT (tenant_id, reference, product_id, lot),
    FOREIGN KEY (tenant_id, product_id) REFERENCES catalogue.product
);
SELECT public.pestle_guard('catalogue.recall');
