"""The schema of order-service's database, by Alembic."""
