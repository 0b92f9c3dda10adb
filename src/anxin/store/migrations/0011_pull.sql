-- What this platform asks of operators' platforms, and how it went.
create table pull (
    operator_id text not null references party (party_id),
    what text not null check (what in ('stations', 'status', 'orders')),
    last_success_utc_ms bigint,
    last_error_utc_ms bigint,
    last_error text,
    failures integer not null default 0,      -- in a row
    kept bigint not null default 0,           -- answers that became messages
    next_utc_ms bigint not null,
    primary key (operator_id, what)
);
