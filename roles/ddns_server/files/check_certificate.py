# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that a private key belongs to a certificate: both in PEM on standard input. Prints the reason if not."""

import ssl
import sys
import tempfile


def _no_pass_phrase() -> str:
    raise ValueError("the key needs a pass phrase, which the front does not have")


def main() -> None:
    """Exit with 1 and a reason if the pair cannot be used."""
    with tempfile.NamedTemporaryFile() as pair:  # only the user can read it
        pair.write(sys.stdin.buffer.read())
        pair.flush()
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pair.name, password=_no_pass_phrase)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                sys.exit("the key does not belong to the certificate")
            sys.exit("these are not a certificate and its key in PEM, the certificate of the server first")
        except ValueError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
