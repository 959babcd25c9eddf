# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by `django-admin shell` of the upstream service: its tables' first rows; prints {FQDN: secret} as JSON."""

import json
import os

from django.contrib.auth import get_user_model
from django.db import transaction
from nsupdate.main.models import Domain, Host

zone = os.environ["BENCH_ZONE"]
with transaction.atomic():
    user = get_user_model().objects.create_user("bench")
    domain = Domain.objects.create(
        name=zone,
        nameserver_ip="127.0.0.1",
        nameserver_update_algorithm="HMAC_SHA256",
        nameserver_update_secret=os.environ["BENCH_ZONE_SECRET"],
        available=True,
        created_by=user,
    )
    secrets = {}
    for number in range(int(os.environ["BENCH_HOSTS"])):
        host = Host(name=f"h{number}", domain=domain, created_by=user)
        secrets[f"h{number}.{zone}"] = host.generate_secret()
print(json.dumps(secrets))
