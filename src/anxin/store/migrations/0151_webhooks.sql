-- Endpoints that are told of events, by signed webhook. Of the events each has a place alone: what is before it was
-- delivered, or stands as a letter of its own. Nothing is written for what goes well but the place.
create table webhook (
    webhook_id text primary key,
    operator_id text,              -- whose it is; null: the regulator's
    districts text[] not null,     -- of these districts alone; empty: of all
    created_by text not null,
    created_utc_ms bigint not null,
    url text not null,
    kinds text[] not null,
    description text not null,
    state text not null check (state in ('active', 'paused')),
    reason text not null default '',
    place bigint not null,
    attempts int not null default 0,          -- of the event after the place
    failing_since_utc_ms bigint,
    next_utc_ms bigint not null default 0,
    delivered bigint not null default 0,
    last_utc_ms bigint,
    last_status int,
    last_error text not null default ''
);

-- What an endpoint would not take: it is tried again by itself, then it is dead until somebody sends it again.
create table webhook_letter (
    webhook_id text not null references webhook (webhook_id) on delete cascade,
    event_id bigint not null,
    kind text not null,
    body bytea not null,
    state text not null check (state in ('waiting', 'dead')),
    attempts int not null,
    next_utc_ms bigint not null,
    last_utc_ms bigint not null,
    last_status int,
    last_error text not null,
    primary key (webhook_id, event_id)
);
create index webhook_letter_due on webhook_letter (next_utc_ms) where state = 'waiting';

-- Sealed by the vault: signing secrets of endpoints, addresses of subscribers. Deleted, they are gone.
create table notice_secret (
    secret_id text primary key,
    subject text not null,         -- the endpoint or the subscription
    sealed bytea not null,
    made_utc_ms bigint not null,
    valid_to_utc_ms bigint
);
create index notice_secret_subject on notice_secret (subject);

create table notice_count (
    channel text not null,
    outcome text not null,
    count bigint not null,
    primary key (channel, outcome)
);
