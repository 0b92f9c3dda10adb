-- What the faces may do in the database, each with a role of its own; everything else belongs to the owner, as which the
-- judge, the publisher, the questioner and the commands on the machine work.
--
-- anxin_outer       the outer app and the meters' door over MQTT
-- anxin_regulator   the regulator's app
--
-- The names stand for the roles of this database (store/roles.py). The file is applied as a whole at each start, in one
-- transaction after the migrations: it takes away everything first. A NEW TABLE needs its lines here: either grants to
-- those who need it, column by column where a column is not theirs, and policies where rows are not everybody's; or its
-- name in the list at the end, of what no face touches. A table without a line fails tests/platform/test_database_roles.py.
-- Rows of one operator are bound to tenant(), which Database.transaction(tenant=...) sets; where none is set, a role of
-- the faces sees no such row. The owner is bound by no policy.

revoke all on all tables in schema public from public, anxin_outer, anxin_regulator;
revoke all on all sequences in schema public from public, anxin_outer, anxin_regulator;
-- A restored function is everybody's again.
revoke execute on function own_payload(bigint) from public, anxin_outer, anxin_regulator;
revoke execute on function driver_session(text, bigint) from public, anxin_outer, anxin_regulator;
do $$
declare p record;
begin
    for p in select policyname, tablename from pg_policies where schemaname = 'public' loop
        execute format('drop policy %I on %I', p.policyname, p.tablename);
    end loop;
    for p in select relname from pg_class where relnamespace = 'public'::regnamespace and relrowsecurity loop
        execute format('alter table %I disable row level security', p.relname);
    end loop;
end $$;
grant usage on schema public to anxin_outer, anxin_regulator;
grant select on migration to anxin_outer, anxin_regulator;

-- Evidence. Whoever takes a message in needs the receipts of what is there under its id, never what it said: the outer
-- role cannot read payloads and envelopes, but for those of its tenant through own_payload. No policy stands here: the
-- intake looks up thousands of ids a second, of meters by the batch, and a policy would be asked at each of them.
grant select, update (size) on log_head to anxin_outer, anxin_regulator;
grant select (index, kind, sender, message_id, received_utc_ms, payload_sha256, envelope_sha256, salt, entry),
    insert on message to anxin_outer;
grant execute on function own_payload(bigint) to anxin_outer;
grant select, insert on message to anxin_regulator;
grant select, insert, update on total to anxin_outer, anxin_regulator;
grant select, insert, update on door_rejection to anxin_outer;
grant select on door_rejection to anxin_regulator;

-- The failed-write ledger: of the tenant, of his chargers and benches, and of his meters by the register.
grant select, insert, update (corrected_by, corrected_utc_ms), delete on refused to anxin_outer;
grant select, insert, delete on refused to anxin_regulator;
alter table refused enable row level security;
create policy outer_own on refused to anxin_outer using (
    sender = tenant()
    or sender in (select party_id from party where operator_id = tenant())
    or exists (
        select from register_entry m
            join register_entry c on c.kind = 'connector' and c.entry_id = m.body ->> 'connector_id'
            where m.kind = 'meter' and m.body ->> 'meter_id' = sender and c.body ->> 'operator_id' = tenant()
    )
) with check (sender = tenant());
create policy regulator_reads on refused for select to anxin_regulator using (true);
create policy regulator_enters on refused for insert to anxin_regulator with check (sender = tenant());
create policy regulator_trims on refused for delete to anxin_regulator using (sender = tenant());

-- Parties and credentials: each side knows its own. What a role cannot see it cannot let in, and a token of the other
-- side is nobody's before any code is asked. Outside, a manager enters people of his own operator, and credentials come from
-- the OCPI handshake alone. Inside, an administrator enters people and gives keys: of all credentials bearer tokens alone
-- are seen there, which are hashes.
grant select, insert, update (role, name, operator_id, suspended, districts) on party to anxin_outer, anxin_regulator;
alter table party enable row level security;
create policy outside on party for select to anxin_outer
    using (role in ('operator', 'meter', 'charger', 'bench', 'engineer', 'manager'));
create policy outside_enters on party for insert to anxin_outer
    with check (role in ('engineer', 'manager') and operator_id = tenant());
create policy outside_changes on party for update to anxin_outer
    using (role in ('engineer', 'manager') and operator_id = tenant());
create policy inside on party for select to anxin_regulator using (true);
create policy inside_enters on party for insert to anxin_regulator
    with check (role in ('inspector', 'supervisor', 'admin', 'auditor', 'engineer', 'manager'));
create policy inside_changes on party for update to anxin_regulator
    using (role in ('inspector', 'supervisor', 'admin', 'auditor', 'engineer', 'manager'));
grant select, insert, update (valid_to_utc_ms, revoked_utc_ms) on credential to anxin_outer;
grant select, insert, update (valid_to_utc_ms, revoked_utc_ms) on credential to anxin_regulator;
alter table credential enable row level security;
create policy outside_reads on credential for select to anxin_outer
    using (party_id in (select party_id from party));
