# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the service: `DDNSD_…` in the environment, or the same names in lower case in a TOML file.

They can also be credentials of systemd (systemd.exec(5), LoadCredential=): files with these names. The environment
takes precedence over credentials, and credentials over the TOML file. An unknown name is an error at start, so that a
typing mistake does not silently leave a default.
"""

import ipaddress
import json
import os
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from ddnsd.auth.claims_age import DAY, HOUR, SESSION_HOURS, ClaimsAge
from ddnsd.auth.oidc.provider import Provider, of_opaque_tokens
from ddnsd.auth.sessions import Lifetime
from ddnsd.checks import backup
from ddnsd.checks.certificate import Front
from ddnsd.checks.surroundings import Surroundings
from ddnsd.db import postgres_tls
from ddnsd.dns.bind.control import Bind, ZoneOptions
from ddnsd.dns.bind.zonefile import NameServer, zone_name
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import ALGORITHMS
from ddnsd.registry.addresses import Network
from ddnsd.registry.inputs import TTL_LEAST, TTL_MOST
from ddnsd.registry.names import fold
from ddnsd.registry.policy import Policy
from ddnsd.registry.quotas import DEFAULTS, Quota, QuotaRules
from ddnsd.web.client_address import UNIX

if TYPE_CHECKING:
    from ddnsd.acme.client import Authority

PREFIX = "DDNSD_"

MOST = 2**31 - 1
"""The largest quota."""


RELOADABLE = frozenset(
    {
        "log_level",
        "log_addresses",
        "trusted_proxies",
        "connections_per_address",
        "private_addresses",
        "address_deny",
        "quarantine_addresses",
        "agent_deny",
        "agent_required",
        "agent_true_status",
        "offline",
        "query_credentials",
        "rules",
        "nochg_per_hour",
        "signin_failures",
        *Quota,
        "session_idle_minutes",
        "session_days",
        "token_max_days",
        "event_days",
        "history_days",
        "security_log_days",
        "last_request_days",
        "abuse_reports_per_hour",
        "abuse_report_days",
        "acme_host_budget",
        "acme_domain_budget",
    }
)
"""Settings that a running service applies when it reads them again (`Service.reload`)."""


class SettingsError(Exception):
    """The settings cannot be used; the text lists every reason."""


def _comma_list(value: object) -> object:
    return [part for part in (p.strip() for p in value.split(",")) if part] if isinstance(value, str) else value


def _switch(value: object) -> object:
    return {"on": True, "off": False}.get(value.lower(), value) if isinstance(value, str) else value


def _parsed(value: object) -> object:
    """The value of JSON in the environment or a credential."""
    return json.loads(value or "null") if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_list)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Days = Annotated[int | None, BeforeValidator(lambda value: None if value == "" else value)]
Providers = Annotated[tuple[Provider, ...], NoDecode, BeforeValidator(_parsed)]
Secrets = Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_parsed)]


def _quota(quota: Quota, description: str) -> Any:
    return Field(DEFAULTS[quota], ge=0, le=MOST, description=f"{description}; 0: no limit")


def _days_like_events(what: str) -> Any:
    description = f"days after which `housekeeping` deletes {what}; 0: never; empty: as `DDNSD_EVENT_DAYS` says"
    return Field(None, ge=0, description=description)


class Settings(BaseSettings):
    """All settings; `ddnsd settings` prints the description of each."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    config: Path | None = Field(None, description="TOML file with these settings in lower case")
    dir: Path = Field(Path(".ddns"), description="folder of the database, zone files, keys and admin.token")
    database_url: SecretStr = Field(
        SecretStr(""), description="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; default: a file in DIR"
    )
    database_ca: Path | None = Field(
        None,
        description="PEM file of the authority of PostgreSQL's certificate; connections then use sslmode=verify-full",
    )
    http: str = Field("127.0.0.1:8053", description="first address of the HTTP API")
    listen: Words = Field((), description="more HTTP addresses, e.g. 0.0.0.0:8245,[::]:8245")
    update_listen: Words = Field(
        (), description="addresses for DNS UPDATE over UDP and TCP, e.g. 0.0.0.0:5353; empty: off"
    )
    update_algorithms: Words = Field(
        ("hmac-sha256", "hmac-sha384", "hmac-sha512"),
        description="TSIG algorithms that DNS UPDATE accepts; hmac-md5 and hmac-sha1 only for old devices",
    )
    public_url: str = Field("", description="URL that clients use; default: http:// and the HTTP address")
    public_url_ipv6: str = Field("", description="URL with a name that has only IPv6, shown at registration")
    dns: str = Field("127.0.0.1:5300", description="address of the name server that `ddnsd dev` starts")
    domain: str = Field("dyn.example.org", description="public domain that `ddnsd dev` creates for the user admin")
    primary: str = Field("127.0.0.1:53", description="primary name server of domains without their own")
    rndc_key: Path | None = Field(
        None, description="rndc.conf or rndc key of the BIND on which the service creates zones"
    )
    bind_dir: Path | None = Field(None, description="folder of that BIND's keys and zone files; default: DIR/bind")
    bind_keys_socket: Path | None = Field(
        None, description="socket of the program that installs keys in that BIND; default: it includes keys.conf itself"
    )
    name_servers: Words = Field(
        ("localhost",),
        description="names in SOA (the first) and NS of that BIND's zones; NAME=ADDRESS=… for a name inside a zone",
    )
    parental_agents: Words = Field(
        (),
        description="ADDRESS[:PORT] of validating resolvers, or of servers of the parent: that BIND asks them for DS "
        "records when it replaces keys, unless it has the parent itself",
    )
    transfer_key: str = Field(
        "", description="name in named.conf of the TSIG key that may transfer the zones of that BIND"
    )
    catalog_zone: str = Field("", description="catalog zone (RFC 9432) of that BIND's zones, for secondaries")
    secondaries: Words = Field((), description="ADDRESS[:PORT] of the secondaries, whose serials the status shows")
    statistics: Words = Field(
        (),
        description="statistics channels of BIND, PRIMARY=ADDRESS:PORT: they replace most queries for serials",
    )
    resolver: str = Field(
        "", description="ADDRESS[:PORT] of the resolver that is asked for DS records; default: those of the system"
    )
    metrics_zones: int = Field(
        100, ge=0, description="number of zones with their own series at /metrics, those with a problem first; 0: none"
    )
    ttl: int = Field(
        60, ge=TTL_LEAST, le=TTL_MOST, description="TTL of records in seconds, unless set for the domain or host"
    )
    dns_deadline: float = Field(2.5, gt=0, le=2.8, description="seconds to wait for the name server before 911")
    trusted_proxies: Words = Field(
        (), description="networks, and `unix` for Unix sockets, whose X-Forwarded-For and X-Forwarded-Proto are trusted"
    )
    connections_per_address: int = Field(
        256,
        ge=0,
        description="concurrent connections from an IPv4 address or an IPv6 /64, except trusted proxies; 0: no limit",
    )
    tls_front: str = Field(
        "", description="ADDRESS:PORT of the TLS front, whose certificate for PUBLIC_URL is checked; empty: no check"
    )
    tls_ca: Path | None = Field(
        None, description="PEM file of the authority of that certificate, if the operating system does not know it"
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file with the certificate chain of the front, which is checked as well"
    )
    tls_key: Path | None = Field(None, description="PEM file with its key: check that both fit")
    backup_report: Path | None = Field(
        None, description="JSON file in which the backup job reports its last run; see operations.md"
    )
    offsite_report: Path | None = Field(
        None, description="the same for the job that copies backups to another machine, if there is one"
    )
    restore_test_report: Path | None = Field(
        None, description="the same for the job that tests a restore each month, if there is one"
    )
    backup_hours: int = Field(36, ge=1, description="hours after which the last backup, or its copy, is too old")
    allow_loopback_peers: Switch = Field(False, description="accept a caller's own loopback address")
    private_addresses: Switch = Field(True, description="accept private, CGNAT and documentation addresses")
    address_deny: Words = Field((), description="networks that no host may point to; a host that tries is blocked")
    quarantine_addresses: Words = Field(
        (), description="an IPv4 and an IPv6 address, or one of them, that hosts in quarantine get instead of their own"
    )
    agent_deny: Words = Field((), description="user agents that get `badagent`: case-insensitive beginnings")
    agent_required: Switch = Field(False, description="answer `badagent` to requests without a user agent")
    agent_true_status: Words = Field(
        ("OPNsense-dyndns", "Python-urllib"), description="user agents that get error words with an error status"
    )
    offline: Switch = Field(True, description="allow offline=YES; if off, the answer is !donator")
    query_credentials: Switch = Field(
        False, description="accept username= and password= in the query, for every domain"
    )
    rules: Switch = Field(
        True, description="enable quotas and rate rules: nochg rate, slower sign-ins after failures, password locks"
    )
    nochg_per_hour: int = Field(600, ge=1, description="unchanged updates an hour above which a host is flagged")
    signin_failures: int = Field(
        10, ge=1, description="failed sign-ins a minute per name and source before the next ones are slowed down"
    )
    hosts_per_user: int = _quota(Quota.HOSTS, "hosts of a user")
    tokens_per_user: int = _quota(Quota.TOKENS, "API tokens of a user")
    keys_per_user: int = _quota(Quota.KEYS, "keys of a user")
    changes_per_hour: int = _quota(
        Quota.CHANGES, "address changes of a host an hour; more updates get 911 until the hour has passed"
    )
    record_changes_per_hour: int = _quota(Quota.RECORD_CHANGES, "changes of a host's records and related names an hour")
    api_writes_per_minute: int = _quota(
        Quota.API_WRITES, "changing calls of a user a minute; a bulk call counts once per 1000 changes"
    )
    answers_mb_per_user: int = _quota(
        Quota.ANSWERS, "MB of answers to calls with an Idempotency-Key, stored for a user for a day"
    )
    session_idle_minutes: int = Field(480, ge=1, description="minutes without use after which a browser session ends")
    session_days: int = Field(7, ge=1, le=365, description="days after which every browser session ends")
    token_max_days: int = Field(
        0, ge=0, le=3650, description="longest lifetime of new API tokens in days; 0: they may last for ever"
    )
    local_accounts: Switch = Field(True, description="let users sign in with a password")
    second_factor_key: Path | None = Field(
        None,
        description="file with 64 hexadecimal digits: the key that encrypts authenticator apps, passkeys, TSIG secrets "
        "and the secrets of webhooks; without it there are none; see identity.md",
    )
    admin_second_factor: Switch = Field(
        False, description="require a second factor of administrators who sign in with a password"
    )
    oidc_providers: Providers = Field(
        (), description="OpenID Connect providers: tables of the TOML file, or JSON; see identity.md"
    )
    oidc_secrets: Secrets = Field({}, description='client secrets by the providers\' names, as JSON: {"egi": "…"}')
    oidc_claims_max_age: int = Field(
        0,
        ge=0,
        description="days after which tokens lose the groups and administrator rights that a provider stated, unless "
        "it states them again; 0: never",
    )
    oidc_claims_session_hours: int = Field(
        SESSION_HOURS, ge=0, description="hours after which browser sessions lose them; 0: never"
    )
    acme_directory: str = Field(
        "", description="URL of the ACME directory of the authority that issues certificates for hosts; empty: off"
    )
    acme_contact: str = Field("", description="e-mail address to which that authority sends warnings")
    acme_account_key: Path | None = Field(
        None, description="file of the account's private key, created at the first order; default: DIR/acme_account.key"
    )
    acme_ca_file: Path | None = Field(
        None, description="PEM file with the root certificates of a private authority, which the system does not know"
    )
    acme_eab_kid: str = Field("", description="id of the external account binding, if the authority needs one")
    acme_eab_key: SecretStr = Field(SecretStr(""), description="its HMAC key, in base64url")
    acme_caa_identities: Words = Field(
        (), description="names of that authority in CAA records; default: those that its directory states"
    )
    acme_host_budget: int = Field(5, ge=0, le=MOST, description="certificates for a host within a week; 0: no limit")
    acme_domain_budget: int = Field(
        50, ge=0, le=MOST, description="certificates for all hosts of a domain within a week; 0: no limit"
    )
    webhook_networks: Words = Field(
        (),
        description="networks to which webhooks may lead although they are not public, also without TLS; "
        "for tests and closed networks",
    )
    event_days: int = Field(
        400,
        ge=0,
        description="days after which `housekeeping` deletes the audit trail and closed requests; 0: never",
    )
    history_days: Days = _days_like_events("entries of hosts' histories")
    security_log_days: Days = _days_like_events("the events of users' security logs")
    last_request_days: int = Field(
        0, ge=0, description="days after which `housekeeping` deletes the last request for a host; 0: with the host"
    )
    abuse_reports_per_hour: int = Field(
        60, ge=0, le=10_000, description="reports of abuse an hour that the public form accepts; 0: no form"
    )
    abuse_report_days: int = Field(
        180, ge=0, description="days after its decision when `housekeeping` deletes a report of abuse; 0: never"
    )
    log_level: str = Field("info", description="debug, info, warning or error")
    log_addresses: Switch = Field(
        True, description="write the client's address of a failed sign-in to the log; fail2ban needs it"
    )

    @field_validator("public_url", "public_url_ipv6")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value:
            check_web_address(value)
        return value

    @field_validator("http", "dns", "primary")
    @classmethod
    def _one_endpoint(cls, value: str) -> str:
        return str(Endpoint.from_text(value))

    @field_validator("listen", "update_listen")
    @classmethod
    def _endpoints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(Endpoint.from_text(v)) for v in value)

    @field_validator("tls_front")
    @classmethod
    def _possible_endpoint(cls, value: str) -> str:
        return str(Endpoint.from_text(value)) if value else value

    @field_validator("parental_agents")
    @classmethod
    def _agents(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        found = [Endpoint.from_text(v, 53) for v in value]
        return tuple(str(Endpoint(str(ipaddress.ip_address(one.host)), one.port)) for one in found)

    @field_validator("resolver")
    @classmethod
    def _name_server_endpoint(cls, value: str) -> str:
        if not value:
            return value
        endpoint = Endpoint.from_text(value, 53)
        return str(Endpoint(str(ipaddress.ip_address(endpoint.host)), endpoint.port))

    @field_validator("secondaries")
    @classmethod
    def _name_server_endpoints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(Endpoint.from_text(v, 53)) for v in value)

    @field_validator("statistics")
    @classmethod
    def _channels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple("=".join(map(str, _channel(v))) for v in value)

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(v if v == UNIX else str(ipaddress.ip_network(v, strict=False)) for v in value)

    @field_validator("address_deny", "webhook_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ipaddress.ip_network(v, strict=False)) for v in value)

    @field_validator("quarantine_addresses")
    @classmethod
    def _quarantine(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        addresses = [ipaddress.ip_address(v) for v in value]
        if len({address.version for address in addresses}) < len(addresses):
            raise ValueError("give at most one IPv4 and one IPv6 address")
        return tuple(map(str, addresses))

    @field_validator("name_servers")
    @classmethod
    def _servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("a zone needs at least one name server")
        return tuple(str(NameServer.from_text(v)) for v in value)

    @field_validator("transfer_key", "catalog_zone")
    @classmethod
    def _name(cls, value: str) -> str:
        return zone_name(value) if value else value

    @field_validator("acme_directory")
    @classmethod
    def _directory(cls, value: str) -> str:
        if value and not (value.startswith("https://") and urlsplit(value).hostname):
            raise ValueError("write it as https://HOST/PATH")
        if value and (find_spec("acme") is None or find_spec("josepy") is None):
            raise ValueError("certificates need more packages: pip install 'fedcloud-ddns[server,acme]'")
        return value

    @field_validator("acme_contact")
    @classmethod
    def _contact(cls, value: str) -> str:
        if value and not re.fullmatch(r"[^@\s,:]+@[^@\s,:]+", value):
            raise ValueError("write one e-mail address")
        return value

    @field_validator("acme_caa_identities")
    @classmethod
    def _identities(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(fold(v) for v in value)

    @field_validator("acme_eab_key")
    @classmethod
    def _hmac_key(cls, value: SecretStr) -> SecretStr:
        if not re.fullmatch(r"[A-Za-z0-9_-]*=*", value.get_secret_value()):
            raise ValueError("write the key in base64url, as the authority shows it")
        return value

    @model_validator(mode="after")
    def _complete_binding(self) -> Self:
        if bool(self.acme_eab_kid) != bool(self.acme_eab_key.get_secret_value()):
            raise ValueError("ACME_EAB_KID and ACME_EAB_KEY belong together: give both, or none")
        return self

    @field_validator("log_level")
    @classmethod
    def _level(cls, value: str) -> str:
        if value.lower() not in {"debug", "info", "warning", "error"}:
            raise ValueError("choose debug, info, warning or error")
        return value.lower()

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: SecretStr) -> SecretStr:
        if url := value.get_secret_value():
            check_database_url(url)
        return value

    @model_validator(mode="after")
    def _database_authority(self) -> Self:
        if self.database_ca is not None:
            try:
                check_database_url(self.store_url)
            except ValueError as error:
                raise ValueError(f"DATABASE_CA: {error}") from None
        return self

    @model_validator(mode="after")
    def _distinct_providers(self) -> Self:
        names = [provider.name for provider in self.oidc_providers]
        issuers = [provider.issuer for provider in self.oidc_providers]
        if len(set(names)) < len(names) or len(set(issuers)) < len(issuers):
            raise ValueError("OIDC_PROVIDERS: two of them have the same name or issuer")
        if unknown := set(self.oidc_secrets) - set(names):
            raise ValueError(f"OIDC_SECRETS: there is no provider {', '.join(sorted(unknown))}")
        marked = [provider for provider in self.providers if provider.opaque]
        if len(marked) > 1:
            raise ValueError("OIDC_PROVIDERS: only one of them can have opaque = true")
        if marked and of_opaque_tokens(marked) is None:
            raise ValueError(f"OIDC_PROVIDERS: opaque = true of {marked[0].name} needs an audience and a client secret")
        return self

    @model_validator(mode="after")
    def _possible_second_factor(self) -> Self:
        if self.admin_second_factor and self.second_factor_key is None:
            raise ValueError("ADMIN_SECOND_FACTOR needs SECOND_FACTOR_KEY, the file with the key; see identity.md")
        return self

    @field_validator("update_algorithms")
    @classmethod
    def _algorithms(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(value) - ALGORITHMS.keys():
            raise ValueError(f"no such algorithm: {', '.join(sorted(unknown))} (there are {', '.join(ALGORITHMS)})")
        return value

    @model_validator(mode="after")
    def _possible_dns_update(self) -> Self:
        if self.update_listen and self.second_factor_key is None:
            raise ValueError("UPDATE_LISTEN needs SECOND_FACTOR_KEY, the file with the key that encrypts TSIG secrets")
        return self

    @model_validator(mode="after")
    def _complete_pair(self) -> Self:
        if self.tls_key is not None and self.tls_certificate is None:
            raise ValueError("TLS_KEY needs TLS_CERTIFICATE, the certificate that it must fit")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment takes precedence over the values that `load` has read from files."""
        return env_settings, init_settings

    @property
    def store_url(self) -> str:
        """The database URL, or its default; with DATABASE_CA if it is on another machine."""
        url = self.database_url.get_secret_value() or f"sqlite:///{self.dir / 'ddnsd.db'}"
        return postgres_tls.with_ca(url, self.database_ca)

    @property
    def base_url(self) -> str:
        """The service's public URL without a trailing slash."""
        return (self.public_url or f"http://{self.http}").rstrip("/")

    @property
    def public_host(self) -> str:
        """The host of the public URL, without its port."""
        return _host_of(self.base_url)

    @property
    def bind(self) -> Bind | None:
        """The BIND that RNDC_KEY controls."""
        if self.rndc_key is None:
            return None
        return Bind(self.bind_dir or self.dir / "bind", self.rndc_key, options=self.zone_options)

    @property
    def surroundings(self) -> Surroundings:
        """What `ddnsd doctor` and the service check beside databases and zones."""
        front = None
        if self.tls_front or self.tls_certificate:
            address = Endpoint.from_text(self.tls_front) if self.tls_front else None
            front = Front(self.public_host, address, self.tls_ca, self.tls_certificate, self.tls_key)
        bind = self.bind
        folders = {"zones": bind.folder / "zones"} if bind is not None else {}
        if self.store_url.startswith("sqlite"):
            folders["database"] = Path(make_url(self.store_url).database or "").absolute().parent
        resolver = Endpoint.from_text(self.resolver) if self.resolver else None
        jobs = backup.jobs(self.backup_report, self.offsite_report, self.restore_test_report, self.backup_hours)
        return Surroundings(front, jobs, folders, bind, resolver)

    @property
    def zone_options(self) -> ZoneOptions:
        """Options of all zones of that BIND."""
        return ZoneOptions(
            name_servers=tuple(NameServer.from_text(v) for v in self.name_servers),
            transfer_key=self.transfer_key or None,
            catalog=self.catalog_zone or None,
            primary=Endpoint.from_text(self.primary, 53),
            parental_agents=tuple(Endpoint.from_text(v, 53) for v in self.parental_agents),
            keys_socket=self.bind_keys_socket,
        )

    @property
    def proxies(self) -> tuple[Network, ...]:
        return tuple(ipaddress.ip_network(n) for n in self.trusted_proxies if n != UNIX)

    @property
    def unix_proxy(self) -> bool:
        """Whether connections to a Unix socket come from a trusted proxy."""
        return UNIX in self.trusted_proxies

    @property
    def followers(self) -> tuple[Endpoint, ...]:
        """The secondaries."""
        return tuple(Endpoint.from_text(v, 53) for v in self.secondaries)

    @property
    def channels(self) -> dict[Endpoint, Endpoint]:
        """The statistics channels by primary."""
        return dict(map(_channel, self.statistics))

    @property
    def providers(self) -> tuple[Provider, ...]:
        """The OpenID Connect providers with their secrets."""
        given = self.oidc_secrets
        return tuple(
            provider.model_copy(update={"client_secret": given[provider.name]}) if provider.name in given else provider
            for provider in self.oidc_providers
        )

    @property
    def authority(self) -> "Authority | None":
        """The authority that issues certificates for hosts."""
        if not self.acme_directory:
            return None
        from ddnsd.acme.client import Authority  # here: its packages are optional

        return Authority(
            self.acme_directory,
            self.acme_account_key or self.dir / "acme_account.key",
            self.acme_contact,
            self.acme_ca_file,
            self.acme_eab_kid,
            self.acme_eab_key.get_secret_value(),
            self.acme_caa_identities,
        )

    @property
    def session_lifetime(self) -> Lifetime:
        minute = 60 * 1_000_000
        return Lifetime(idle=self.session_idle_minutes * minute, absolute=self.session_days * 24 * 60 * minute)

    @property
    def claims_age(self) -> ClaimsAge:
        """How long rights from claims of providers last."""
        return ClaimsAge(self.oidc_claims_session_hours * HOUR, self.oidc_claims_max_age * DAY)

    @property
    def denied(self) -> tuple[Network, ...]:
        return tuple(ipaddress.ip_network(n) for n in self.address_deny)

    @property
    def quarantine(self) -> tuple[str | None, str | None]:
        """The IPv4 and the IPv6 address of hosts in quarantine."""
        by_version = {ipaddress.ip_address(v).version: v for v in self.quarantine_addresses}
        return by_version.get(4), by_version.get(6)

    def policy(self) -> Policy:
        """The operator's rules, without the deny lists of the database."""
        return Policy(
            denied=self.denied,
            private_addresses=self.private_addresses,
            loopback_peers=self.allow_loopback_peers,
            nochg_per_hour=self.nochg_per_hour if self.rules else None,
            reserved=frozenset(filter(None, (self.public_host, _host_of(self.public_url_ipv6)))),
            catalog=self.catalog_zone or None,
            quarantine=self.quarantine,
            quotas=QuotaRules(
                {quota: getattr(self, quota) for quota in Quota if quota in self.model_fields_set}, enabled=self.rules
            ),
        )


def _channel(text: str) -> tuple[Endpoint, Endpoint]:
    """A primary and its statistics channel. Raises ValueError."""
    primary, equals, channel = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not PRIMARY=ADDRESS:PORT")
    return Endpoint.from_text(primary, 53), Endpoint.from_text(channel)


def check_database_url(url: str) -> None:
    """Check the URL of a database. Raises ValueError, never with the URL, which may contain a password."""
    if not url.startswith(("sqlite:///", "postgresql://")):
        raise ValueError("a database URL begins with sqlite:/// or postgresql://")
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("write the database URL as postgresql://USER:PASSWORD@HOST:PORT/NAME") from None
    if url.startswith("postgresql") and find_spec("asyncpg") is None:
        raise ValueError("PostgreSQL needs one more package: pip install 'fedcloud-ddns[server,postgres]'")
    if url.startswith("postgresql"):
        postgres_tls.arguments(address)


def check_web_address(url: str) -> None:
    """Check a URL that clients use. Raises ValueError."""
    form = "write it as https://HOST or https://HOST:PORT"
    try:
        parts = urlsplit(url)
        has_host = parts.hostname is not None and parts.port != 0  # the port raises ValueError if it is no number
    except ValueError:
        raise ValueError(form) from None
    beside = "@" in parts.netloc or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not has_host or beside:
        raise ValueError(form)


def _host_of(url: str) -> str:
    return fold(urlsplit(url).hostname or "")


def load(config: bytes | None = None, /, **overrides: Any) -> Settings:
    """Load the settings. Precedence: environment, credentials, TOML file, file of `ddnsd dev`, `overrides`, defaults.

    `config` is the content of a TOML file to use instead of the configured one. Raises SettingsError with all reasons:
    unknown names, values out of range, an unreadable file.
    """
    reasons = [
        f"{name}: no such setting"
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name[len(PREFIX) :].lower() not in Settings.model_fields
    ]
    try:
        file = _from_file() if config is None else tomllib.loads(config.decode())
        settings = Settings(**overrides | _from_dev() | file | _from_credentials())
    except ValidationError as error:
        reasons += [_reason(e["loc"], e["type"], e["msg"]) for e in error.errors(include_input=False)]
    except SettingsError as error:
        reasons.append(str(error))
    except OSError as error:
        reasons.append(f"{PREFIX}CONFIG: {error.filename}: {error.strerror}")
    except tomllib.TOMLDecodeError as error:
        reasons.append(f"{PREFIX}CONFIG: {error}")
    except UnicodeDecodeError:
        reasons.append(f"{PREFIX}CONFIG: the file is not UTF-8 text")
    if reasons:
        raise SettingsError("\n".join(reasons))
    return settings


def differences(one: Settings, other: Settings) -> list[str]:
    """Names of the settings that differ."""
    return [name for name in Settings.model_fields if getattr(one, name) != getattr(other, name)]


def source(name: str) -> str:
    """Where the value of a setting comes from."""
    if PREFIX + name.upper() in os.environ:
        return "environment"
    if name in _from_credentials():
        return "credential"
    if name in _from_file():
        return "file"
    return "ddnsd dev" if name in _from_dev() else "default"


def dev_file(folder: Path) -> Path:
    """The file with the addresses of a running `ddnsd dev`, for the other commands."""
    return folder / "dev.toml"


def _from_file() -> dict[str, Any]:
    path = os.environ.get(PREFIX + "CONFIG") or _from_credentials().get("config")
    return read_toml(Path(path)) if path else {}


def _from_credentials() -> dict[str, Any]:
    """Values by name; for a setting that is a path, the path of the credential."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return {}
    try:
        return {file.name: _credential(file) for file in Path(folder).iterdir() if file.is_file()}
    except OSError as error:
        raise SettingsError(f"CREDENTIALS_DIRECTORY: {error.filename}: {error.strerror}") from None


def _credential(file: Path) -> str:
    field = Settings.model_fields.get(file.name)
    kind = field.annotation if field is not None else Path  # a file with an unknown name is not read
    if Path in (kind, *get_args(kind)):
        return str(file)
    try:
        return file.read_text().removesuffix("\n")
    except UnicodeDecodeError:
        raise SettingsError(f"{PREFIX}{file.name.upper()}: the credential is not UTF-8 text") from None


def _from_dev() -> dict[str, Any]:
    file = dev_file(Path(os.environ.get(PREFIX + "DIR", Settings.model_fields["dir"].default)))
    return read_toml(file) if file.exists() else {}


def read_toml(file: Path) -> dict[str, Any]:
    """The contents of a TOML file. Raises OSError, tomllib.TOMLDecodeError."""
    return tomllib.loads(file.read_text())


def _reason(where: tuple[int | str, ...], kind: str, text: str) -> str:
    name = ".".join(str(part) for part in where)
    if not name:
        return f"{PREFIX}{text.removeprefix('Value error, ')}"
    if kind == "extra_forbidden":
        text = "no such setting"
    return f"{PREFIX}{name.upper()}: {text.removeprefix('Value error, ')}"


def made_by_role() -> dict[str, str]:
    """What the server role does with settings: `sets` or `default`. Only in a checkout, from the role's files."""
    role = Path(__file__).parents[2] / "roles" / "ddns_server"
    template = (role / "templates" / "ddnsd.toml.j2").read_text()
    variables = (role / "vars" / "main.yml").read_text()
    names = ["config", *re.findall(r"^(\w+) = ", template, re.MULTILINE)]
    credentials = re.findall(r"^ddns_server_credentials:.*?(?=^\w)", variables, re.MULTILINE | re.DOTALL)
    names += re.findall(r"'(\w+):/", "".join(credentials))
    free = re.findall(r"'(\w+)' not in ddns_server_settings", template)
    return {name: "default" if name in free else "sets" for name in names}


def reference() -> str:
    """The text of docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Set these in the environment. In the TOML file that `DDNSD_CONFIG` names, and as",
        "[credentials](operations.md#under-systemd) of systemd, use lower case without `DDNSD_`. The environment takes",
        "precedence over credentials, and credentials over the file. Lists are comma-separated, switches are `on` or",
        "`off`. An unknown name is an error at start.",
        "",
        "Those with ↻ can change while the service runs: edit the file, and run `systemctl reload ddnsd`, or send",
        "SIGHUP ([change settings](operations.md#change-settings)). All others need a restart.",
        "",
        "The column *role* is about the [server role](server.md). *sets*: the role makes this setting from its",
        "[variables](roles/ddns_server.md). *default*: it sets a value if `ddns_server_settings` has none.",
        "",
        "| variable | default | ↻ | role | meaning |",
        "|---|---|---|---|---|",
    ]
    role = made_by_role()
    for name, field in Settings.model_fields.items():
        reload = "↻" if name in RELOADABLE else ""
        cells = [f"`{PREFIX}{name.upper()}`", _default(field.default), reload, role.get(name, ""), field.description]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    text = ",".join(map(str, value)) if isinstance(value, tuple | dict) else "" if value is None else str(value)
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201
