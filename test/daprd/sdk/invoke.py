"""What Dapr's Python SDK does over HTTP: it waits for its sidecar's health and invokes methods.

State, publishing, secrets and the rest of it are gRPC, which the stand-in does not speak.
"""

import sys
from importlib.metadata import version

from dapr.clients import DaprClient
from dapr.clients.health import DaprHealth

app = sys.argv[1]
DaprHealth.wait_for_sidecar()
with DaprClient(http_timeout_seconds=20) as client:
    echoed = client.invoke_method(app, "echo", data="from Python", http_verb="POST")
    assert echoed.text() == "from Python", echoed.text()
    saved = client.invoke_method(app, "state/python", data='{"pears": 2}', http_verb="POST")
    assert saved.data == b"", saved.data
    read = client.invoke_method(app, "state/python", http_verb="GET")
    assert read.json() == {"pears": 2}, read.data
print("dapr", version("dapr"), "ok")
