# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of a history as a person reads them."""

import pytest

from ddnsd.db.history import Shown
from ddnsd.web.portal.i18n import Language
from ddnsd.web.portal.presenters.host_history import FieldChange, HistoryView

HOST = "a.example.org"


@pytest.mark.parametrize(
    ("code", "kind", "field"), [("en", "repaired in DNS", "In the zone"), ("de", "im DNS repariert", "In der Zone")]
)
def test_a_repair(code: str, kind: str, field: str) -> None:
    found, wanted = {HOST: ["192.0.2.200", "192.0.2.201"], f"_x.{HOST} TXT": []}, {HOST: ["192.0.2.1"]}
    entry = Shown(1, 0, "repaired", {"zone": found}, {"zone": wanted}, None, "ddnsd", "service", None, None, None)
    view = HistoryView.of(Language(code), entry)
    assert view.kind == kind
    assert view.fields == [FieldChange(field, f"{HOST}=192.0.2.200 192.0.2.201", f"{HOST}=192.0.2.1")]


def test_a_record_that_was_missing() -> None:
    found: dict[str, dict[str, list[str]]] = {"zone": {HOST: []}}
    wanted = {"zone": {HOST: ["192.0.2.1"]}}
    entry = Shown(1, 0, "repaired", found, wanted, None, "ddnsd", "service", None, None, None)
    assert HistoryView.of(Language("en"), entry).fields == [FieldChange("In the zone", "", f"{HOST}=192.0.2.1")]
