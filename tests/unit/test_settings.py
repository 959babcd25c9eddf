# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings: environment over file over defaults, and every mistake at once."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner

from ddnsd import settings
from ddnsd.cli.app import main


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DDNSD_DIR", str(tmp_path))


def test_defaults(tmp_path: Path) -> None:
    loaded = settings.load()
    assert loaded.store_url == f"sqlite:///{tmp_path}/ddnsd.db"
    assert loaded.base_url == "http://127.0.0.1:8053"
    assert loaded.rules
    assert settings.load(rules=False).rules is False


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "ddnsd.toml"
    file.write_text('ttl = 30\nlisten = ["[::1]:8245"]\nrules = "off"\n')
    monkeypatch.setenv("DDNSD_CONFIG", str(file))
    monkeypatch.setenv("DDNSD_TTL", "45")
    monkeypatch.setenv("DDNSD_ADDRESS_DENY", "192.0.2.0/24, 2001:db8::/32")
    loaded = settings.load()
    assert (loaded.ttl, loaded.listen, loaded.rules) == (45, ("[::1]:8245",), False)
    assert [str(n) for n in loaded.denied] == ["192.0.2.0/24", "2001:db8::/32"]
    assert [settings.source(n) for n in ("ttl", "listen", "offline")] == ["environment", "file", "default"]


def test_every_mistake_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDNSD_TTTL", "45")
    monkeypatch.setenv("DDNSD_TTL", "many")
    monkeypatch.setenv("DDNSD_HTTP", "nowhere")
    monkeypatch.setenv("DDNSD_TRUSTED_PROXIES", "10.0.0.0/33")
    monkeypatch.setenv("DDNSD_DATABASE_URL", "mysql://u:canary-password@h/d")
    with pytest.raises(settings.SettingsError) as caught:
        settings.load()
    text = str(caught.value)
    for name in (
        "DDNSD_TTTL: no such setting",
        "DDNSD_TTL:",
        "DDNSD_HTTP:",
        "DDNSD_TRUSTED_PROXIES",
        "DDNSD_DATABASE_URL",
    ):
        assert name in text
    assert "canary-password" not in text


def test_an_unknown_name_in_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "ddnsd.toml"
    file.write_text("tttl = 30\n")
    monkeypatch.setenv("DDNSD_CONFIG", str(file))
    with pytest.raises(settings.SettingsError, match="DDNSD_TTTL"):
        settings.load()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder of credentials."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def test_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, credentials: Path) -> None:
    (credentials / "database_url").write_text("postgresql://u:canary-password@h/d\n")
    (credentials / "rndc_key").write_bytes(b"\xff")
    for name, text in (("ttl", "45"), ("offline", "off\n"), ("address_deny", "192.0.2.0/24,198.51.100.0/24\n")):
        (credentials / name).write_text(text)
    file = tmp_path / "ddnsd.toml"
    file.write_text("ttl = 30\nnochg_per_hour = 7\n")
    monkeypatch.setenv("DDNSD_CONFIG", str(file))
    monkeypatch.setenv("DDNSD_OFFLINE", "on")
    loaded = settings.load()
    assert loaded.store_url == "postgresql://u:canary-password@h/d"
    assert (loaded.rndc_key, loaded.ttl, loaded.nochg_per_hour) == (credentials / "rndc_key", 45, 7)
    assert (loaded.offline, len(loaded.denied)) == (True, 2)
    sources = [settings.source(name) for name in ("database_url", "rndc_key", "ttl", "nochg_per_hour", "offline")]
    assert sources == ["credential", "credential", "credential", "file", "environment"]
    printed = CliRunner().invoke(main, ["settings"]).output
    assert "DDNSD_DATABASE_URL = **********  (credential)" in printed
    assert "canary-password" not in printed


def test_the_file_of_settings_as_a_credential(credentials: Path) -> None:
    (credentials / "config").write_text("ttl = 30\n")
    assert settings.load().ttl == 30
    assert settings.source("ttl") == "file"


def test_mistakes_in_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, credentials: Path) -> None:
    (credentials / "databse_url").write_text("postgresql://u:canary-password@h/d")
    (credentials / "ttl").write_text("many")
    with pytest.raises(settings.SettingsError) as caught:
        settings.load()
    for text in ("DDNSD_DATABSE_URL: no such setting", "DDNSD_TTL: "):
        assert text in str(caught.value)
    assert "canary-password" not in str(caught.value)
    (credentials / "public_url").write_bytes(b"\xff")
    monkeypatch.setenv("DDNSD_TTTL", "45")
    with pytest.raises(
        settings.SettingsError, match=r"(?s)DDNSD_TTTL: no.*DDNSD_PUBLIC_URL: the credential is not UTF-8"
    ):
        settings.load()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "absent"))
    with pytest.raises(settings.SettingsError, match=r"CREDENTIALS_DIRECTORY: .*absent"):
        settings.load()


