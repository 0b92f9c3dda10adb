-- What a driver learns of his own session by his bill's number and amount. The table counts wrong amounts on one order
-- number in a day (UTC), under the number's digest: nothing here says who asked, or for which order.
create table driver_check (
    order_sha256 bytea not null,
    day bigint not null,
    tries integer not null,
    primary key (order_sha256, day)
);

-- Runs as the owner: the outer role itself reads no order, verdict or record of everybody. It answers null alike where
-- there is no such order, where the amount is another, and where too many amounts were tried on the number today.
create function driver_session(asked_order text, asked_amount_e4 bigint) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    most constant integer := 10;
    today constant bigint := floor(extract(epoch from clock_timestamp()) / 86400);
    digest constant bytea := sha256(convert_to(asked_order, 'UTF8'));
    tried integer;
    o fact_order%rowtype;
    v verdict%rowtype;
    r fact_record%rowtype;
begin
    insert into driver_check values (digest, today, 0) on conflict do nothing;
    select tries into tried from driver_check where order_sha256 = digest and day = today for update;
    if tried < most then
        select * into o from fact_order where order_id = asked_order and amount_e4 = asked_amount_e4
            order by message_index limit 1;
    end if;
    if o.order_no is null then
        update driver_check set tries = tries + 1 where order_sha256 = digest and day = today;
        delete from driver_check where day < today - 1;
        return null;
    end if;
    -- A session that has an order is called by it (flow/live_slice.py).
    select * into v from verdict
        where present and session_key = 'order:' || coalesce(o.operator_id, '') || ':' || o.order_id;
    if v.record_id is not null then
        select * into r from fact_record where record_id = v.record_id order by record_no limit 1;
    end if;
    return jsonb_build_object(
        'order', jsonb_build_object(
            'order_id', o.order_id, 'operator_id', o.operator_id, 'connector_id', o.connector_id,
            'start_utc_ms', o.start_utc_ms, 'end_utc_ms', o.end_utc_ms, 'energy_milli_wh', o.energy_milli_wh,
            'amount_e4', o.amount_e4, 'energy_amount_e4', o.energy_amount_e4,
            'service_amount_e4', o.service_amount_e4, 'currency', o.currency, 'message_index', o.message_index),
        'verdict', case when v.verdict_id is null then null else jsonb_build_object(
            'state', v.state, 'judged_utc_ms', v.judged_utc_ms, 'policy', v.policy, 'software', v.software) end,
        'record', case when r.record_no is null then null else jsonb_build_object(
            'meter_id', r.meter_id, 'connector_id', r.connector_id, 'begin_utc_ms', r.begin_utc_ms,
            'end_utc_ms', r.end_utc_ms, 'begin_register_milli_wh', r.begin_register_milli_wh,
            'end_register_milli_wh', r.end_register_milli_wh, 'energy_milli_wh', r.energy_milli_wh,
            'answer', r.answer, 'reason', r.reason, 'algorithm', r.algorithm, 'key_id', r.key_id,
            'closed', r.closed) end,
        'findings', (select coalesce(jsonb_agg(distinct jsonb_build_object(
                'rule', f.rule, 'cause', f.cause, 'severity', f.severity, 'disagrees', f.disagrees,
                'expected', f.expected, 'found', f.found, 'difference', f.difference, 'tolerance', f.tolerance,
                'unit', f.unit)), '[]')
            from finding f where f.present and f.session_key = v.session_key and f.severity <> 'note'),
        'messages', (select coalesce(jsonb_agg(jsonb_build_object(
                'index', m.index, 'kind', m.kind, 'sender', m.sender, 'message_id', m.message_id,
                'received_utc_ms', m.received_utc_ms, 'payload_sha256', encode(m.payload_sha256, 'hex'),
                'envelope_sha256', encode(m.envelope_sha256, 'hex'), 'salt', encode(m.salt, 'hex'),
                'entry', encode(m.entry, 'hex'),
                -- A table is a whole day of many drivers, and a longer message no single session.
                'payload', case when m.kind in ('tcec102.order', 'meter.envelope') and length(m.payload) <= 65536
                    then encode(m.payload, 'hex') end) order by m.index), '[]')
            from message m where m.index in (
                select o.message_index
                union select s.message_index from fact_signed_record s
                    where r.transaction_key is not null and s.transaction_key = r.transaction_key)));
end $$;
