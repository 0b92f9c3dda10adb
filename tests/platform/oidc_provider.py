"""A real OpenID Connect provider (Canaille, in memory) as a process of its own: `python -m ... PORT REDIRECT_URI`.

Prints `ready` once it listens.
"""

from __future__ import annotations

import sys
from typing import Any

CLIENT, SECRET = "anxin", "a secret of the client, 32 bytes!"
USER, PASSWORD = "zhou.ming", "correct horse battery staple"


def serve(port: int, redirect_uri: str) -> None:
    """Serve until killed: one user, one client that needs no consent."""
    from canaille import create_app
    from canaille.app import models
    from canaille.backends import Backend
    from joserfc.jwk import RSAKey
    from werkzeug.serving import make_server

    key = RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)
    app: Any = create_app({
        "SECRET_KEY": "of this process alone", "SERVER_NAME": f"127.0.0.1:{port}", "PREFERRED_URL_SCHEME": "http",
        "DEBUG": True, "CANAILLE": {"DATABASE": "memory", "SMTP": None, "CAPTCHA_ENABLED": False},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [{k: str(v) for k, v in key.items() if not isinstance(v, list)}],
                          "USERINFO_MAPPING": {"PREFERRED_USERNAME": "{{ user.user_name }}"}},
    })  # fmt: skip
    with app.app_context():
        user = models.User(
            user_name=USER, formatted_name="周明", family_name="周", emails=["zhou@example.org"], password=PASSWORD
        )
        Backend.instance.save(user)
        client = models.Client(
            client_id=CLIENT, client_secret=SECRET, client_name="Anxin", client_uri="http://127.0.0.1",
            redirect_uris=[redirect_uri], grant_types=["authorization_code"], response_types=["code"],
            scope=["openid", "profile", "email"], token_endpoint_auth_method="client_secret_basic",
        )  # fmt: skip
        Backend.instance.save(client)
        client.audience = [client]
        Backend.instance.save(client)
    server = make_server("127.0.0.1", port, app, threaded=True)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
