from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_admin_indexes"),
    ]

    operations = [
        ValidateConstraint("user", "user_suspension_is_readable"),
    ]
