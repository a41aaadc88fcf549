import django.db.models.deletion
import django.db.models.functions.datetime
import instafeed.core.db.snowflake
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ("core", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Export',
            fields=[
                ('state', models.PositiveSmallIntegerField(choices=[(0, 'pending'), (1, 'running'), (2, 'done'), (3, 'dead letter')], db_default=0, default=0)),
                ('due_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('lease', models.UUIDField(editable=False, null=True)),
                ('attempts', models.PositiveSmallIntegerField(db_default=0, default=0)),
                ('error', models.TextField(blank=True, db_default='', default='')),
                ('id', models.BigIntegerField(db_default=instafeed.core.db.snowflake.NextId(), editable=False, primary_key=True, serialize=False)),
                ('path', models.CharField(max_length=200, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('expires_at', models.DateTimeField(null=True)),
                ('upload_id', models.TextField(db_default='', default='')),
                ('picture_count', models.PositiveIntegerField(db_default=0, default=0)),
                ('pictures_done', models.PositiveIntegerField(db_default=0, default=0)),
                ('last_media_id', models.BigIntegerField(db_default=0, default=0)),
                ('slice_count', models.PositiveIntegerField(db_default=0, default=0)),
                ('part_count', models.PositiveIntegerField(db_default=0, default=0)),
                ('size', models.BigIntegerField(db_default=0, default=0)),
                ('tail_path', models.CharField(db_default='', default='', max_length=200)),
                ('tail_size', models.PositiveIntegerField(db_default=0, default=0)),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='export_set', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='ExportSlice',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField()),
                ('part', models.JSONField(null=True)),
                ('entry_count', models.PositiveIntegerField()),
                ('directory', models.BinaryField()),
                ('pictures', models.JSONField()),
                ('export', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='slice_set', to='exports.export')),
            ],
        ),
        migrations.AddIndex(
            model_name='export',
            index=models.Index(condition=models.Q(('state__in', (0, 1))), fields=['due_at'], name='export_due'),
        ),
        migrations.AddIndex(
            model_name='export',
            index=models.Index(condition=models.Q(('expires_at__isnull', False)), fields=['expires_at'], name='export_expires'),
        ),
        migrations.AddIndex(
            model_name='export',
            index=models.Index(fields=['user', 'id'], name='export_user'),
        ),
        migrations.AddConstraint(
            model_name='export',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', (0, 1))), fields=('user',), name='export_one_unfinished'),
        ),
        migrations.AddConstraint(
            model_name='export',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', (0, 1)), ('expires_at__isnull', False), _connector='OR'), name='export_finished_expires'),
        ),
        migrations.AddConstraint(
            model_name='exportslice',
            constraint=models.UniqueConstraint(fields=('export', 'number'), name='export_slice_number'),
        ),
    ]
