-- What a door turned away without keeping it (strangers, oversize), by the rule that it broke. Rules are a fixed set.
create table door_rejection (
    door text not null,
    rule text not null,
    rejected bigint not null,
    primary key (door, rule)
);
