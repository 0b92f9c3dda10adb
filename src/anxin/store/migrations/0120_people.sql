-- People who log in: what stands beside their party. Removing one deletes this row; the party stays for its deeds.
create table person (
    party_id text primary key references party (party_id),
    login text not null unique,
    password_hash text not null,
    must_change boolean not null,
    created_utc_ms bigint not null,
    totp_sealed bytea,                 -- sealed under the master key with the context totp/<party_id>
    totp_confirmed boolean not null default false,
    totp_step bigint not null default 0,   -- time step of the last code accepted: none is accepted twice
    last_login_utc_ms bigint,
    failures integer not null default 0,   -- in a row; the next attempt is counted before it is looked at
    locked_until_utc_ms bigint not null default 0
);
create table recovery_code (
    party_id text not null references person (party_id) on delete cascade,
    digest bytea not null,             -- SHA-256 of a code of 80 random bits
    primary key (party_id, digest)
);
-- Sessions by the hash of their cookie: whoever reads this table can take up none of them.
create table session (
    session_hash bytea primary key check (length(session_hash) = 32),
    party_id text not null references person (party_id) on delete cascade,
    side text not null check (side in ('outer', 'regulator')),
    second_factor boolean not null,
    created_utc_ms bigint not null,
    seen_utc_ms bigint not null
);
create index session_party on session (party_id, created_utc_ms);
create index session_created on session (created_utc_ms);
