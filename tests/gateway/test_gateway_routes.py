"""The routing table by itself, against what a service's router would make of the same path."""

from __future__ import annotations

from urllib.parse import quote, unquote, unquote_to_bytes

from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.routes import Access, Route, Routes

ROUTES = Routes(["user-service", "concert-service", "order-service"])

TRICKS = ["..", ".", "", "%2e%2e", "%2E.", "%2f", "..;", "%2e%2e%3b", "\\", "%5c", "%", "%zz", "\n", "%0a", "봄"]
NAMES = ["auth", "widget", "users", "all", "bookings", "a", "%61uth", "%252e", "nickname", "%EB%B4%84", ".a", "a.b"]
SERVICES = st.sampled_from(["user-service", "order-service", "us%65r-service"])


def _paths(*segments: st.SearchStrategy[str], max_size: int = 5) -> st.SearchStrategy[str]:
    rest = st.lists(st.one_of(*segments), max_size=max_size)
    return st.builds(lambda service, parts: "/" + "/".join([service, *parts]), SERVICES, rest)


ANY_PATHS = _paths(st.sampled_from(NAMES), st.sampled_from(TRICKS), st.text(max_size=4))
NORMAL_PATHS = _paths(st.sampled_from(NAMES), st.sampled_from(NAMES).map(lambda name: name + "~;=@"))


def _find(raw: str, method: str = "GET") -> Route | None:
    """The route of a path in normal form, None for any other."""
    route = ROUTES.find(method, unquote(raw), raw.encode("utf-8", "surrogatepass"))
    return None if route.access is Access.MALFORMED else route


@given(ANY_PATHS)
def test_a_path_that_passes_has_one_reading(raw: str) -> None:
    route = _find(raw)
    decoded = unquote_to_bytes(raw)
    segments = decoded[1:].split(b"/")
    ambiguous = (
        {b".", b".."} & {segment.partition(b";")[0] for segment in segments}
        or b"" in segments[:-1]
        or decoded.count(b"/") != raw.count("/")
        or any(byte < 0x20 or byte in b"\\\x7f" for byte in decoded)
        or not raw.isascii()
    )
    if ambiguous:
        assert route is None


@given(NORMAL_PATHS)
def test_the_service_gets_the_rest_of_a_normal_path_unchanged(raw: str) -> None:
    route = _find(raw)
    assert route is not None
    first, slash, rest = raw[1:].partition("/")
    assert route.service == unquote(first)
    assert route.path.decode("ascii") == (slash + rest or "/")


@given(NORMAL_PATHS)
def test_a_route_is_public_exactly_if_the_service_reads_its_prefix(raw: str) -> None:
    route = _find(raw)
    assert route is not None
    prefix = "/auth/" if route.service == "user-service" else "/widget/"
    assert (route.access is Access.PUBLIC) == unquote(route.path.decode("ascii")).startswith(prefix)


PRINTABLE = st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\") | st.just(" ")


@given(st.text(PRINTABLE, min_size=1, max_size=20))
def test_an_ordinary_name_passes_once_it_is_percent_encoded(name: str) -> None:
    assume(not name.startswith("."))
    route = _find("/concert-service/concerts/" + quote(name, safe="", errors="surrogatepass"))
    assert route is not None
    assert (route.access, route.service) == (Access.USER, "concert-service")
