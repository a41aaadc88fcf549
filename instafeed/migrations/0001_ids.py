from django.db import migrations

from instafeed.ids import CREATE_FUNCTIONS, DROP_FUNCTIONS


class Migration(migrations.Migration):
    initial = True
    operations = [migrations.RunSQL(CREATE_FUNCTIONS, DROP_FUNCTIONS)]
