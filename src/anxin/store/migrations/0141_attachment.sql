-- Attachments of alarms: their bytes stand in the database, so that a backup holds them and a restore gives them back.
create table attachment (
    attachment_id bigint generated always as identity primary key,
    alarm_id bigint not null references alarm (alarm_id),
    step_no integer not null,
    at_utc_ms bigint not null,
    by text not null,
    inner_only boolean not null,       -- the regulator's own: no operator sees it
    name text not null,
    media_type text not null,
    sha256 bytea not null,
    content bytea not null
);
create index attachment_alarm on attachment (alarm_id, attachment_id);
