-- Outages that operators ask to leave out of uptime, each with its evidence and the regulator's decision.
create table uptime_claim (
    claim_id bigint generated always as identity primary key,
    operator_id text not null,
    connector_ids text[] not null,
    from_utc_ms bigint not null,
    to_utc_ms bigint not null check (to_utc_ms > from_utc_ms),
    cause text not null,
    statement text not null,
    evidence_name text not null,
    evidence_type text not null,
    evidence_sha256 bytea not null,
    evidence bytea not null,
    by text not null,
    at_utc_ms bigint not null,
    deed_index bigint not null references message (index),
    state text not null default 'open' check (state in ('open', 'accepted', 'refused')),
    decided_by text,
    decided_utc_ms bigint,
    decision text,                     -- the reason that was given
    decision_index bigint references message (index),
    check ((state = 'open') = (decided_by is null))
);
create index uptime_claim_operator on uptime_claim (operator_id, claim_id);
create index uptime_claim_span on uptime_claim (from_utc_ms, to_utc_ms) where state <> 'refused';
