-- What the displays of a session's two sides resolve: with it a difference within the tolerance can be weighed later.
alter table verdict add column order_quantum_milli_wh bigint, add column record_quantum_milli_wh bigint;

-- Days of places that changed, written with the verdicts and findings that changed them. `noted` grows with each change,
-- so that whoever computed a day strikes it off only where nothing changed meanwhile.
create sequence surveillance_noted;
create table surveillance_due (
    place text not null,
    day integer not null,              -- days since 1970-01-01 UTC
    noted bigint not null default nextval('surveillance_noted'),
    primary key (place, day)
);
create index surveillance_due_noted on surveillance_due (noted);

-- One row a place and day, computed as a whole from what stands present (surveillance/days.py); where anything is as it
-- should not be, `behind` names the rows by dimension of quality.
create table surveillance_day (
    place text not null,
    day integer not null,
    operator_id text not null,
    sessions bigint not null, paired bigint not null, one_sided bigint not null, lost bigint not null,
    disagreeing bigint not null, inconsistent bigint not null, orders bigint not null, uploads bigint not null,
    late_orders bigint not null, late_records bigint not null, lean_count bigint not null,
    lean_sum_milli_wh bigint not null, gap_count bigint not null, gap_sum_milli_wh bigint not null,
    hours integer[] not null,
    first_start_utc_ms bigint, last_start_utc_ms bigint,
    lean_up bigint not null, lean_down bigint not null, gap_up bigint not null, gap_down bigint not null,
    first jsonb, last jsonb,
    behind jsonb not null,
    primary key (place, day)
);
create index surveillance_behind_completeness on surveillance_day (operator_id, day, place) where behind ? 'completeness';
create index surveillance_behind_accuracy on surveillance_day (operator_id, day, place) where behind ? 'accuracy';
create index surveillance_behind_consistency on surveillance_day (operator_id, day, place) where behind ? 'consistency';
create index surveillance_behind_timeliness on surveillance_day (operator_id, day, place) where behind ? 'timeliness';

-- The sums of those rows over an operator's places.
create table surveillance_operator_day (
    operator_id text not null,
    day integer not null,
    sessions bigint not null, paired bigint not null, one_sided bigint not null, lost bigint not null,
    disagreeing bigint not null, inconsistent bigint not null, orders bigint not null, uploads bigint not null,
    late_orders bigint not null, late_records bigint not null, lean_count bigint not null,
    lean_sum_milli_wh bigint not null, gap_count bigint not null, gap_sum_milli_wh bigint not null,
    hours integer[] not null,
    primary key (operator_id, day)
);

-- Chargers and operators with what their days come to; score 0: not listed.
create table surveillance_subject (
    kind text not null check (kind in ('charger', 'operator')),
    subject_id text not null,
    operator_id text not null,
    district text,
    first_utc_ms bigint, last_utc_ms bigint,
    starts bigint not null,
    reasons jsonb not null,
    silence jsonb,
    score bigint not null,
    at_utc_ms bigint not null,
    primary key (kind, subject_id)
);
create index surveillance_subject_score on surveillance_subject (score desc, kind, subject_id) where score > 0;
create index surveillance_subject_operator on surveillance_subject (operator_id);

-- Verdicts that stood before surveillance did are gone through in steps, by number.
insert into counter (name, value)
    select 'surveillance_seed_to', coalesce(max(verdict_id), 0) from verdict
    union all select 'surveillance_seeded', 0
    union all select 'surveillance_again', 0; -- 1: everything is to be counted anew