create policy outside_handshake on credential for insert to anxin_outer
    with check (kind = 'ocpi' and party_id in (select party_id from party where role = 'operator'));
create policy outside_ends on credential for update to anxin_outer using (kind = 'ocpi');
create policy inside on credential to anxin_regulator using (kind = 'bearer');
grant select, update (value) on counter to anxin_outer, anxin_regulator;
alter table counter enable row level security;
create policy reads on counter for select to anxin_outer, anxin_regulator using (true);
create policy changes on counter for update to anxin_outer, anxin_regulator using (name = 'party_version');
-- A certificate that is issued or revoked changes the register.
create policy registers on counter for update to anxin_regulator using (name = 'register_version');

-- The register is what doors check senders against: connectors, seals, public keys of meters.
grant select on register_entry, fact_verification, fact_seal_event to anxin_outer, anxin_regulator;

-- Judgements.
grant select on verdict, finding, deviation, declaration to anxin_outer, anxin_regulator;
alter table verdict enable row level security;
alter table finding enable row level security;
alter table deviation enable row level security;
alter table declaration enable row level security;
create policy outer_own on verdict for select to anxin_outer using (operator_id = tenant());
create policy outer_own on finding for select to anxin_outer using (operator_id = tenant());
create policy outer_own on deviation for select to anxin_outer using (sender = tenant());
create policy outer_own on declaration for select to anxin_outer using (operator_id = tenant());
create policy inside on verdict for select to anxin_regulator using (true);
create policy inside on finding for select to anxin_regulator using (true);
create policy inside on deviation for select to anxin_regulator using (true);
create policy inside on declaration for select to anxin_regulator using (true);

-- Facts. Outside, the answer to an operator's check looks at his own orders.
grant select (order_no, message_index, order_id, operator_id, energy_milli_wh, amount_e4) on fact_order to anxin_outer;
grant select on fact_order to anxin_regulator;
alter table fact_order enable row level security;
create policy outer_own on fact_order for select to anxin_outer using (operator_id = tenant());
create policy inside on fact_order for select to anxin_regulator using (true);
grant select on fact_order_period, fact_operator_total, fact_signed_record, fact_record, fact_record_period,
    fact_record_finding to anxin_regulator;

-- The status page counts, and names nobody.
grant select on silent_operators to anxin_outer, anxin_regulator;
grant select (due_utc_ms) on touched to anxin_outer, anxin_regulator;

-- States of connectors are open data. Roll-ups hold connectors of several operators in one row: whose a number is, the code
-- says (flow/occupancy_views.py).
grant select on connector_status, connector_number, status_sender, status_change, status_late, occupancy_hour,
    occupancy_group, declared_detail to anxin_outer, anxin_regulator;

-- How asking operators' platforms goes, and the present state of what they push over OCPI.
grant select on pull to anxin_outer, anxin_regulator;
alter table pull enable row level security;
create policy outer_own on pull for select to anxin_outer using (operator_id = tenant());
create policy inside on pull for select to anxin_regulator using (true);
grant select, insert, update (state, message_index) on ocpi_object to anxin_outer;
alter table ocpi_object enable row level security;
create policy outer_own on ocpi_object to anxin_outer using (operator_id = tenant());

-- What happened, for the streams of both sides. One reader of the outer app tells all operators' listeners: where no
-- tenant is set it sees what is any operator's, and nothing of what is nobody's outside.
grant select, insert on event to anxin_outer, anxin_regulator;
alter table event enable row level security;
create policy outer_own on event for select to anxin_outer
    using (operator_id is not null and (tenant() is null or operator_id = tenant()));
create policy outer_tells on event for insert to anxin_outer with check (true);
create policy inside_reads on event for select to anxin_regulator using (regulator);
create policy inside_writes on event for insert to anxin_regulator with check (true);

-- Alarms: an operator's, and what hangs on them, but for comments that stay inside. Who acts writes state, step, deed and
-- event in one transaction; nobody deletes. A complaint sets the tenant whose session it is about.
grant select, insert, update on alarm to anxin_outer, anxin_regulator;
grant select, insert on alarm_step, alarm_comment to anxin_outer, anxin_regulator;
grant select, insert, update on alarm_session to anxin_outer, anxin_regulator;
grant select on alarm_finding to anxin_outer, anxin_regulator;
grant select, insert, update, delete on saved_filter to anxin_regulator;
alter table alarm enable row level security;
alter table alarm_step enable row level security;
alter table alarm_comment enable row level security;
alter table alarm_session enable row level security;
alter table alarm_finding enable row level security;
create policy outer_own on alarm to anxin_outer using (operator_id = tenant());
create policy outer_own on alarm_step to anxin_outer using (alarm_id in (select alarm_id from alarm));
create policy outer_own on alarm_comment to anxin_outer
    using (not inner_only and alarm_id in (select alarm_id from alarm));
