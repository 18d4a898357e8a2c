"""Run by Alembic (see ``common.migrations``)."""

from common.migrations import run_environment
from concert.models import Base

run_environment(Base.metadata)
