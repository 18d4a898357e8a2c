"""The schema of user-service's database, by Alembic."""