create policy outer_own on alarm_session to anxin_outer using (alarm_id in (select alarm_id from alarm));
create policy outer_own on alarm_finding to anxin_outer using (alarm_id in (select alarm_id from alarm));
create policy inside on alarm to anxin_regulator using (true);
create policy inside on alarm_step to anxin_regulator using (true);
create policy inside on alarm_comment to anxin_regulator using (true);
create policy inside on alarm_session to anxin_regulator using (true);
create policy inside on alarm_finding to anxin_regulator using (true);

-- People, their recovery codes and sessions: whom a side knows is what it sees of party.
grant select, insert, update, delete on person, recovery_code, session to anxin_outer, anxin_regulator;
alter table person enable row level security;
alter table recovery_code enable row level security;
alter table session enable row level security;
create policy outside on person to anxin_outer using (party_id in (select party_id from party));
create policy outside on recovery_code to anxin_outer using (party_id in (select party_id from party));
create policy outside on session to anxin_outer using (side = 'outer');
create policy inside on person to anxin_regulator using (true);
create policy inside on recovery_code to anxin_regulator using (true);
create policy inside on session to anxin_regulator using (true);

-- Notices: endpoints and subscriptions of one's own. A secret is deleted after its endpoint, so that no policy can say
-- whose it is; it is sealed.
grant select, insert, update, delete on webhook, webhook_letter, mail_subscription, notice_secret
    to anxin_outer, anxin_regulator;
grant select, insert, update on notice_count to anxin_outer, anxin_regulator;
alter table webhook enable row level security;
alter table webhook_letter enable row level security;
alter table mail_subscription enable row level security;
create policy outer_own on webhook to anxin_outer using (operator_id = tenant());
create policy outer_own on webhook_letter to anxin_outer using (webhook_id in (select webhook_id from webhook));
create policy outer_own on mail_subscription to anxin_outer
    using (party_id in (select party_id from party where operator_id = tenant()));
create policy inside on webhook to anxin_regulator using (operator_id is null);
create policy inside on webhook_letter to anxin_regulator using (webhook_id in (select webhook_id from webhook));
create policy inside on mail_subscription to anxin_regulator
    using (party_id in (select party_id from party where role in ('inspector', 'supervisor', 'admin', 'auditor')));

-- Surveillance: an operator reads the quality of his own data, and not which of his chargers is looked at more closely.
grant select on surveillance_day, surveillance_operator_day to anxin_outer, anxin_regulator;
grant select on surveillance_subject to anxin_regulator;
alter table surveillance_day enable row level security;
alter table surveillance_operator_day enable row level security;
create policy outer_own on surveillance_day for select to anxin_outer using (operator_id = tenant());
create policy outer_own on surveillance_operator_day for select to anxin_outer using (operator_id = tenant());
create policy inside on surveillance_day for select to anxin_regulator using (true);
create policy inside on surveillance_operator_day for select to anxin_regulator using (true);

-- What is attached to an alarm, but for what stays inside. A driver files a complaint and reads how it stands; what he
-- wrote is read inside, and is erased there.
grant select, insert on attachment to anxin_outer, anxin_regulator;
alter table attachment enable row level security;
create policy outer_own on attachment to anxin_outer
    using (not inner_only and alarm_id in (select alarm_id from alarm));
create policy inside on attachment to anxin_regulator using (true);
grant insert, select (number, secret_sha256, filed_utc_ms, order_id, reason, state, conclusion) on complaint to anxin_outer;
grant select, update (sealed_text, sealed_contact, salt, erased_utc_ms) on complaint to anxin_regulator;

-- Which chargers are assured, and why: for everyone.
grant select on charger_assured to anxin_outer, anxin_regulator;

-- A driver's session, by his bill's number and amount: the function counts wrong tries itself.
grant execute on function driver_session(text, bigint) to anxin_outer;

-- Certificates: issued and revoked inside; outside nobody reads a person, a reason, a figure or the paper itself.
grant select, insert, update on certificate, certificate_counter to anxin_regulator;
grant select (number, kind, charger_id, verified_utc_ms, valid_to_utc_ms, unconfirmed, document_sha256, pdf_sha256,
    revoked_utc_ms, specimen) on certificate to anxin_outer;

-- The policies and rules under which was judged: nobody's secret.
grant select on standing to anxin_outer, anxin_regulator;

-- Outages that operators ask to leave out of uptime: one's own outside, decided inside.
grant select, insert on uptime_claim to anxin_outer;
grant select, update (state, decided_by, decided_utc_ms, decision, decision_index) on uptime_claim to anxin_regulator;
alter table uptime_claim enable row level security;
create policy outer_own on uptime_claim to anxin_outer using (operator_id = tenant());
create policy inside on uptime_claim to anxin_regulator using (true);

-- nobody: erased_transaction, requeued, finding_queue, alarm_waiting, surveillance_due, trade_touched, driver_check
