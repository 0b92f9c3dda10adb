-- Findings that the desk has not looked at yet. Filled by triggers in the judge's own transaction, emptied by the desk
-- in the transaction of what it makes of them: a finding whose commit comes late is simply seen late, never skipped.
create table finding_queue (
    entry_no bigint generated always as identity primary key,
    finding_id bigint not null,
    retired boolean not null
);
create function queue_finding() returns trigger language plpgsql as $$
begin
    insert into finding_queue (finding_id, retired)
        select finding_id, false from newer where present and severity <> 'note' order by finding_id;
    return null;
end $$;
create function queue_retired_finding() returns trigger language plpgsql as $$
begin
    insert into finding_queue (finding_id, retired)
        select finding_id, true from newer join older using (finding_id)
        where older.present and not newer.present and newer.severity <> 'note' order by finding_id;
    return null;
end $$;
create trigger finding_queued after insert on finding referencing new table as newer
    for each statement execute function queue_finding();
create trigger finding_retired after update on finding referencing old table as older new table as newer
    for each statement execute function queue_retired_finding();
insert into finding_queue (finding_id, retired)
    select finding_id, false from finding where present and severity <> 'note' order by finding_id;

-- Alarms (domain/alarm.py). `version` is the number of its last step.
create table alarm (
    alarm_id bigint generated always as identity primary key,
    cause text not null,
    subject text not null,
    charger_id text, connector_id text, meter_id text, operator_id text, district text,
    state text not null check (state in ('open', 'sent', 'answered', 'review', 'proposed', 'closed')),
    version integer not null default 0,
    severity text not null check (severity in ('warning', 'violation', 'grave')),
    graves bigint not null default 0, violations bigint not null default 0, warnings bigint not null default 0,
    sessions bigint not null default 0,
    billed_milli_wh bigint not null default 0, billed_e4 bigint not null default 0,
    excess_milli_wh bigint not null default 0, excess_e4 bigint not null default 0,
    first_utc_ms bigint, last_utc_ms bigint,
    opened_utc_ms bigint not null, sent_utc_ms bigint, closed_utc_ms bigint,
    due_utc_ms bigint, escalated integer not null default 0,
    assigned_to text, proposed_by text,
    conclusion text check (conclusion in ('operator_fault', 'device_fault', 'platform_fault', 'explained')),
    follows bigint references alarm (alarm_id),  -- the closed alarm on the same, where this one is about what came after
    told bigint not null default 0               -- its findings when they were last told of
);
create unique index alarm_standing on alarm (subject, cause) where state <> 'closed';
create index alarm_closed on alarm (subject, cause, alarm_id) where state = 'closed';
create index alarm_due on alarm (due_utc_ms) where due_utc_ms is not null;
create index alarm_state on alarm (state, alarm_id);
create index alarm_operator on alarm (operator_id, alarm_id);
create index alarm_assigned on alarm (assigned_to) where assigned_to is not null and state <> 'closed';

create table alarm_finding (
    finding_id bigint primary key references finding (finding_id),
    alarm_id bigint not null references alarm (alarm_id),
    session_key text,
    severity text not null,
    present boolean not null
);
create index alarm_finding_alarm on alarm_finding (alarm_id, finding_id);
create index alarm_finding_session on alarm_finding (session_key, alarm_id) where session_key is not null;

-- What a session adds to its alarm: the alarm's own figures are the sums.
create table alarm_session (
    alarm_id bigint not null references alarm (alarm_id),
    session_key text not null,
    findings bigint not null,
    billed_milli_wh bigint not null, billed_e4 bigint not null,
    excess_milli_wh bigint not null, excess_e4 bigint not null,
    primary key (alarm_id, session_key)
);
create index alarm_session_key on alarm_session (session_key);

-- Findings of groups that open an alarm only above a rate, as long as they are below it.
create table alarm_waiting (
    finding_id bigint primary key references finding (finding_id),
    cause text not null,
    subject text not null,
    at_utc_ms bigint not null
);
create index alarm_waiting_subject on alarm_waiting (subject, cause, at_utc_ms);

create table alarm_step (
    alarm_id bigint not null references alarm (alarm_id),
    step_no integer not null,
    at_utc_ms bigint not null,
    by text not null,
    act text not null,
    state text not null,
    said jsonb not null,
    index bigint references message (index),
    primary key (alarm_id, step_no)
);
create table alarm_comment (
    comment_id bigint generated always as identity primary key,
    alarm_id bigint not null references alarm (alarm_id),
    step_no integer not null,
    at_utc_ms bigint not null,
    by text not null,
    inner_only boolean not null,
    text text not null
);
create index alarm_comment_alarm on alarm_comment (alarm_id, comment_id);

create table saved_filter (
    party_id text not null,
    name text not null,
    query jsonb not null,
    primary key (party_id, name)
);

create trigger alarm_added after insert on alarm referencing new table as newer
    for each statement execute function count_total('true', 'alarms', 'state');
create trigger alarm_changed after update on alarm referencing old table as older new table as newer
    for each statement execute function count_total('true', 'alarms', 'state');
create trigger alarm_gone after delete on alarm referencing old table as older
    for each statement execute function count_total('true', 'alarms', 'state');
