-- What test benches and seals reported: the register takes it in beside the authority's own entries.
create table fact_verification (
    message_index bigint primary key references message (index),
    charger_id text not null,
    certificate_no text not null,
    verified_utc_ms bigint not null,
    valid_to_utc_ms bigint not null,
    passed boolean not null
);
create table fact_seal_event (
    message_index bigint primary key references message (index),
    charger_id text not null,
    seal_id text not null,
    kind text not null,
    act text not null,
    at_utc_ms bigint not null
);
