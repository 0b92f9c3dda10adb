-- In which district a verdict or finding is, by the register: a person of the regulator may be bound to some districts.
-- It stands in the row, so that a page of one district is read by its index. What is at no connector of the register has
-- none, and is seen by those alone who see all districts.
create index register_connector_station on register_entry ((body ->> 'station_id')) where kind = 'connector';
create index register_meter_id on register_entry ((body ->> 'meter_id')) where kind = 'meter';

create function district_of(connector text) returns text language sql stable as $$
    select s.body ->> 'district' from register_entry c
        join register_entry s on s.kind = 'station' and s.entry_id = c.body ->> 'station_id'
        where c.kind = 'connector' and c.entry_id = connector
$$;

alter table verdict add column district text;
alter table finding add column district text;
create function enter_verdict_district() returns trigger language plpgsql as $$
begin
    new.district := district_of(new.place);
    return new;
end $$;
create function enter_finding_district() returns trigger language plpgsql as $$
begin
    new.district := district_of(coalesce(new.connector_id, new.place));
    return new;
end $$;
create trigger verdict_district before insert on verdict for each row execute function enter_verdict_district();
create trigger finding_district before insert on finding for each row execute function enter_finding_district();

-- The register may come, or change, after the judge: what stands then is entered anew. Connectors by the thousand are
-- entered before anything was judged at them, so the trigger looks first.
create function move_district(connector text) returns void language plpgsql as $$
begin
    if exists (select from verdict where place = connector and present) then
        update verdict set district = district_of(place) where place = connector and present;
    end if;
    if exists (select from finding where place = connector and present) then
        update finding set district = district_of(coalesce(connector_id, place)) where place = connector and present;
    end if;
end $$;
create function connector_moved() returns trigger language plpgsql as $$
begin
    perform move_district(new.entry_id);
    return null;
end $$;
create function station_moved() returns trigger language plpgsql as $$
begin
    perform move_district(entry_id) from register_entry
        where kind = 'connector' and body ->> 'station_id' = new.entry_id;
    return null;
end $$;
create trigger connector_entered after insert on register_entry for each row
    when (new.kind = 'connector') execute function connector_moved();
create trigger connector_changed after update on register_entry for each row
    when (new.kind = 'connector' and old.body ->> 'station_id' is distinct from new.body ->> 'station_id')
    execute function connector_moved();
create trigger station_entered after insert on register_entry for each row
    when (new.kind = 'station') execute function station_moved();
create trigger station_changed after update on register_entry for each row
    when (new.kind = 'station' and old.body ->> 'district' is distinct from new.body ->> 'district')
    execute function station_moved();

update verdict set district = district_of(place) where present;
update finding set district = district_of(coalesce(connector_id, place)) where present;
create index verdict_district on verdict (district, verdict_id) where present;
create index finding_district on finding (district, finding_id) where present;
