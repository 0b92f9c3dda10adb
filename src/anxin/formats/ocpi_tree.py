"""The present state of an OCPI object, from pushes that come in any order: each part has its own stamp.

A location holds EVSEs, an EVSE connectors; sessions and tariffs hold nothing. Each part keeps the stamp of the push
that stated it last: its `last_updated`, and the push's number in the log where two say the same time. What is older
than the stamp changes nothing. A part that the newest full statement of its parent leaves out is gone, unless newer.

So PUTs give the same state in whatever order they come; a PATCH that comes after something newer is evidence alone.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from anxin.domain.errors import FormatError
from anxin.formats import ocpi_objects as objects
from anxin.formats.ocpi import MAX_PERIODS

Stamp = tuple[int, int]
#: Level of a part -> (the list that holds its parts, the id that names one, how many there may be).
CHILDREN: dict[str, tuple[str, str, int]] = {
    "location": ("evses", "uid", objects.MAX_EVSES),
    "evse": ("connectors", "id", objects.MAX_CONNECTORS),
}
BELOW = {"location": "evse", "evse": "connector"}


@dataclass(slots=True)
class Node:
    """One part: its own fields, and the parts below by their id (ids do not tell case)."""

    level: str
    stamp: Stamp
    fields: dict[str, Any]
    children: dict[str, Node] = field(default_factory=dict)
    deleted: bool = False

    @property
    def newest(self) -> tuple[Stamp, str]:
        """The latest stamp of this part and all below, and how its `last_updated` is written."""
        own = (self.stamp, str(self.fields.get("last_updated", "")))
        return max([own, *(child.newest for child in self.children.values())])

    def document(self) -> dict[str, Any]:
        """Return the object as OCPI writes it. A parent is as new as its newest part (mod_locations, PUT)."""
        found = dict(self.fields)
        if "last_updated" in found:
            found["last_updated"] = self.newest[1]
        if self.level in CHILDREN and (self.children or self.level == "evse"):
            found[CHILDREN[self.level][0]] = [child.document() for child in self.children.values()]
        return found


def node_of(level: str, value: dict[str, Any], index: int) -> Node:
    """Return a part as one push states it. Raises FormatError where a time of a part is missing."""
    node = Node(level, (objects.time_field(value), index), dict(value))
    if level in CHILDREN:
        listed, name, most = CHILDREN[level]
        node.fields.pop(listed, None)
        for item in objects.objects_field(value, listed, most):
            node.children[str(item[name]).upper()] = node_of(BELOW[level], item, index)
    return node


def joined(one: Node | None, other: Node) -> Node:
    """Return the state of two full statements of one part, whichever came first."""
    if one is None:
        return other
    older, newer = sorted((one, other), key=lambda node: node.stamp)
    children: dict[str, Node] = {}
    for key in [*newer.children, *(k for k in older.children if k not in newer.children)]:
        old, new = older.children.get(key), newer.children.get(key)
        if new is not None:
            children[key] = joined(old, new)
        elif old is not None and old.newest[0] > newer.stamp:
            children[key] = old
    return Node(newer.level, newer.stamp, newer.fields, children, newer.deleted)


def put(root: Node | None, level: str, path: list[str], value: dict[str, Any], index: int) -> tuple[Node, bool]:
    """Return the state after a PUT of the object (`path` empty) or of a part of it, and whether it changed.

    Raises FormatError `ocpi.unknown` where the part's parent was never stated.
    """
    new = node_of(_level(level, path), value, index)
    if not path:
        if root is not None and new.stamp <= root.stamp:
            return root, False
        return joined(root, new), True
    state = copy.deepcopy(root)
    parent = _part(state, path[:-1])
    key = path[-1].upper()
    old = parent.children.get(key)
    if new.stamp <= (parent.stamp if old is None else old.stamp):
        return _known(root), False
    parent.children[key] = joined(old, new)
    _refuse_many(parent)
    return _known(state), True


def patch(root: Node | None, path: list[str], value: dict[str, Any], index: int) -> tuple[Node, bool]:
    """Return the state after a PATCH, and whether it changed: fields that stand in it replace those there.

    Charging periods are added (mod_sessions, PATCH); EVSEs and connectors are put one by one, none is removed.
    Raises FormatError `ocpi.unknown` where there is nothing to patch.
    """
    state = copy.deepcopy(root)
    node = _part(state, path)
    stamp = (objects.time_field(value), index)
    if stamp <= node.stamp:
        return _known(root), False
    fields = dict(value)
    if node.level in CHILDREN:
        listed, name, most = CHILDREN[node.level]
        for item in objects.objects_field({listed: fields.pop(listed, None)}, listed, most):
            key = str(item[name]).upper()
            node.children[key] = joined(node.children.get(key), node_of(BELOW[node.level], item, index))
        _refuse_many(node)
    if node.level == "session" and "charging_periods" in fields:
        known = objects.objects_field(node.fields, "charging_periods", MAX_PERIODS)
        fields["charging_periods"] = [*known, *(fields["charging_periods"] or [])]
        objects.objects_field(fields, "charging_periods", MAX_PERIODS)
    node.fields |= fields
    node.stamp = stamp
    return _known(state), True


def part(root: Node | None, path: list[str]) -> Node | None:
    """Return a part of an object, None where there is none."""
    try:
        return _part(root, path)
    except FormatError:
        return None


def dump(node: Node) -> dict[str, Any]:
    """Return a state as JSON values, for the store."""
    found: dict[str, Any] = {"level": node.level, "stamp": list(node.stamp), "fields": node.fields}
    if node.children:
        found["children"] = {key: dump(child) for key, child in node.children.items()}
    if node.deleted:
        found["deleted"] = True
    return found


def load(value: dict[str, Any]) -> Node:
    """Return the state that `dump` wrote."""
    children = {key: load(child) for key, child in value.get("children", {}).items()}
    stamp = (int(value["stamp"][0]), int(value["stamp"][1]))
    return Node(value["level"], stamp, value["fields"], children, bool(value.get("deleted")))


def _level(level: str, path: list[str]) -> str:
    for _ in path:
        level = BELOW[level]
    return level


def _part(root: Node | None, path: list[str]) -> Node:
    node = root
    for key in path:
        node = None if node is None else node.children.get(key.upper())
    if node is None or node.deleted:
        raise FormatError("ocpi.unknown", "no such object was put before")
    return node


def _known(root: Node | None) -> Node:
    if root is None:
        raise FormatError("ocpi.unknown", "no such object was put before")
    return root


def _refuse_many(node: Node) -> None:
    listed, _, most = CHILDREN[node.level]
    if len(node.children) > most:
        raise FormatError("ocpi.items", f"{listed} has more than {most} items", listed)
