"""Run by Alembic (see ``common.migrations``)."""

from common.migrations import run_environment
from user.models import Base

run_environment(Base.metadata)
