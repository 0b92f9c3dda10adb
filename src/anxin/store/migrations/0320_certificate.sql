-- Certificates of verification and notices of failure. Numbers have no gap within a kind and a year: the counter's row
-- is locked from the allocation to the commit that enters the certificate.
create table certificate_counter (
    kind text not null,
    year int not null,
    last int not null,
    primary key (kind, year)
);
create table certificate (
    number text primary key,
    kind text not null check (kind in ('certificate', 'notice')),
    year int not null,
    sequence int not null,
    run_id text not null unique,          -- of the bench: one verification, one paper
    charger_id text not null,
    operator_id text not null,
    issued_utc_ms bigint not null,
    issued_by text not null,
    verified_utc_ms bigint not null,
    valid_to_utc_ms bigint,               -- null for a notice
    unconfirmed int not null,             -- numbers used that are not confirmed
    document bytea not null,              -- the machine-readable result, as it stands inside the PDF
    document_sha256 bytea not null,
    pdf bytea not null,
    pdf_sha256 bytea not null,
    deed_index bigint not null references message (index),
    revoked_utc_ms bigint,
    revoked_by text,
    revoked_reason text,
    revoked_deed_index bigint references message (index),
    unique (kind, year, sequence)
);
create index certificate_charger on certificate (charger_id, verified_utc_ms);
create index certificate_issued on certificate (issued_utc_ms, number);
