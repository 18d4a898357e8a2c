"""httpx for servers on this machine: without proxies, and without TLS.

As it comes, httpx reads all the certificate authorities of the machine for each client that it makes, and it makes one
for each ``httpx.get``: that takes longer than most requests of these tests.
"""

from __future__ import annotations

import ssl
from functools import partial

import httpx

_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

get = partial(httpx.get, trust_env=False, verify=_NO_AUTHORITIES)
post = partial(httpx.post, trust_env=False, verify=_NO_AUTHORITIES)
Client = partial(httpx.Client, trust_env=False, verify=_NO_AUTHORITIES)
