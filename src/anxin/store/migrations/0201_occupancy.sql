-- Roll-ups of what connectors were doing. Numbers of connectors stand in blocks of 1,024; hours are UTC ms / 3,600,000.
-- occupancy/packing.py says what the bytes are: they are deflated there, so the database does not try again.
create table occupancy_hour (
    hour integer not null,
    block integer not null,
    segments bytea,   -- what each connector of the block was doing; null: the hour is still open
    trade bytea,      -- sessions, energy, turnover; null: none
    primary key (hour, block)
);
alter table occupancy_hour alter column segments set storage external, alter column trade set storage external;
-- Sums of groups (district, operator, station, cell, city) by the hours of a UTC day.
create table occupancy_group (
    day integer not null,
    kind text not null,
    key text not null,
    hours bytea not null,
    primary key (kind, key, day)
);
alter table occupancy_group alter column hours set storage external;

-- Where and when a verdict came, changed or went: what was sold there then is counted anew.
create table trade_touched (
    touched_id bigint generated always as identity primary key,
    place text not null,
    from_utc_ms bigint not null,
    to_utc_ms bigint not null
);
create function touch_trade() returns trigger language plpgsql as $$
begin
    insert into trade_touched (place, from_utc_ms, to_utc_ms)
        select place, start_utc_ms, greatest(start_utc_ms, coalesce(end_utc_ms, start_utc_ms)) from changed
        where place is not null and start_utc_ms is not null order by verdict_id;
    return null;
end $$;
create trigger verdict_traded after insert on verdict referencing new table as changed
    for each statement execute function touch_trade();
create trigger verdict_retraded after update on verdict referencing new table as changed
    for each statement execute function touch_trade();
insert into trade_touched (place, from_utc_ms, to_utc_ms)
    select place, start_utc_ms, greatest(start_utc_ms, coalesce(end_utc_ms, start_utc_ms)) from verdict
    where present and place is not null and start_utc_ms is not null;
