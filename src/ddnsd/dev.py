# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd dev`: the service with its own BIND, an administrator and a domain, in one folder on loopback."""

import asyncio
import fcntl
import os
import secrets as python_secrets
from pathlib import Path

import structlog
from sqlalchemy import Connection, update

from ddnsd import settings as settings_module
from ddnsd.app import serve
from ddnsd.auth import passwords, secrets
from ddnsd.auth.sealing import KEY_OCTETS
from ddnsd.db import migrate, queries
from ddnsd.db.connect import open_store
from ddnsd.db.rows import Domain
from ddnsd.db.schema import domains
from ddnsd.dns.bind.control import Bind
from ddnsd.dns.bind.process import Named
from ddnsd.dns.bind.zone_config import Features
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey
from ddnsd.registry import accounts, credentials, identities
from ddnsd.registry.domain_zones import check_catalog
from ddnsd.registry.domains import add_domain, check_new
from ddnsd.registry.names import is_reverse
from ddnsd.registry.token_scope import SCOPES, TokenScope
from ddnsd.settings import Settings
from ddnsd.systemd import Unit

ADMIN = "admin"
PASSWORD_FILE = "admin.password"  # noqa: S105
FACTOR_KEY_FILE = "second_factor.key"


log = structlog.get_logger()


class AlreadyRunning(OSError):
    """another `ddnsd dev` uses this folder"""


def defaults() -> dict[str, object]:
    """The defaults of `ddnsd dev` that differ from `ddnsd serve`; the environment takes precedence."""
    folder = Path(os.environ.get(settings_module.PREFIX + "DIR", Settings.model_fields["dir"].default))
    return {"rules": False, "allow_loopback_peers": True, "second_factor_key": _factor_key_file(folder)}


async def run(settings: Settings) -> None:
    """Run until SIGINT or SIGTERM. Raises AlreadyRunning, OSError, BindError, StoreDown."""
    settings.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(settings.dir / "dev.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunning(f"another ddnsd dev runs in {settings.dir}") from None
    endpoint = Endpoint.from_text(settings.dns)
    named = Named((settings.dir / "bind").absolute(), endpoint.host, endpoint.port)
    await named.start()
    supervision = asyncio.create_task(named.supervise())
    try:
        own: dict[str, object] = {"rndc_key": named.rndc_key, "bind_dir": named.folder, "primary": settings.dns}
        own["second_factor_key"] = _factor_key(settings)
        own["statistics"] = (f"{endpoint}={named.statistics}", *settings.statistics)
        ours = settings.model_copy(update=own)
        await _prepare(ours, Bind(named.folder, named.rndc_key, options=ours.zone_options))

        def load() -> Settings:
            return settings_module.load(**defaults()).model_copy(update=own)

        await serve(ours, Unit(), lambda url: _say(ours, url), load, embedded=ours.dns)
    finally:
        supervision.cancel()
        await named.stop()
        os.close(lock)


def _factor_key_file(folder: Path) -> Path:
    return (folder / FACTOR_KEY_FILE).absolute()


def _factor_key(settings: Settings) -> Path | None:
    """The key file for second factors: that of the settings, or one in the folder, created if missing."""
    if settings_module.source("second_factor_key") not in ("default", "ddnsd dev"):
        return settings.second_factor_key
    file = _factor_key_file(settings.dir)
    if not file.exists():
        _write_private(file, python_secrets.token_hex(KEY_OCTETS) + "\n")
    return file


def _say(settings: Settings, url: str) -> None:
    print(f"ready: {url}", flush=True)  # noqa: T201
    if settings.local_accounts:
        password = settings.dir / PASSWORD_FILE
        print(f"sign in: {settings.base_url}/login as {ADMIN}, with the password in {password}", flush=True)  # noqa: T201


async def _prepare(settings: Settings, bind: Bind) -> None:
    await migrate.upgrade(settings.store_url)
    store = open_store(settings.store_url)
    found = await store.read(lambda c: queries.domain(c, settings.domain))
    await check_catalog(store, bind)
    if found is None:
        await store.read(lambda c: check_new(c, settings.domain))
    key = await asyncio.to_thread(_zone, bind, settings.domain, found)
    token_file = settings.dir / "admin.token"
    token = None if token_file.exists() else secrets.new_token()
    password_file = settings.dir / PASSWORD_FILE
    password = None if password_file.exists() else secrets.new_secret()
    primaries = {primary for primary in (_former_primary(settings), settings.dns) if primary}
    await store.transact(lambda c: _populate(c, settings, key, token, password, primaries))
    await store.close()
    if password is not None:
        _write_private(password_file, password + "\n")
    if token is not None:
        _write_private(token_file, token + "\n")
    text = f'primary = "{settings.dns}"\nrndc_key = "{settings.rndc_key}"\nhttp = "{settings.http}"\n'
    text += f'second_factor_key = "{settings.second_factor_key}"\n'
    _write_private(settings_module.dev_file(settings.dir), text)


def _zone(bind: Bind, name: str, found: Domain | None) -> TsigKey:
    """Serve the domain's zone, with its settings in the database if it exists. Returns its key."""
    if found is None:
        return bind.provision(name)
    key = TsigKey.of(found)
    if found.provisioned and (done := bind.ensure(name, key, Features.of(found))):
        log.warning("zone restored", zone=name, steps=done, journals=[str(file) for file in bind.kept_journals(name)])
    return key


def _former_primary(settings: Settings) -> str | None:
    """The address of the BIND in the last run."""
    file = settings_module.dev_file(settings.dir)
    return settings_module.read_toml(file).get("primary") if file.exists() else None


def _populate(
    connection: Connection,
    settings: Settings,
    key: TsigKey,
    token: str | None,
    password: str | None,
    primaries: set[str],
) -> None:
    admin = accounts.add_user(connection, ADMIN, admin=True)
    connection.execute(update(domains).where(domains.c.primary.in_(primaries)).values(primary=settings.dns))
    if queries.domain(connection, settings.domain) is None:
        public = not is_reverse(settings.domain)
        add_domain(connection, settings.domain, admin, key, settings.dns, public=public, provisioned=True)
    if token is not None:
        name = f"admin.token {queries.now()}"
        credentials.add_token(connection, admin, name, token, TokenScope(SCOPES))
    if password is not None:
        identities.set_password(connection, ADMIN, passwords.hashed_secret(password))


def _write_private(file: Path, text: str) -> None:
    """Replace the file atomically; only its owner may read it."""
    new = file.with_suffix(file.suffix + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as handle:
        handle.write(text)
    new.replace(file)
