create index fact_seal_event_charger on fact_seal_event (charger_id, at_utc_ms);
create index register_entry_seal on register_entry ((body ->> 'charger_id')) where kind = 'seal';
