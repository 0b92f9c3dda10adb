-- Who is told of events by mail. The address stands sealed in notice_secret and nowhere else.
create table mail_subscription (
    subscription_id text primary key,
    party_id text not null references party (party_id),
    kinds text[] not null,
    how text not null check (how in ('at_once', 'digest')),
    state text not null check (state in ('unconfirmed', 'active', 'stopped')),
    reason text not null default '',
    created_utc_ms bigint not null,
    code_sha256 bytea,             -- of the code that was mailed to the address: who reads it there confirms it here
    code_until_utc_ms bigint,
    guesses int not null default 0,
    place bigint not null,         -- events up to this number were told
    up_to bigint,                  -- the mail under way tells up to here; the same mail is sent again after a crash
    attempts int not null default 0,
    next_utc_ms bigint not null,
    sent bigint not null default 0,
    last_utc_ms bigint
);
create index mail_subscription_party on mail_subscription (party_id);
