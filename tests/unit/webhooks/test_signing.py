# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages are signed as the library of Standard Webhooks verifies them."""

import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from ddnsd.webhooks import signing

BODY = '{"type":"host.created","data":{"fqdn":"ü.example.org"}}'


def test_each_secret_verifies_a_message() -> None:
    new, former, other = (signing.new_secret() for _ in range(3))
    headers = signing.headers([new, former], signing.new_message_id(), int(time.time()), BODY)
    for secret in (new, former):
        assert Webhook(secret).verify(BODY, headers)["type"] == "host.created"
    for secret, body in ((other, BODY), (new, BODY.replace("created", "deleted"))):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, headers)


def test_an_example_of_the_specification() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = '{"test": 2432232314}'
    headers = signing.headers([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
