"""What a process reads from its environment, and what it never shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from common.settings import MIN_SECRET_CHARACTERS, ServiceSettings

ROOT = Path(__file__).parents[3]

KEY = "k3y-of-thirty-two-characters-----"
PASSWORD = "s3cret-of-the-database"
URL = f"postgresql://owner:{PASSWORD}@db.example:5432/users"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("IDENTITY_KEY", KEY)
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("PORT", "12021")
    return monkeypatch


def load() -> ServiceSettings:
    return ServiceSettings()


def test_the_environment_fills_the_settings(environment: pytest.MonkeyPatch) -> None:
    settings = load()
    assert settings.port == 12021
    assert settings.identity_key.get_secret_value() == KEY
    assert settings.database_url == f"postgresql+asyncpg://owner:{PASSWORD}@db.example:5432/users"
    assert settings.host == "127.0.0.1"


def test_a_url_that_names_its_driver_is_left_alone(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABASE_URL", "postgresql+asyncpg://owner@db.example/users")
    assert load().database_url == "postgresql+asyncpg://owner@db.example/users"


def test_no_secret_is_shown(environment: pytest.MonkeyPatch) -> None:
    settings = load()
    for shown in (repr(settings), str(settings), f"{settings.model_dump()}", settings.model_dump_json()):
        assert KEY not in shown
    assert PASSWORD not in repr(settings)
    assert PASSWORD not in str(settings)


def test_settings_do_not_change_while_a_process_runs(environment: pytest.MonkeyPatch) -> None:
    settings = load()
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("IDENTITY_KEY", "k" * (MIN_SECRET_CHARACTERS - 1)), ("IDENTITY_KEY", ""),
        ("PORT", "0"), ("PORT", "65536"), ("PORT", "http"), ("DATABASE_POOL_SIZE", "0"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_at_the_start(variable: str, value: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv(variable, value)
    with pytest.raises(ValidationError):
        load()


@pytest.mark.parametrize("variable", ["IDENTITY_KEY", "DATABASE_URL", "PORT"])
def test_what_is_needed_is_asked_for(variable: str, environment: pytest.MonkeyPatch) -> None:
    environment.delenv(variable)
    with pytest.raises(ValidationError):
        load()


def test_a_process_that_cannot_start_says_which_setting_and_not_its_value(environment: pytest.MonkeyPatch) -> None:
    short = "sh0rt-secret"
    stage = next((ROOT / "stages").iterdir())
    finished = subprocess.run(
        [sys.executable, "-m", "common.serve", "user"],
        env={
            "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(stage), str(ROOT)]),
            "IDENTITY_KEY": short, "JWT_SECRET": KEY, "USER_DATABASE_URL": URL, "USER_SELLER_CODE": "seller",
            "USER_MANAGER_CODE": "manager",
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )  # fmt: skip
    assert finished.returncode == 2
    assert finished.stderr.startswith("user: setting IDENTITY_KEY: ")
    assert len(finished.stderr.splitlines()) == 1
    for secret in (short, KEY, PASSWORD):
        assert secret not in finished.stderr + finished.stdout
