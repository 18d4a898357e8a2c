"""How a Python was built, as far as it can be told."""

from __future__ import annotations

import pytest

from harness.run import interpreter

# `sysconfig.get_config_var("CONFIG_ARGS")` of Pythons as they are come by.
PYENV = "'--prefix=/home/me/.pyenv/versions/3.11.7' '--enable-shared' '--libdir=/home/me/.pyenv/versions/3.11.7/lib'"
DEBIAN = "'--enable-shared' '--prefix=/usr' '--with-computed-gotos' '--without-ensurepip' '--with-dtrace'"
DOCKER = "'--build=x86_64-linux-gnu' '--enable-optimizations' '--with-lto' '--with-ensurepip'"


@pytest.mark.parametrize(
    ("prefix", "arguments", "optimised"),
    [
        ("/home/me/.pyenv/versions/3.11.7", PYENV, False),
        ("/home/me/.pyenv/versions/3.11.7", f"{PYENV} '--enable-optimizations'", True),
        ("/usr", DEBIAN, True),
        ("/usr/local", DOCKER, True),
        ("/usr/local", "", False),
    ],
)
def test_a_python_is_optimised_if_it_was_asked_for_or_is_the_systems(
    prefix: str, arguments: str, optimised: bool
) -> None:
    assert interpreter.is_optimised(prefix, arguments) is optimised


@pytest.mark.parametrize(("prefix", "warns"), [("/usr", False), ("/opt/built/by/hand", True)])
def test_a_slow_build_is_a_caveat_that_says_what_helps(
    monkeypatch: pytest.MonkeyPatch, prefix: str, warns: bool
) -> None:
    monkeypatch.setattr("sys.base_prefix", prefix)
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: DEBIAN)

    caveat = interpreter.caveat()

    assert (caveat is not None) is warns
    assert caveat is None or "UV_PYTHON" in caveat
