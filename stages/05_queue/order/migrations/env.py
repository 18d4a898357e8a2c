"""Run by Alembic (see ``common.migrations``)."""

from common.migrations import run_environment
from order.models import Base

run_environment(Base.metadata)
