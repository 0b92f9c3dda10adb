-- Whether chargers are assured, computed every some seconds (flow/assured.py). A row changes when its reasons do; one of a
-- charger that left the register says that it is not.
create table charger_assured (
    charger_id text primary key,
    assured boolean not null,
    met text[] not null,
    unmet text[] not null,
    unknown text[] not null,
    at_utc_ms bigint not null
);
create index charger_assured_at on charger_assured (at_utc_ms);
