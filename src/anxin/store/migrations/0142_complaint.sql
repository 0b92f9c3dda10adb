-- Drivers' complaints. What a driver wrote and how he can be reached is sealed (trust/vault.py) and can be erased.
create table complaint (
    complaint_id bigint generated always as identity primary key,
    number text not null unique,
    secret_sha256 bytea not null,      -- of the secret that reads its state
    filed_utc_ms bigint not null,
    order_id text not null,
    amount_e4 bigint not null,
    reason text not null,
    sealed_text bytea,                 -- null once erased, or where nothing was written
    sealed_contact bytea,              -- null once erased, or where none was given
    erased_utc_ms bigint,
    salt bytea,                        -- of the digest in its deed; null once erased
    deed_index bigint not null references message (index),
    compared boolean not null,         -- whether it was within the tries on its order
    alarm_id bigint references alarm (alarm_id),
    matched_utc_ms bigint,
    -- What its filer is told. The desk copies it from the alarm, so that the outer app reads no alarm for him.
    state text not null default 'kept' check (state in ('kept', 'in_hand', 'closed')),
    conclusion text
);
create index complaint_waiting on complaint (filed_utc_ms) where alarm_id is null and compared;
create index complaint_order on complaint (order_id, filed_utc_ms);
create index complaint_alarm on complaint (alarm_id) where alarm_id is not null;
create index complaint_open on complaint (complaint_id) where alarm_id is not null and state <> 'closed';