@pytest.mark.parametrize("name", ["PUBLIC_URL", "PUBLIC_URL_IPV6"])
@pytest.mark.parametrize(
    "url",
    [
        "ddns.example.org",
        "ftp://ddns.example.org",
        "https://",
        "https://ddns.example.org:x",
        "https://[::1",
        "https://user@ddns.example.org",
        "https://ddns.example.org/?a=b",
    ],
)
def test_what_is_no_address_of_the_service(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    monkeypatch.setenv(f"DDNSD_{name}", url)
    with pytest.raises(settings.SettingsError, match=f"DDNSD_{name}: .*write it as https://HOST"):
        settings.load()


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://DDNS.example.org/", "ddns.example.org"),
        ("http://[2001:db8::1]:8000", "2001:db8::1"),
        ("http://127.0.0.1:8000", "127.0.0.1"),
    ],
)
def test_the_host_of_the_service(monkeypatch: pytest.MonkeyPatch, url: str, host: str) -> None:
    monkeypatch.setenv("DDNSD_PUBLIC_URL", url)
    assert settings.load().public_host == host


@pytest.mark.parametrize("url", ["mysql://u:canary-password@h/d", "postgresql://u:canary-password@h:port/d"])
def test_what_is_no_url_of_a_database(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DDNSD_DATABASE_URL", url)
    with pytest.raises(settings.SettingsError, match=r"DDNSD_DATABASE_URL: .*postgresql://") as caught:
        settings.load()
    assert "canary" not in str(caught.value)


def test_a_file_that_is_not_there_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDNSD_CONFIG", "/absent.toml")
    with pytest.raises(settings.SettingsError, match=r"^DDNSD_CONFIG: /absent\.toml: No such file or directory$"):
        settings.load()


def test_trusted_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not settings.load().unix_proxy
    monkeypatch.setenv("DDNSD_TRUSTED_PROXIES", "192.0.2.1, unix")
    loaded = settings.load()
    assert ([str(n) for n in loaded.proxies], loaded.unix_proxy) == (["192.0.2.1/32"], True)
    monkeypatch.setenv("DDNSD_ADDRESS_DENY", "unix")
    with pytest.raises(settings.SettingsError, match="DDNSD_ADDRESS_DENY"):
        settings.load()


PROVIDER = '{"name": "egi", "issuer": "https://aai.egi.eu/auth/realms/egi", "client_id": "ddns"}'


def test_identity_providers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, credentials: Path) -> None:
    file = tmp_path / "ddnsd.toml"
    file.write_text('[[oidc_providers]]\nname = "egi"\nissuer = "https://aai.egi.eu"\nclient_id = "ddns"\n')
    monkeypatch.setenv("DDNSD_CONFIG", str(file))
    (credentials / "oidc_secrets").write_text('{"egi": "canary-secret"}\n')
    (provider,) = settings.load().providers
    assert (provider.issuer, provider.secret, provider.groups_claim) == (
        "https://aai.egi.eu",
        "canary-secret",
        "eduperson_entitlement",
    )
    shown = CliRunner().invoke(main, ["settings"]).output
    assert "DDNSD_OIDC_PROVIDERS = egi=https://aai.egi.eu  (file)" in shown
    assert "DDNSD_OIDC_SECRETS = egi  (credential)" in shown
    assert "canary-secret" not in shown + repr(settings.load())
    monkeypatch.setenv("DDNSD_OIDC_PROVIDERS", f"[{PROVIDER}]")
    assert settings.load().providers[0].issuer == "https://aai.egi.eu/auth/realms/egi"


@pytest.mark.parametrize(
    ("providers", "secrets", "reason"),
    [
        (f"[{PROVIDER}, {PROVIDER}]", "{}", "OIDC_PROVIDERS: two of them have the same name or issuer"),
        (f"[{PROVIDER}]", '{"other": "canary-secret"}', "OIDC_SECRETS: there is no provider other"),
        (f"[{PROVIDER}]", "canary-secret", "OIDC_SECRETS"),
        ("[{]", "{}", "OIDC_PROVIDERS"),
        (f'[{PROVIDER[:-1]}, "clientid": 1}}]', "{}", "OIDC_PROVIDERS.0.CLIENTID: no such setting"),
        (PROVIDER.replace("https", "http").join("[]"), "{}", "OIDC_PROVIDERS.0.ISSUER: an issuer begins with https://"),
        (PROVIDER.replace("egi", "E G", 1).join("[]"), "{}", "OIDC_PROVIDERS.0.NAME"),
        (PROVIDER.replace("egi", "passkey", 1).join("[]"), "{}", "OIDC_PROVIDERS.0.NAME: the name passkey is reserved"),
    ],
)
def test_mistakes_in_identity_providers(
    monkeypatch: pytest.MonkeyPatch, providers: str, secrets: str, reason: str
) -> None:
    monkeypatch.setenv("DDNSD_OIDC_PROVIDERS", providers)
    monkeypatch.setenv("DDNSD_OIDC_SECRETS", secrets)
    with pytest.raises(settings.SettingsError) as caught:
        settings.load()
    assert f"DDNSD_{reason}" in str(caught.value)
    assert "canary-secret" not in str(caught.value)


