-- Parties and credentials change daily, the register of a city is large: each is read again only where it changed.
insert into counter (name, value) values ('party_version', 0);
