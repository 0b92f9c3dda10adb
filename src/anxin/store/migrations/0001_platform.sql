-- Evidence: one row a message, numbered without a gap. The row of log_head is the lock that makes writers one.
create table log_head (only_row boolean primary key default true check (only_row), size bigint not null);
insert into log_head (size) values (0);

create table message (
    index bigint primary key,
    kind text not null,
    sender text not null,
    message_id text not null,
    received_utc_ms bigint not null,
    payload_sha256 bytea not null,
    envelope_sha256 bytea,
    salt bytea,      -- null once erased
    entry bytea not null check (length(entry) = 32),
    payload bytea,   -- null once erased
    envelope bytea,
    conflicts_with bigint references message (index)
);
create unique index message_identity on message (kind, sender, message_id, payload_sha256);

-- Failed-write ledger: what a known sender handed in and was not accepted.
create table refused (
    refused_id bigint generated always as identity primary key,
    at_utc_ms bigint not null,
    door text not null,
    sender text not null,
    message_id text,
    rule text not null,
    field text,
    detail text not null,
    payload bytea not null,
    corrected_by bigint references message (index)
);
create index refused_sender on refused (sender, refused_id);

-- Oddities that were read all the same, for the sender to see.
create table deviation (
    message_index bigint not null references message (index),
    sender text not null,
    kind text not null,
    field text,
    clause text not null,
    detail text not null,
    row_no integer not null
);
create index deviation_sender on deviation (sender, message_index);

-- Parties and their credentials; secrets are sealed under the master key (trust/vault.py).
create table party (
    party_id text primary key,
    role text not null check (role in ('operator', 'inspector', 'meter', 'charger', 'bench', 'admin')),
    name text not null,
    operator_id text,
    created_utc_ms bigint not null,
    suspended boolean not null default false
);
create table credential (
    credential_id text primary key,
    party_id text not null references party (party_id),
    kind text not null check (kind in ('tcec102', 'bearer', 'content_key', 'basic', 'ocpi', 'tcec102_client')),
    lookup text,     -- SHA-256 hex of a token, key id of a content key: found without opening anything
    public jsonb not null default '{}',
    sealed bytea,
    valid_from_utc_ms bigint not null,
    valid_to_utc_ms bigint,
    revoked_utc_ms bigint
);
create index credential_party on credential (party_id, kind);
create unique index credential_lookup on credential (kind, lookup) where lookup is not null;

-- The register, as the domain's own values; `register_version` tells processes to read it again.
create table register_entry (
    kind text not null,
    entry_id text not null,
    body jsonb not null,
    primary key (kind, entry_id)
);
create table counter (name text primary key, value bigint not null);
insert into counter (name, value) values ('register_version', 0), ('judged', 0);

-- Facts: what was decoded, column by column as in domain/.
create table fact_order (
    order_no bigint generated always as identity primary key,
    message_index bigint not null references message (index),
    order_id text not null, source_file text not null, source_row bigint not null, content_digest text not null,
    operator_id text, connector_id text, transaction_id text, meter_id text,
    start_utc_ms bigint, end_utc_ms bigint, time_quantum_ms bigint not null,
    energy_milli_wh bigint, energy_quantum_milli_wh bigint not null,
    amount_e4 bigint, energy_amount_e4 bigint, service_amount_e4 bigint, currency text, tariff_id text,
    meter_begin_milli_wh bigint, meter_end_milli_wh bigint, loss_ratio_ppm bigint, requested_energy_milli_wh bigint,
    received_utc_ms bigint, local_date text
);
create index fact_order_connector on fact_order (connector_id, end_utc_ms);
create index fact_order_id on fact_order (order_id);
create index fact_order_transaction on fact_order (transaction_id);
create index fact_order_operator on fact_order (operator_id, start_utc_ms);

create table fact_order_period (
    message_index bigint not null references message (index),
    order_id text not null, content_digest text not null, period_no bigint not null,
    start_utc_ms bigint, end_utc_ms bigint, energy_milli_wh bigint,
    energy_price_e4 bigint, service_price_e4 bigint, energy_amount_e4 bigint, service_amount_e4 bigint
);
create index fact_order_period_order on fact_order_period (order_id);

create table fact_operator_total (
    message_index bigint not null references message (index),
    operator_id text not null, check_id text not null, start_utc_ms bigint not null, end_utc_ms bigint not null,
    order_count bigint not null, energy_milli_wh bigint not null, amount_e4 bigint not null,
    source_file text not null, source_row bigint not null
);
create index fact_operator_total_operator on fact_operator_total (operator_id, start_utc_ms);