def test_the_reference_page_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text() == settings.reference(), "run: python -m ddnsd.settings > docs/settings.md"


def test_the_reference_shows_what_the_role_makes() -> None:
    made = settings.made_by_role()
    assert made.keys() <= settings.Settings.model_fields.keys()
    assert {name: made[name] for name in ("config", "dir", "public_url", "database_url", "rndc_key")} == dict.fromkeys(
        ("config", "dir", "public_url", "database_url", "rndc_key"), "sets"
    )
    assert made["tls_front"] == "default"
    assert "ttl" not in made


def test_what_can_be_reloaded_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.Settings.model_fields.keys() >= settings.RELOADABLE
    before = settings.load()
    monkeypatch.setenv("DDNSD_TTL", "45")
    monkeypatch.setenv("DDNSD_OFFLINE", "off")
    assert settings.differences(before, settings.load()) == ["ttl", "offline"]
    assert "DDNSD_OFFLINE = off  (environment, can be reloaded)" in CliRunner().invoke(main, ["settings"]).stdout


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ([{"opaque": True, "audience": ["us"], "client_secret": "s"}], ""),
        ([{"opaque": True, "client_secret": "s"}], "opaque = true of p0 needs an audience and a client secret"),
        ([{"opaque": True, "audience": ["us"]}], "opaque = true of p0 needs an audience and a client secret"),
        ([{"opaque": True, "audience": ["us"], "client_secret": "s"}] * 2, "only one of them can have opaque = true"),
    ],
)
def test_the_provider_of_opaque_tokens(
    monkeypatch: pytest.MonkeyPatch, more: list[dict[str, object]], text: str
) -> None:
    base = [{"name": f"p{n}", "issuer": f"https://p{n}.example.org", "client_id": "ddns"} for n in range(len(more))]
    monkeypatch.setenv("DDNSD_OIDC_PROVIDERS", json.dumps([one | extra for one, extra in zip(base, more, strict=True)]))
    with pytest.raises(settings.SettingsError, match=text) if text else nullcontext():
        assert settings.load().providers[0].opaque


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ACME_DIRECTORY", "ca.example.net/directory", "write it as https://HOST/PATH"),
        ("ACME_DIRECTORY", "http://ca.example.net/directory", "write it as https://HOST/PATH"),
        ("ACME_CONTACT", "mailto:admin@example.org", "write one e-mail address"),
        ("ACME_EAB_KEY", "a+b", "write the key in base64url"),
        ("ACME_EAB_KID", "kid-1", "ACME_EAB_KID and ACME_EAB_KEY belong together"),
        ("ACME_HOST_BUDGET", "-1", "greater than or equal to 0"),
    ],
)
def test_mistakes_about_the_authority(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(f"DDNSD_{name}", value)
    with pytest.raises(settings.SettingsError, match=said):
        settings.load()


def test_the_authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert settings.load().authority is None
    monkeypatch.setenv("DDNSD_ACME_DIRECTORY", "https://ca.example.net/directory")
    monkeypatch.setenv("DDNSD_ACME_EAB_KID", "kid-1")
    monkeypatch.setenv("DDNSD_ACME_EAB_KEY", "c2VjcmV0")
    monkeypatch.setenv("DDNSD_ACME_CAA_IDENTITIES", "CA.example.net.")
    found = settings.load().authority
    assert found is not None
    assert (found.account_key, found.identities) == (tmp_path / "acme_account.key", ("ca.example.net",))
    assert "c2VjcmV0" not in repr(found)


def test_an_authority_needs_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "find_spec", lambda name: None if name == "acme" else object())
    monkeypatch.setenv("DDNSD_ACME_DIRECTORY", "https://ca.example.net/directory")
    with pytest.raises(settings.SettingsError, match=r"pip install 'fedcloud-ddns\[server,acme\]'"):
        settings.load()
