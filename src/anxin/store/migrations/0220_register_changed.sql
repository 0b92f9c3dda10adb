-- When an entry of the register was last changed: last_updated of open data. An entry put again as it was keeps its time.
alter table register_entry add column changed_utc_ms bigint not null
    default (extract(epoch from clock_timestamp()) * 1000)::bigint;
create function note_register_change() returns trigger language plpgsql as $$
begin
    if new.body is distinct from old.body then
        new.changed_utc_ms := (extract(epoch from clock_timestamp()) * 1000)::bigint;
    end if;
    return new;
end $$;
create trigger register_changed before update on register_entry for each row execute function note_register_change();
-- What changed since the last look: states of connectors by the message that said so.
create index connector_status_message on connector_status (message_index);
-- What operators declare of their stations and connectors for everyone to read: no other column of `declaration` is.
create view declared_detail as
    select operator_id, kind, entry_id, body ->> 'address' as address, body ->> 'opening' as opening,
        body ->> 'plug' as plug
    from declaration
    where kind in ('station', 'connector')
        and (body ->> 'address' is not null or body ->> 'opening' is not null or body ->> 'plug' is not null);
