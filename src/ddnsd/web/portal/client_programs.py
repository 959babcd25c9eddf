# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs and routers for which there are ready-made configurations."""

from typing import NamedTuple

from ddnsd.web.portal.i18n import N_

FIELDS = "fields"
"""The language of a text whose lines are `LABEL: VALUE`, for forms that people fill in."""


class Entry(NamedTuple):
    """One program or router; the parts are (file, what to do with it, language)."""

    name: str
    title: str
    note: str
    parts: tuple[tuple[str, str, str], ...]


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        "curl",
        N_("curl"),
        N_("Sends the address once. The secret is not in a command line. Choose the family with -4 or -6."),
        (("curl.sh", N_("In a terminal"), "sh"),),
    ),
    Entry(
        "cloud-init",
        N_("cloud-init, with an updater"),
        N_("Sends the addresses from the first boot on, whenever they change. Needs Python 3.8 and systemd 247."),
        (("cloud-init-unit.yaml", N_("User data of a new machine"), "yaml"),),
    ),
    Entry(
        "cloud-init-runcmd",
        N_("cloud-init, one line"),
        N_("One update at the first boot, without retry. The secret is in a command line."),
        (("cloud-init-runcmd.yaml", N_("User data of a new machine"), "yaml"),),
    ),
    Entry(
        "systemd",
        N_("Linux with systemd"),
        N_("Sends the machine's addresses at once when they change. Needs Python 3.8 and systemd 247."),
        (("updater.sh", N_("In a terminal of the machine"), "sh"),),
    ),
    Entry(
        "ddclient-3",
        N_("ddclient 3.10"),
        N_("Sends IPv4. Debian 12 has this version."),
        (("ddclient-3.conf", N_("/etc/ddclient.conf, readable only by its owner"), "ini"),),
    ),
    Entry(
        "ddclient-4",
        N_("ddclient 3.11 and 4"),
        N_("Debian 13 has version 3.11."),
        (
            (
                "ddclient-4.conf",
                N_("/etc/ddclient.conf, on some systems /etc/ddclient/ddclient.conf; readable only by its owner"),
                "ini",
            ),
        ),
    ),
    Entry(
        "inadyn",
        N_("inadyn"),
        N_("Version 2. UniFi gateways contain it."),
        (("inadyn.conf", N_("/etc/inadyn.conf, readable only by its owner"), "conf"),),
    ),
    Entry(
        "fritzbox",
        N_("FRITZ!Box"),
        N_("For IPv6 it sends the prefix: the host and its related names use it with their own interface ids."),
        (("fritzbox.txt", N_("Internet → Permit Access → DynDNS, provider: user-defined"), FIELDS),),
    ),
    Entry(
        "openwrt",
        N_("OpenWrt"),
        N_("Needs the packages ddns-scripts, curl and ca-certificates."),
        (("openwrt.uci", N_("At the end of /etc/config/ddns, then: service ddns restart"), "uci"),),
    ),
    Entry(
        "opnsense",
        N_("OPNsense"),
        N_("Needs the plugin os-ddclient, with its native backend."),
        (("opnsense.txt", N_("Services → Dynamic DNS → Settings → Accounts"), FIELDS),),
    ),
    Entry(
        "synology",
        N_("Synology"),
        N_("First customize a provider with the query URL, then add it with the rest."),
        (("synology.txt", N_("Control Panel → External Access → DDNS"), FIELDS),),
    ),
    Entry(
        "mikrotik",
        N_("MikroTik"),
        N_("RouterOS 7. The router needs the certificate authority's root certificate."),
        (("mikrotik.rsc", N_("In a terminal of the router"), "routeros"),),
    ),
    Entry(
        "home-assistant",
        N_("Home Assistant"),
        N_("Sends the address of the machine every five minutes, as the service sees it."),
        (
            ("home-assistant.yaml", N_("configuration.yaml"), "yaml"),
            ("home-assistant-secrets.yaml", N_("secrets.yaml"), "yaml"),
        ),
    ),
    Entry(
        "ansible",
        N_("Ansible"),
        N_("The collection fedcloud.ddns: an updater on the machine, or the address from the controller."),
        (
            ("ansible-updater.yml", N_("A play that sets up the updater"), "yaml"),
            ("ansible-module.yml", N_("A play that sets the address, with a token in DDNS_TOKEN"), "yaml"),
        ),
    ),
    Entry(
        "terraform",
        N_("Terraform"),
        N_("Also for OpenTofu. The state contains the secret: store it where nobody else can read it."),
        (
            ("terraform.tf", N_("A file of the configuration"), "hcl"),
            ("terraform.tfvars", N_("ddns.auto.tfvars, not in version control"), "hcl"),
        ),
    ),
    Entry(
        "lego-http",
        N_("lego, by HTTP"),
        N_("A certificate for the host and the names below it. Enter your own e-mail address. Also for Traefik."),
        (("lego-http.sh", N_("In a terminal"), "sh"),),
    ),
    Entry(
        "acme-dns",
        N_("Clients of acme-dns"),
        N_("A certificate for the host and the names below it, for example by certbot with certbot-dns-acmedns."),
        (
            ("acmedns.json", N_("/etc/letsencrypt/acmedns.json, readable only by root"), "json"),
            ("acmedns.ini", N_("/etc/letsencrypt/acmedns.ini"), "ini"),
            ("acmedns.sh", N_("In a terminal"), "sh"),
        ),
    ),
)

DNS_CATALOGUE: tuple[Entry, ...] = (
    Entry(
        "nsupdate",
        N_("nsupdate"),
        N_("DNS UPDATE, for example from cron. Debian's package is bind9-dnsutils."),
        (
            ("nsupdate.key", N_("/etc/ddns.key, readable only by its owner"), "conf"),
            ("nsupdate.sh", N_("A script; its argument is the new address"), "sh"),
        ),
    ),
    Entry(
        "certbot",
        N_("certbot"),
        N_("A certificate for the host and names below it. Debian's packages: certbot, python3-certbot-dns-rfc2136."),
        (
            ("certbot.ini", N_("/etc/letsencrypt/ddns.ini, readable only by root"), "ini"),
            ("certbot.sh", N_("In a terminal"), "sh"),
        ),
    ),
    Entry(
        "lego",
        N_("lego"),
        N_("A certificate for the host and the names below it. Enter your own e-mail address."),
        (("lego.sh", N_("In a terminal"), "sh"),),
    ),
    Entry(
        "cert-manager",
        N_("cert-manager"),
        N_("An issuer for Kubernetes. Enter your own e-mail address."),
        (("cert-manager.yaml", N_("For kubectl apply"), "yaml"),),
    ),
    Entry(
        "mikrotik-dns",
        N_("MikroTik, by DNS"),
        N_("Only if the service accepts hmac-md5 at port 53: RouterOS knows no other algorithm and no other port."),
        (("mikrotik-dns.rsc", N_("In a terminal of the router"), "routeros"),),
    ),
)
"""Programs that use the port for DNS UPDATE."""
