-- Specimens: papers of chargers of a virtual city. They have numbers of their own, so that real ones have no gap.
alter table certificate add column specimen boolean not null default false;
alter table certificate drop constraint certificate_kind_year_sequence_key;
create unique index certificate_sequence on certificate (kind, specimen, year, sequence);
