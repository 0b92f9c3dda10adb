"""PostgreSQL: schema, migrations and one repository a subject. SQL stands here and nowhere else."""
