-- What happened, in order, for whoever listens: the stream of events, webhooks, mail. Written in the transaction of what
-- it tells of, under a lock (store/events.py), so that numbers come in the order of commits and no reader skips one.
create table event (
    event_id bigint generated always as identity primary key,
    at_utc_ms bigint not null,
    kind text not null,
    operator_id text,              -- whose it is: the operator may read it; null: nobody outside
    district text,
    regulator boolean not null,    -- whether the regulator's side reads it
    body jsonb not null
);
create index event_operator on event (operator_id, event_id);
create index event_at on event (at_utc_ms);

alter table party add column districts text[] not null default '{}';
alter table party drop constraint party_role_check;
alter table party add constraint party_role_check check (role in (
    'operator', 'meter', 'charger', 'bench', 'inspector', 'supervisor', 'admin', 'auditor', 'engineer', 'manager'));