-- One row a signed record, so that its transaction can be put together again and a revoked key finds what it touched.
create table fact_signed_record (
    message_index bigint not null references message (index),
    position integer not null,
    transaction_key text not null,
    key_id text,
    answer text not null,
    reason text not null,
    primary key (message_index, position)
);
create index fact_signed_record_transaction on fact_signed_record (transaction_key);
create index fact_signed_record_key on fact_signed_record (key_id);

create table fact_record (
    record_no bigint generated always as identity primary key,
    transaction_key text not null,
    record_id text not null, source_file text not null, source_row bigint not null,
    transaction_id text, meter_id text, gateway_id text, connector_id text, user_ref text,
    begin_utc_ms bigint, end_utc_ms bigint, clock text not null,
    begin_register_milli_wh bigint, end_register_milli_wh bigint, energy_milli_wh bigint,
    energy_quantum_milli_wh bigint not null, time_quantum_ms bigint not null,
    page_context text, page_first bigint, page_last bigint, algorithm text, key_id text,
    answer text not null, reason text not null, firmware text, closed boolean not null,
    received_utc_ms bigint, local_date text
);
create index fact_record_transaction_key on fact_record (transaction_key);
create index fact_record_connector on fact_record (connector_id, end_utc_ms);
create index fact_record_meter on fact_record (meter_id, end_utc_ms);
create index fact_record_transaction on fact_record (transaction_id);
create index fact_record_id on fact_record (record_id);

-- Findings on records alone and tariff periods of records: kept as the domain's values, read with their session.
create table fact_record_period (
    transaction_key text not null,
    record_id text not null, period_no bigint not null,
    start_utc_ms bigint not null, end_utc_ms bigint not null, energy_milli_wh bigint not null
);
create index fact_record_period_key on fact_record_period (transaction_key);
create index fact_record_period_record on fact_record_period (record_id);
create table fact_record_finding (transaction_key text not null, record_id text, body jsonb not null);
create index fact_record_finding_key on fact_record_finding (transaction_key);
create index fact_record_finding_record on fact_record_finding (record_id);

-- What has to be judged (again): a place, from when to when, and not before when. Bucket 0 is at once; the others are
-- hours at which a lateness window has closed, so that a place waits there once and not once a message.
create table touched (
    place text not null,
    bucket bigint not null,
    due_utc_ms bigint not null,
    from_utc_ms bigint not null,
    to_utc_ms bigint not null,
    primary key (place, bucket)
);
create index touched_due on touched (due_utc_ms);
-- Messages to be decoded and judged again (a key revoked, a register corrected).
create table requeued (message_index bigint primary key references message (index));

-- Verdicts and findings: every version kept, the present one marked.
create table verdict (
    verdict_id bigint generated always as identity primary key,
    session_key text not null,
    present boolean not null default true,
    state text not null,
    method text,
    place text,
    operator_id text,
    order_id text, record_id text,
    start_utc_ms bigint, end_utc_ms bigint,
    order_energy_milli_wh bigint, record_energy_milli_wh bigint, amount_e4 bigint,
    findings bigint not null,
    policy text not null, software text not null,
    as_of_utc_ms bigint not null, judged_utc_ms bigint not null, digest bytea not null
);
create unique index verdict_present on verdict (session_key) where present;
create index verdict_session on verdict (session_key);
create index verdict_place on verdict (place, start_utc_ms) where present;
create index verdict_state on verdict (state, verdict_id) where present;
create index verdict_operator on verdict (operator_id, verdict_id) where present;

create table finding (
    finding_id bigint generated always as identity primary key,
    present boolean not null default true,
    place text,
    session_key text,
    rule text not null, cause text not null, severity text not null, disagrees boolean not null,
    zh text not null, en text not null,
    expected text, found text, difference text, tolerance text, unit text,
    order_ids text[] not null, record_ids text[] not null,
    connector_id text, meter_id text, operator_id text, at_utc_ms bigint,
    policy text not null, software text not null,
    judged_utc_ms bigint not null, retired_utc_ms bigint, digest bytea not null
);
create unique index finding_present on finding (digest) where present;
create index finding_place on finding (place) where present;
create index finding_operator on finding (operator_id, finding_id);
create index finding_session on finding (session_key);

-- Latest word on a connector; its history comes with a later part.
create table connector_status (
    connector_id text primary key,
    sender text not null,
    status text not null,
    at_utc_ms bigint not null,
    message_index bigint not null references message (index)
);
