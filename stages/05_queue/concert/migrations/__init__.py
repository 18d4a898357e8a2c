"""The schema of concert-service's database, by Alembic."""
