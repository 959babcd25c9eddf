# SPDX-License-Identifier: GPL-3.0-or-later
"""The return codes of dyndns2, their HTTP status, and how often each was answered.

good nochg deleted                                               success
nohost notfqdn numhost dnserr badagent abuse badauth !donator    client error: the same request fails again
911                                                              server error: try again later
"""

from collections.abc import Sequence
from functools import cache

from prometheus_client import Counter

from ddnsd.registry.update_requests import Refusal

RETURN_CODES = {
    Refusal.NOT_FULL_NAME: "notfqdn",
    Refusal.UNKNOWN_HOST: "nohost",
    Refusal.UNAVAILABLE: "nohost",
    Refusal.STATIC: "nohost",
    Refusal.BLOCKED: "abuse",
    Refusal.BAD_ADDRESS: "dnserr",
    Refusal.DENIED_ADDRESS: "abuse",
    Refusal.UNKNOWN_PEER: "911",
    Refusal.HELD: "911",
    Refusal.TOO_MANY_CHANGES: "911",
    Refusal.UNCONFIRMED: "911",
    Refusal.FLEET_FULL: "numhost",
    Refusal.NAME_NOT_FREE: "nohost",
    Refusal.TOO_MANY_NAMES: "numhost",
    Refusal.BAD_AGENT: "badagent",
    Refusal.OFFLINE_DENIED: "!donator",
}

DONE = ("good", "nochg", "deleted")
TRUE_STATUS = {"nohost": 404, "notfqdn": 400, "dnserr": 400, "numhost": 400, "abuse": 403, "badagent": 403}

ANSWERS = Counter("ddnsd_answers_total", "Answers to update requests, by word", ["word"])
counter = cache(ANSWERS.labels)


def answered() -> dict[str, float]:
    """How many requests were answered with each code since the process began."""
    (family,) = ANSWERS.collect()
    return {s.labels["word"]: s.value for s in family.samples if s.name.endswith("_total")}


def status_of(codes: Sequence[str], true_status: bool) -> int:
    """The HTTP status of these codes. Without `true_status` it is 200 for refusals too: the client reads the body."""
    if any(code in DONE for code in codes):
        return 200
    if codes[0] == "911":
        return 503
    return TRUE_STATUS.get(codes[0], 200) if true_status else 200
