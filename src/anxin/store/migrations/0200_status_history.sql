-- Statuses of connectors. A connector has a number; one that the register does not know has one for each sender who
-- speaks of it (`apart_of`), and stands in no picture. `state` is the number of domain/connector_status.STATE_CODES.
create table connector_number (
    connector_no integer generated always as identity primary key,
    connector_id text not null,
    apart_of text not null default '',
    unique (connector_id, apart_of)
);
create table status_sender (
    sender_no integer generated always as identity primary key,
    sender text not null unique
);

-- One row a run: a state from its first word to the last that repeats it. Eight-byte columns first: no row has holes.
-- The latest run's `heard_utc_ms` stands in connector_status and is entered here when the next run begins.
create table status_change (
    at_utc_ms bigint not null,
    heard_utc_ms bigint not null,
    received_utc_ms bigint not null,
    message_index bigint not null,
    connector_no integer not null,
    sender_no integer not null,
    state smallint not null,
    primary key (connector_no, at_utc_ms)
) with (fillfactor = 95);
create index status_change_at on status_change using brin (at_utc_ms) with (pages_per_range = 16, autosummarize = on);

insert into connector_number (connector_id) select connector_id from connector_status;
insert into status_sender (sender) select distinct sender from connector_status;
insert into status_change
    select c.at_utc_ms, c.at_utc_ms, m.received_utc_ms, c.message_index, n.connector_no, s.sender_no,
        array_position(array['unknown', 'offline', 'idle', 'occupied', 'charging', 'reserved', 'blocked',
            'out_of_service', 'fault', 'planned', 'removed'], c.status) - 1
    from connector_status c join connector_number n using (connector_id) join status_sender s using (sender)
        join message m on m.index = c.message_index;
drop table connector_status;

-- The latest run of each connector, with the last word that repeats it: written for every word, so the row stays small
-- and its page has room.
create table connector_status (
    connector_no integer primary key references connector_number,
    state smallint not null,
    apart boolean not null,
    at_utc_ms bigint not null,
    heard_utc_ms bigint not null,
    received_utc_ms bigint not null,
    message_index bigint not null,
    connector_id text not null,
    sender text not null,
    status text not null generated always as ((array['unknown', 'offline', 'idle', 'occupied', 'charging', 'reserved',
        'blocked', 'out_of_service', 'fault', 'planned', 'removed'])[state + 1]) stored
) with (fillfactor = 50);
create index connector_status_id on connector_status (connector_id);
insert into connector_status (connector_no, state, apart, at_utc_ms, heard_utc_ms, received_utc_ms, message_index,
        connector_id, sender)
    select connector_no, state, false, at_utc_ms, heard_utc_ms, received_utc_ms, message_index, connector_id, sender
    from status_change join connector_number using (connector_no) join status_sender using (sender_no);

-- Spans of a connector that a late word has changed, to be counted anew; and the first hour (UTC ms / 3,600,000) that
-- is not being counted yet: a word before it is a late one.
create table status_late (
    late_id bigint generated always as identity primary key,
    connector_no integer not null,
    from_utc_ms bigint not null,
    to_utc_ms bigint not null
);
insert into counter (name, value)
    select name, extract(epoch from now())::bigint / 3600 from unnest(array['status_closing', 'status_closed']) name;
